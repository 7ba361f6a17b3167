package awsauth

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// segment is a piece of a scalar's value that stands in the text as it is: length bytes, at the
// offset decoded of the value and at the offset raw of the text. An escape has the length zero.
type segment struct{ decoded, raw, length int }

// locateIn returns the offset in the text of an offset in the value. An offset between two segments, such as that of
// a line break, is the end of the first one.
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

// scalarSegments returns where each piece of a scalar's value stands in the text. It knows literals, texts in double
// quotes, and plain scalars and single quotes on one line. It returns nil for folded scalars, aliases, empty values, and rare escapes: places
// within those are that of the value.
func scalarSegments(text string, lines *lineIndex, n *yaml.Node) []segment {
	if n.Kind != yaml.ScalarNode || n.Value == "" || n.Style&yaml.FoldedStyle != 0 {
		return nil
	}
	at := skipProperties(text, lines.offset(text, n.Line, n.Column))
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		return literalSegments(text, at, n.Value)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quotedSegments(text, at+1, n.Value)
	case n.Style&yaml.SingleQuotedStyle != 0:
		at++
	}
	if at > len(text) || !strings.HasPrefix(text[at:], n.Value) {
		return nil
	}
	return []segment{{0, at, len(n.Value)}}
}

// literalSegments follows the lines of a literal scalar, whose header stands at an offset.
func literalSegments(text string, header int, value string) (segments []segment) {
	b, ok := findBlock(text, header, value)
	if !ok {
		return nil
	}
	at, done := b.content, 0
	for done < len(value) {
		at += min(spaces(text, at), b.indent)
		n := lineLen(text, at)
		if n > 0 {
			segments = append(segments, segment{done, at, n})
		}
		line, end := text[at:at+n], text[at+n:at+n+breakLen(text, at+n)]
		if len(end) < 3 { // LS and PS stay as they are
			end = "\n"
		}
		at += n + breakLen(text, at+n)
		if rest := value[done:]; rest == line { // the last break may be left out
			return segments
		} else if !strings.HasPrefix(rest, line+end) {
			return nil
		}
		done += n + len(end)
	}
	return segments
}

// quotedSegments follows a scalar in double quotes, whose content stands at an offset, also over the line breaks with
// which kubectl edit folds a long text.
func quotedSegments(text string, at int, value string) (segments []segment) {
	for done := 0; done < len(value); {
		rest := text[min(at, len(text)):]
		run := strings.IndexAny(rest, "\\\"\r\n")
		var size int
		var piece string
		switch {
		case run < 0 || run == 0 && rest[0] == '"':
			return nil
		case run > 0:
			segments = append(segments, segment{done, at, run})
			size, piece = run, rest[:run]
		case rest[0] == '\\':
			segments = append(segments, segment{done, at, 0})
			size, piece = unescape(rest)
		default: // one break is a space, and of several the first is left out
			size = len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
			piece = strings.Repeat("\n", max(strings.Count(rest[:size], "\n"), 1)-1)
			if piece == "" {
				piece = " "
			}
		}
		if size == 0 || !strings.HasPrefix(value[done:], piece) {
			return nil
		}
		at, done = at+size, done+len(piece)
	}
	return segments
}

// unescape returns the size of the escape that a text begins with, and what it stands for. The size is 0 for the escapes
// that YAML and JSON don't share with Go, other than an escaped space or slash.
func unescape(text string) (size int, piece string) {
	if len(text) > 1 && strings.IndexByte(" /", text[1]) >= 0 {
		return 2, text[1:2]
	}
	char, _, rest, err := strconv.UnquoteChar(text, '"')
	if err != nil {
		return 0, ""
	}
	return len(text) - len(rest), string(char)
}
