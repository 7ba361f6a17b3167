package documents_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJapanese: the Japanese pages have the same code blocks as the English pages.
func TestJapanese(t *testing.T) {
	t.Parallel()
	for japanese, english := range map[string]string{
		"README.ja.md":                       "README.md",
		"docs/ja/when-you-are-locked-out.md": "docs/how-to/when-you-are-locked-out.md",
	} {
		code := func(name string) (list []string) {
			for _, b := range readPage(t, name).blocks(t) {
				list = append(list, b.Language+"\n"+strings.Join(b.Lines, "\n"))
			}
			return list
		}
		if diff := cmp.Diff(code(english), code(japanese)); diff != "" {
			t.Errorf("code blocks (-%s +%s):\n%s", english, japanese, diff)
		}
	}
}
