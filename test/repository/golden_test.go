package repository_test

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// makeGolden finds the value of GOLDEN in the Makefile.
var makeGolden = regexp.MustCompile(`(?m)^GOLDEN := (.*)$`)

// TestGenerateWritesEveryGolden: the Makefile's GOLDEN lists each package below cmd and internal whose tests write files, and no other
// package, because `make verify-generated` runs the tests of these packages only.
func TestGenerateWritesEveryGolden(t *testing.T) {
	found := makeGolden.FindStringSubmatch(read(t, "Makefile"))
	if found == nil {
		t.Fatal("the Makefile has no GOLDEN")
	}
	var want []string
	for _, folder := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(name string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(name, "_test.go") {
				return err
			}
			name, err = filepath.Rel(root, name)
			if err != nil {
				return err
			}
			text := read(t, name)
			if strings.Contains(text, "UPDATE_GOLDEN") || strings.Contains(text, `awsauth-guard/test/markdown"`) {
				want = append(want, "./"+filepath.ToSlash(filepath.Dir(name)))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(want)
	want = slices.Compact(want)
	if got := strings.Fields(found[1]); !slices.Equal(got, want) {
		t.Errorf("GOLDEN has %q, want %q", got, want)
	}
	if len(want) < 5 {
		t.Errorf("only %q write files", want)
	}
}
