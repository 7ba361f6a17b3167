package awsauth

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// segment is a part of a scalar's value: bytes that the text holds unchanged, or the character of an escape. The part
// begins at the offset decoded in the value and at the offset raw in the text. length is the number of unchanged bytes,
// and 0 for an escape.
type segment struct{ decoded, raw, length int }

// locateIn returns the offset in the text for an offset in the value. For an offset between two segments, such as that
// of a line break, it returns the end of the first of them.
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

// scalarSegments returns the segments of a scalar's value. It supports literals, texts in double quotes, and plain or
// single-quoted scalars on one line. It returns nil for folded scalars, aliases, empty values and rare escapes. Then
// every position within the value is the position of the value itself.
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

// literalSegments returns the segments of a literal scalar. header is the offset of its header.
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
		if len(end) < 3 { // YAML keeps LS and PS, which have three bytes, and reads every other line break as LF
			end = "\n"
		}
		at += n + breakLen(text, at+n)
		if rest := value[done:]; rest == line { // the last line may have no break
			return segments
		} else if !strings.HasPrefix(rest, line+end) {
			return nil
		}
		done += n + len(end)
	}
	return segments
}

// quotedSegments returns the segments of a scalar in double quotes. at is the offset after the opening quote.
// quotedSegments supports the line breaks with which kubectl edit folds a long text. It returns nil for a scalar that
// it does not support.
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
		default: // one break stands for a space, and n breaks stand for n-1 line feeds
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

// unescape returns the size and the meaning of the escape with which a text begins. It supports an escaped space, an
// escaped slash, and the escapes of YAML and JSON that Go has, too. For other escapes the size is 0.
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
