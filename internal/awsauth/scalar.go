package awsauth

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// scalarOffset returns the offset at which the text of a scalar begins. This is the offset after the scalar's anchor,
// tag and opening quote. In a block scalar it is that of the first line that is not empty. For an alias, an empty
// scalar and other nodes, scalarOffset returns the offset of the node. It does not read the whole scalar, so a caller
// can call it for every scalar of a long text.
func scalarOffset(text string, lines *lineIndex, n *yaml.Node) int {
	node := lines.offset(text, n.Line, n.Column)
	if n.Kind != yaml.ScalarNode {
		return node
	}
	at := skipProperties(text, node)
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0 && hasByte(text, at, '\''),
		n.Style&yaml.DoubleQuotedStyle != 0 && hasByte(text, at, '"'):
		return at + 1
	case n.Style&yaml.LiteralStyle != 0 && hasByte(text, at, '|'),
		n.Style&yaml.FoldedStyle != 0 && hasByte(text, at, '>'):
		if b, ok := findBlock(text, at, n.Value); ok {
			return b.first + b.indent
		}
		return at
	}
	if n.Value != "" && strings.HasPrefix(text[at:], firstWord(n.Value)) {
		return at
	}
	return node
}

func hasByte(text string, at int, c byte) bool { return at < len(text) && text[at] == c }

// firstWord returns a value up to its first space, tab or line break. A plain scalar has this part on one line.
func firstWord(value string) string {
	if i := strings.IndexAny(value, " \t\n\u2028\u2029"); i >= 0 {
		return value[:i]
	}
	return value
}

// skipProperties returns the offset after a node's anchor and tag.
func skipProperties(text string, at int) int {
	for hasByte(text, at, '&') || hasByte(text, at, '!') {
		if text[at] == '!' {
			at += wordLen(text, at)
		} else {
			for at++; at < len(text) && anchorByte(text[at]); at++ {
			}
		}
		for at < len(text) {
			if text[at] == '#' {
				at += lineLen(text, at)
			} else if n := max(breakLen(text, at), blankLen(text, at)); n > 0 {
				at += n
			} else {
				break
			}
		}
	}
	return at
}

func anchorByte(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c == '-'
}

// wordLen returns the number of bytes from an offset up to the next white space.
func wordLen(text string, at int) int {
	i := at
	for i < len(text) && blankLen(text, i) == 0 && breakLen(text, i) == 0 {
		i++
	}
	return i - at
}

// lineLen returns the number of bytes from an offset up to the end of the line.
func lineLen(text string, at int) int {
	i := at
	for i < len(text) && breakLen(text, i) == 0 {
		i++
	}
	return i - at
}

func blankLen(text string, at int) int {
	if hasByte(text, at, ' ') || hasByte(text, at, '\t') {
		return 1
	}
	return 0
}

func spaces(text string, at int) int {
	return len(text[at:]) - len(strings.TrimLeft(text[at:], " "))
}

// block is the layout of a literal or folded scalar in the text.
type block struct {
	content int // the offset of the line after the header
	first   int // the offset of the first line with content
	indent  int // the indentation of every content line
}

// findBlock reads the header of a block scalar at an offset. It computes the indentation from the value, which shows
// how many spaces of the first line are content. So it needs neither the indentation indicator nor the parent's
// indentation. It returns false if the text doesn't fit the value.
func findBlock(text string, header int, value string) (block, bool) {
	at := header + lineLen(text, header)
	at += breakLen(text, at)
	b := block{content: at}
	line := strings.TrimLeft(value, "\n")
	if line == "" {
		return b, false
	}
	for range len(value) - len(line) {
		at += spaces(text, at)
		n := breakLen(text, at)
		if n == 0 {
			return b, false
		}
		at += n
	}
	b.first = at
	b.indent = spaces(text, at) - spaces(line, 0)
	return b, b.indent >= 0
}
