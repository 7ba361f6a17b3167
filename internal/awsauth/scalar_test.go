package awsauth_test

import (
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// FuzzScalarTexts checks for any YAML that every position is within the text, and that Locate finds every character of a
// supported scalar. Locate must support every literal, and every plain or quoted scalar that the text holds unchanged.
func FuzzScalarTexts(f *testing.F) {
	for _, text := range []string{
		"a: |2-\n    foo\n   bar\n\n\n",
		"a: >+\n  foo\n  bar\n\n   more\n  x\n\n",
		"a: >\n\n\n \n  x\n  \n\n   y\n\n  z\n",
		"a: |\n    \n   x\n",
		"- 'it''s\n  two\n\n  lines  '",
		"- \"a\\n\\u00e9\\\n   b\n  c\\x41\"",
		"x: \"\\\n  \\\n foo\"",
		"a: &x !!str foo\n  bar # c\n  \nb: *x\n",
		"a: !!str\n  # c\n  |\n  x\n",
		"[a, \"b\" , c d, &e , !!str ]",
		"&2:a",
		"\ufeffa: b\r\nc: d\r\n  e\r\n",
		"é: ü\u2028b\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
			return // YAML reads this text as UTF-16, and positions are those of UTF-8
		}
		scalars, err := awsauth.ScalarTexts(text)
		if err != nil {
			return
		}
		for _, s := range scalars {
			value := s.Node.Value
			if s.Start < 0 || s.Start > len(text) {
				t.Fatalf("%q begins at %d of %d", value, s.Start, len(text))
			}
			if s.Node.Kind != yaml.ScalarNode || strings.TrimFunc(value, unicode.IsSpace) == "" || s.Node.Tag == "!!null" {
				continue // such a scalar may have no text of its own
			}
			if folded := s.Node.Style&yaml.FoldedStyle != 0; !s.Matched {
				if folded || s.Node.Style&yaml.LiteralStyle == 0 && !strings.HasPrefix(text[s.Start:], value) {
					continue
				}
				t.Fatalf("line %d, column %d: the text of %q is not found in\n%q", s.Node.Line, s.Node.Column, value, text)
			}
			for i, r := range value {
				at := s.Locate(i)
				if at < 0 || at > len(text) {
					t.Fatalf("offset %d of %q is at %d of %d", i, value, at, len(text))
				}
				if !unicode.IsSpace(r) && !strings.HasPrefix(text[at:], string(r)) && text[at] != '\\' && !strings.HasPrefix(text[at:], "''") {
					t.Fatalf("offset %d of %q is at %q", i, value, text[at:])
				}
			}
		}
	})
}
