package awsauth

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"go.yaml.in/yaml/v3"
)

// segment is a piece of a scalar's value that stands in the text as it is: length bytes, at the
// offset decoded of the value and at the offset raw of the text. A piece that is written in
// another way, such as an escape, has the length zero.
type segment struct{ decoded, raw, length int }

// locateIn returns the offset in the text of an offset in the value. What has no text of its own,
// such as a folded line break, stands behind the piece before it.
func locateIn(segments []segment, offset int) int {
	i, found := slices.BinarySearchFunc(segments, offset, func(s segment, offset int) int { return s.decoded - offset })
	if !found {
		i--
	}
	if i < 0 {
		return segments[0].raw
	}
	return segments[i].raw + min(offset-segments[i].decoded, segments[i].length)
}

// scalarSegments reads a scalar's text again and says where each piece of its value stands.
// Every piece is compared with the value; it answers false where the text cannot be matched,
// and for aliases and empty values, which have no text.
func scalarSegments(text string, lines *lineIndex, n *yaml.Node) ([]segment, bool) {
	if n.Kind != yaml.ScalarNode || n.Value == "" {
		return nil, false
	}
	w := walker{text: text, value: n.Value, at: skipProperties(text, lines.offset(text, n.Line, n.Column))}
	var ok bool
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		ok = w.block(n.Style&yaml.FoldedStyle != 0)
	case n.Style&yaml.SingleQuotedStyle != 0:
		ok = w.quoted('\'')
	case n.Style&yaml.DoubleQuotedStyle != 0:
		ok = w.quoted('"')
	default:
		ok = w.plain()
	}
	return w.segments, ok && w.done == len(w.value) && len(w.segments) > 0
}

// walker follows a scalar through the text as the scanner of libyaml does
// (go.yaml.in/yaml/v3 v3.0.6, scannerc.go), and the value beside it.
type walker struct {
	text     string
	at       int // in text
	value    string
	done     int // bytes of value that have been found
	segments []segment
}

// verbatim takes n bytes that stand in the text as in the value.
func (w *walker) verbatim(n int) bool {
	if n == 0 {
		return true
	}
	if w.at+n > len(w.text) || !strings.HasPrefix(w.value[w.done:], w.text[w.at:w.at+n]) {
		return false
	}
	if last := len(w.segments) - 1; last >= 0 {
		if s := &w.segments[last]; s.raw+s.length == w.at && s.decoded+s.length == w.done {
			s.length += n
			w.at, w.done = w.at+n, w.done+n
			return true
		}
	}
	w.segments = append(w.segments, segment{w.done, w.at, n})
	w.at, w.done = w.at+n, w.done+n
	return true
}

// stands takes a piece of the value that the text does not show.
func (w *walker) stands(piece string) bool {
	if !strings.HasPrefix(w.value[w.done:], piece) {
		return false
	}
	w.done += len(piece)
	return true
}

// escape takes n bytes of the text that are written for a piece of the value.
func (w *walker) escape(n int, piece string) bool {
	w.segments = append(w.segments, segment{w.done, w.at, 0})
	w.at += n
	return w.stands(piece)
}

// lineBreak takes a line break of the text and returns what it means in the value.
func (w *walker) lineBreak() string {
	n := breakLen(w.text, w.at)
	if n == 0 {
		return ""
	}
	piece := w.text[w.at : w.at+n]
	w.at += n
	if n == 3 { // LS and PS are kept
		return piece
	}
	return "\n"
}

func (w *walker) plain() bool {
	for {
		if !w.verbatim(min(wordLen(w.text, w.at), len(w.value)-w.done)) {
			return false
		}
		if w.done == len(w.value) {
			return true
		}
		if before := w.done; !w.fold(false) || w.done == before {
			return false
		}
	}
}

// fold takes white space between words: blanks as they are, line breaks folded, the blanks around
// them left out. After an escaped line break the blanks are left out in any case.
func (w *walker) fold(escapedBreak bool) bool {
	blanks := w.at
	for blankLen(w.text, w.at) > 0 {
		w.at++
	}
	first := w.lineBreak()
	if first == "" && !escapedBreak {
		n := w.at - blanks
		w.at = blanks
		return w.verbatim(n)
	}
	var more strings.Builder
	if escapedBreak {
		more.WriteString(first)
		first = ""
	}
	for {
		for blankLen(w.text, w.at) > 0 {
			w.at++
		}
		next := w.lineBreak()
		if next == "" {
			break
		}
		more.WriteString(next)
	}
	if first == "\n" {
		if more.Len() == 0 {
			return w.stands(" ")
		}
		return w.stands(more.String())
	}
	return w.stands(first + more.String())
}

