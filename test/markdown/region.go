// Package markdown reads the code blocks of Markdown pages. It also compares parts of pages with texts that tests generate.
package markdown

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Hold compares the text with the part of the page between <!-- begin NAME --> and <!-- end NAME -->. Each of these marks
// has its own line. Hold fails the test if the texts differ or a mark is absent. With UPDATE_GOLDEN it writes the text to
// the page instead.
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
		if err := os.WriteFile(page, []byte(before+begin+text+end+after), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(text, got); diff != "" {
		t.Errorf("%s, region %s (-want +got); run make generate:\n%s", page, name, diff)
	}
}

// Cell returns a text in the form for a cell of a Markdown table: without line breaks, and with | and < escaped.
func Cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", `\<`).Replace(text)
}
