package awsauth

import (
	"bytes"
	"slices"
	"strings"
)

// WithoutComments returns a YAML text with spaces in place of its comments, so that offsets stay the same. A number sign
// in quotes or in a block scalar begins no comment. In a text for which [Outline] returns an error, such as one that
// does not parse, the ends of quoted texts are not certain. So there, and after the first YAML document, every number
// sign at the beginning of a line or after white space counts as the beginning of a comment.
func WithoutComments(text string) string {
	if !strings.Contains(text, "#") {
		return text
	}
	blank := []byte(text)
	var opaque []opaquePart
	if strings.ContainsAny(text, `"'|>`) {
		opaque = opaqueParts(text)
	}
	start := 0
	for line := range strings.Lines(text) {
		content := len(strings.TrimRight(line, "\r\n"))
		for i := range content {
			if line[i] != '#' || i > 0 && line[i-1] != ' ' && line[i-1] != '\t' || isOpaque(opaque, start+i) {
				continue
			}
			copy(blank[start+i:start+content], bytes.Repeat([]byte(" "), content-i))
			break
		}
		start += len(line)
	}
	return string(blank)
}

// opaquePart is a part of a YAML text in which a number sign begins no comment: from the offset start up to end.
type opaquePart struct{ start, end int }

// opaqueParts returns the quoted texts and the block scalars of the first document of a YAML text, sorted by their
// offsets. It returns nil for a text for which Outline returns an error.
func opaqueParts(text string) (parts []opaquePart) {
	root, err := Outline(text)
	if err != nil || root == nil {
		return nil
	}
	var visit func(*Span)
	visit = func(s *Span) {
		switch {
		case s.Kind != ScalarSpan:
		case s.Quote == SingleQuoted || s.Quote == DoubleQuoted:
			parts = append(parts, opaquePart{s.Text, s.End})
		case s.Quote == Literal || s.Quote == Folded: // a comment may stand in the line of the header
			parts = append(parts, opaquePart{s.Text + lineLen(text, s.Text), s.End})
		}
		for _, item := range s.Items {
			visit(item)
		}
	}
	visit(root)
	return parts
}

// isOpaque reports whether an offset lies in one of the parts.
func isOpaque(parts []opaquePart, offset int) bool {
	i, found := slices.BinarySearchFunc(parts, offset, func(p opaquePart, offset int) int { return p.start - offset })
	return found || i > 0 && offset < parts[i-1].end
}
