package awsauth

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Typographic is a character that looks like a character of YAML or of an ARN, or that readers can't see. Word processors,
// chat programs and web pages put such characters in place of dashes, quotes and spaces.
type Typographic struct {
	Rune  rune
	Name  string // as Unicode names it
	Write string // the plain text to write instead; empty for an invisible character
}

// String returns the code point and the name, such as U+2014 EM DASH.
func (c Typographic) String() string { return fmt.Sprintf("U+%04X %s", c.Rune, c.Name) }

// typographic maps the characters to their names and plain texts.
var typographic = func() map[rune]Typographic {
	all := make(map[rune]Typographic)
	add := func(write string, names map[rune]string) {
		for r, name := range names {
			all[r] = Typographic{r, name, write}
		}
	}
	add("-", map[rune]string{
		0x2010: "HYPHEN", 0x2011: "NON-BREAKING HYPHEN", 0x2012: "FIGURE DASH", 0x2013: "EN DASH", 0x2014: "EM DASH",
		0x2015: "HORIZONTAL BAR", 0x2022: "BULLET", 0x2023: "TRIANGULAR BULLET", 0x25cf: "BLACK CIRCLE", 0x2212: "MINUS SIGN", 0xfe58: "SMALL EM DASH", 0xfe63: "SMALL HYPHEN-MINUS",
	})
	add("'", map[rune]string{
		0x2018: "LEFT SINGLE QUOTATION MARK", 0x2019: "RIGHT SINGLE QUOTATION MARK", 0x201a: "SINGLE LOW-9 QUOTATION MARK",
		0x201b: "SINGLE HIGH-REVERSED-9 QUOTATION MARK", 0x2032: "PRIME", 0x2039: "SINGLE LEFT-POINTING ANGLE QUOTATION MARK",
		0x203a: "SINGLE RIGHT-POINTING ANGLE QUOTATION MARK",
	})
	add(`"`, map[rune]string{
		0x201c: "LEFT DOUBLE QUOTATION MARK", 0x201d: "RIGHT DOUBLE QUOTATION MARK", 0x201e: "DOUBLE LOW-9 QUOTATION MARK",
		0x201f: "DOUBLE HIGH-REVERSED-9 QUOTATION MARK", 0x2033: "DOUBLE PRIME", 0x00ab: "LEFT-POINTING DOUBLE ANGLE QUOTATION MARK",
		0x00bb: "RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK",
	})
	add(" ", map[rune]string{
		0x00a0: "NO-BREAK SPACE", 0x2000: "EN QUAD", 0x2001: "EM QUAD", 0x2002: "EN SPACE", 0x2003: "EM SPACE",
		0x2004: "THREE-PER-EM SPACE", 0x2005: "FOUR-PER-EM SPACE", 0x2006: "SIX-PER-EM SPACE", 0x2007: "FIGURE SPACE",
		0x2008: "PUNCTUATION SPACE", 0x2009: "THIN SPACE", 0x200a: "HAIR SPACE", 0x202f: "NARROW NO-BREAK SPACE",
		0x205f: "MEDIUM MATHEMATICAL SPACE", 0x3000: "IDEOGRAPHIC SPACE",
	})
	add("", map[rune]string{
		0x00ad: "SOFT HYPHEN", 0x180e: "MONGOLIAN VOWEL SEPARATOR", 0x200b: "ZERO WIDTH SPACE", 0x200c: "ZERO WIDTH NON-JOINER",
		0x200d: "ZERO WIDTH JOINER", 0x200e: "LEFT-TO-RIGHT MARK", 0x200f: "RIGHT-TO-LEFT MARK", 0x202a: "LEFT-TO-RIGHT EMBEDDING",
		0x202b: "RIGHT-TO-LEFT EMBEDDING", 0x202c: "POP DIRECTIONAL FORMATTING", 0x202d: "LEFT-TO-RIGHT OVERRIDE",
		0x202e: "RIGHT-TO-LEFT OVERRIDE", 0x2060: "WORD JOINER", 0x2066: "LEFT-TO-RIGHT ISOLATE", 0x2067: "RIGHT-TO-LEFT ISOLATE",
		0x2068: "FIRST STRONG ISOLATE", 0x2069: "POP DIRECTIONAL ISOLATE", 0xfeff: "ZERO WIDTH NO-BREAK SPACE",
	})
	for r := rune(0xff01); r <= 0xff5e; r++ { // the full-width forms of ASCII, in its order
		all[r] = Typographic{r, "FULLWIDTH " + asciiName(r-0xfee0), string(r - 0xfee0)}
	}
	return all
}()

// asciiName returns the Unicode name of an ASCII character. For a rare character it returns FORM OF and the
// character.
func asciiName(r rune) string {
	names := map[rune]string{
		':': "COLON", '-': "HYPHEN-MINUS", '/': "SOLIDUS", '.': "FULL STOP", ',': "COMMA", '@': "COMMERCIAL AT", '_': "LOW LINE",
		'=': "EQUALS SIGN", '+': "PLUS SIGN", '"': "QUOTATION MARK", '\'': "APOSTROPHE", '{': "LEFT CURLY BRACKET", '}': "RIGHT CURLY BRACKET",
		'[': "LEFT SQUARE BRACKET", ']': "RIGHT SQUARE BRACKET", '*': "ASTERISK", '#': "NUMBER SIGN", '|': "VERTICAL LINE",
	}
	digits := []string{"ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE"}
	switch {
	case r >= '0' && r <= '9':
		return "DIGIT " + digits[r-'0'] //nolint:gosec // r is a digit
	case r >= 'a' && r <= 'z':
		return "LATIN SMALL LETTER " + string(r-'a'+'A')
	case r >= 'A' && r <= 'Z':
		return "LATIN CAPITAL LETTER " + string(r)
	case names[r] != "":
		return names[r]
	}
	return "FORM OF " + string(r)
}

// FindTypographic returns the first typographic character of a text with its byte offset, and whether there is one.
func FindTypographic(text string) (offset int, c Typographic, ok bool) {
	for i := 0; i < len(text); i++ {
		if text[i] < utf8.RuneSelf {
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if c, ok := typographic[r]; ok {
			return i, c, true
		}
		i += size - 1
	}
	return 0, Typographic{}, false
}

// Plain returns a text with plain characters in place of the typographic ones. It removes white space at the ends and,
// if the text has a typographic character, the quotes around the text.
func Plain(text string) string {
	var b strings.Builder
	for _, r := range text {
		if c, ok := typographic[r]; ok {
			b.WriteString(c.Write)
		} else {
			b.WriteRune(r)
		}
	}
	plain := strings.TrimSpace(b.String())
	if _, _, ok := FindTypographic(text); ok && len(plain) > 1 && plain[0] == plain[len(plain)-1] && (plain[0] == '"' || plain[0] == '\'') {
		return plain[1 : len(plain)-1]
	}
	return plain
}
