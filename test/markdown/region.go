// Package markdown reads the code blocks of Markdown pages, and holds parts of a page equal to texts that tests generate.
package markdown

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Hold fails the test unless the page has text between <!-- begin NAME --> and <!-- end NAME -->, each on a line of its own.
// With UPDATE_GOLDEN it writes the text there.
func Hold(t *testing.T, page, name, text string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
	before, rest, found := strings.Cut(string(b), begin)
	got, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no region %q", page, name)
	}
	text = "\n" + strings.TrimSpace(text) + "\n\n"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(page, []byte(before+begin+text+end+after), 0o600); err != nil { //nolint:gosec // git keeps the mode
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, got); diff != "" {
		t.Errorf("%s, region %s (-want +got); run make generate:\n%s", page, name, diff)
	}
}

// Cell escapes a text for a cell of a Markdown table.
func Cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", `\<`).Replace(text)
}
