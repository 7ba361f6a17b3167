package awsauth_test

import (
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestWithoutComments checks that only comments are replaced, and that every other character keeps its place. In the
// wanted texts an underscore stands for each replaced character.
func TestWithoutComments(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\n":                          "a: b\n",
		"# a\na: b # c\r\n#d":             "___\na: b ___\r\n__",
		"a: b\t# c\n":                     "a: b\t___\n",
		"a: b#c\n":                        "a: b#c\n",
		"a: \"b # c\" # d\n":              "a: \"b # c\" ___\n",
		"a: 'b # c' # d\n":                "a: 'b # c' ___\n",
		"a: it's # b\nc: it's # d\n":      "a: it's ___\nc: it's ___\n",
		"a: \"b\n  # c\n  d\" # e\n":      "a: \"b\n  # c\n  d\" ___\n",
		"a: | # b\n  # c\n  d # e\n# f\n": "a: | ___\n  # c\n  d # e\n___\n",
		"a: >-\n  b # c\nd: e # f\n":      "a: >-\n  b # c\nd: e ___\n",
		"- [\"a # b\", c] # d\n":          "- [\"a # b\", c] ___\n",
		"- {a: 'b # c'} # d\n":            "- {a: 'b # c'} ___\n",
		"- &x \"a # b\"\n- *x # c\n":      "- &x \"a # b\"\n- *x ___\n",
		"\"a # b\": c # d\n":              "\"a # b\": c ___\n",
		"a: b\n\tc: \"d # e\"\n":          "a: b\n\tc: \"d ____\n", // it does not parse
		"# a\n":                           "___\n",
	} {
		got := awsauth.WithoutComments(text)
		if want = strings.ReplaceAll(want, "_", " "); got != want {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
}