// quoted takes a scalar in quotes.
func (w *walker) quoted(quote byte) bool {
	if !hasByte(w.text, w.at, quote) {
		return false
	}
	for w.at++; w.at < len(w.text); {
		var ok bool
		switch c := w.text[w.at]; {
		case c == quote && quote == '\'' && hasByte(w.text, w.at+1, quote):
			ok = w.escape(2, "'")
		case c == quote:
			return true
		case c == '\\' && quote == '"' && breakLen(w.text, w.at+1) > 0:
			w.at += 1 + breakLen(w.text, w.at+1)
			ok = w.fold(true)
		case c == '\\' && quote == '"':
			n, piece := unescape(w.text[w.at:])
			ok = n > 0 && w.escape(n, piece)
		case blankLen(w.text, w.at) > 0 || breakLen(w.text, w.at) > 0:
			ok = w.fold(false)
		default:
			ok = w.verbatim(quotedRun(w.text, w.at, quote))
		}
		if !ok {
			return false
		}
	}
	return false
}

// quotedRun is the length of the text up to the next byte that has a meaning in quotes.
func quotedRun(text string, at int, quote byte) int {
	i := at
	for i < len(text) && text[i] != quote && (text[i] != '\\' || quote == '\'') && blankLen(text, i) == 0 && breakLen(text, i) == 0 {
		i++
	}
	return i - at
}

// simpleEscapes are the escapes of YAML 1.1 and, with the slash, of JSON.
var simpleEscapes = map[byte]string{
	'0': "\x00", 'a': "\a", 'b': "\b", 't': "\t", '\t': "\t", 'n': "\n", 'v': "\v", 'f': "\f", 'r': "\r", 'e': "\x1b",
	' ': " ", '"': `"`, '\'': "'", '\\': `\`, '/': "/", 'N': "\u0085", '_': "\u00a0", 'L': "\u2028", 'P': "\u2029",
}

// unescape returns the length of the escape that the text begins with, and what it means.
// A surrogate pair, which only JSON allows, is one escape. The length is 0 for what is none.
func unescape(text string) (n int, piece string) {
	if len(text) < 2 {
		return 0, ""
	}
	if piece, ok := simpleEscapes[text[1]]; ok {
		return 2, piece
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[text[1]]
	code, ok := hexRune(text, 2, digits)
	if !ok {
		return 0, ""
	}
	n = 2 + digits
	if utf16.IsSurrogate(code) {
		if low, ok := hexRune(text[n:], 2, 4); ok && strings.HasPrefix(text[n:], `\u`) {
			if r := utf16.DecodeRune(code, low); r != '\ufffd' {
				return n + 6, string(r)
			}
		}
	}
	return n, string(code)
}

func hexRune(text string, at, digits int) (rune, bool) {
	if digits == 0 || len(text) < at+digits {
		return 0, false
	}
	code, err := strconv.ParseUint(text[at:at+digits], 16, 31)
	return rune(code), err == nil
}

// block takes a literal or folded scalar.
func (w *walker) block(folded bool) bool {
	b, ok := findBlock(w.text, w.at, w.value)
	if !ok {
		return false
	}
	w.at = b.content
	var pending string // the break behind the last content line
	var empty []byte   // those of the empty lines since
	blank := false     // the last content line began with a blank, which keeps its break
	for {
		w.at += min(spaces(w.text, w.at), b.indent)
		if breakLen(w.text, w.at) > 0 {
			empty = append(empty, w.lineBreak()...)
			continue
		}
		if rest := w.value[w.done:]; strings.HasPrefix(pending+string(empty), rest) {
			return w.stands(rest) // chomping decides how many of the last breaks count
		}
		nextBlank := blankLen(w.text, w.at) > 0
		if folded && !blank && !nextBlank && pending == "\n" {
			pending = ""
			if len(empty) == 0 {
				pending = " "
			}
		}
		n := lineLen(w.text, w.at)
		if n == 0 || !w.stands(pending+string(empty)) || !w.verbatim(n) {
			return false
		}
		blank = nextBlank
		pending, empty = w.lineBreak(), empty[:0]
	}
}
