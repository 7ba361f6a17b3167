package textutil_test

import (
	"testing"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

func TestShortenKeepsLimitAndUTF8(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"", 3, ""},
		{"role", 4, "role"},
		{"arn:aws:iam::111122223333:role/a", 13, "arn:a…ole/a"},
		{"arn:aws", 3, "…"},
		{"ééééé", 8, "é…é"},
	} {
		if got := textutil.Shorten(c.text, c.limit); got != c.want || len(got) > c.limit || !utf8.ValidString(got) {
			t.Errorf("%q in %d bytes: %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

func TestShellWordQuotesOnlySpecialCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"arn:aws:iam::111122223333:role/a+b=c,d.e@f": "arn:aws:iam::111122223333:role/a+b=c,d.e@f",
		"":                "''",
		"{{SessionName}}": "'{{SessionName}}'",
		"it's $HOME":      `'it'\''s $HOME'`,
	} {
		if got := textutil.ShellWord(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestPrintableEscapesInvisibleCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain":           "plain",
		"é…😀":             "é…😀",
		"a\nb\x1b[1m\x7f": `a\nb\x1b[1m\x7f`,
		"\u200b\u202e":    `\u200b\u202e`,
		"\xff\u0085":      `\xff\u0085`,
	} {
		if got := textutil.Printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestDistanceIsSymmetric(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"rules", "rule", 1},
		{"rules", "ruels", 1},
		{"rules", "Rules", 1},
		{"é", "e", 1},
		{"kitten", "sitting", 3},
	} {
		if got := textutil.Distance(c.a, c.b); got != c.want || textutil.Distance(c.b, c.a) != c.want {
			t.Errorf("%q and %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestShellQuoteKeepsOneWord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "''", "a b": "'a b'", "it's $(id)": `'it'\''s $(id)'`} {
		if got := textutil.ShellQuote(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
