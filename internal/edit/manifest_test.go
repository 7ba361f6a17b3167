package edit_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

// TestManifest writes a new text of mapRoles into the file of each case. The result must be exactly the section after of the
// case. UPDATE_GOLDEN=1 writes this section.
func TestManifest(t *testing.T) {
	files, err := filepath.Glob("testdata/manifest/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before, text := archive.Files[0].Data, string(archive.Files[1].Data)
			found, errs := awsauth.ParseManifests(before)
			if len(found) != 1 || len(errs) > 0 {
				t.Fatalf("%d manifests, %v", len(found), errs)
			}
			after, err := edit.Manifest(before, found[0].Line, map[awsauth.Section]string{awsauth.MapRoles: text})
			if err != nil {
				t.Fatal(err)
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: append(archive.Files[:2:2], txtar.File{Name: "after", Data: after})}
			if diff := cmp.Diff(string(txtar.Format(archive)), string(txtar.Format(got))); diff != "" {
				if os.Getenv("UPDATE_GOLDEN") == "" {
					t.Errorf("%s (-want +got):\n%s", file, diff)
				} else if err := os.WriteFile(file, txtar.Format(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// TestManifestKeepsOtherSections: Manifest writes the texts of two sections at once, and the third section stays. It adds no
// line break to the end of a file that has none.
func TestManifestKeepsOtherSections(t *testing.T) {
	const before = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapAccounts: |\n    []\n  mapRoles: |\n    []"
	const want = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapAccounts: |\n    []\n  mapRoles: |\n    - a\n  mapUsers: |\n    - b"
	got, err := edit.Manifest([]byte(before), 1, map[awsauth.Section]string{awsauth.MapRoles: "- a\n", awsauth.MapUsers: "- b\n"})
	if err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestManifestRefuses: Manifest returns an error if an anchor or alias shares the text with another key, or if no aws-auth
// begins at the line.
func TestManifestRefuses(t *testing.T) {
	for name, file := range map[string]string{
		"alias for data":  "x: &d {mapUsers: '[]'}\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata: *d\n",
		"used anchor":     "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapRoles: &r '[]'\n  mapUsers: *r\n",
		"other object":    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: other}\n",
		"does not parse":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth\n",
		"not an object":   "- a\n",
		"without content": "",
	} {
		if got, err := edit.Manifest([]byte(file), 1, map[awsauth.Section]string{awsauth.MapRoles: "- a\n"}); err == nil {
			t.Errorf("%s: got %q", name, got)
		}
	}
}
