package awsauth

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// SpanKind is the kind of a [Span].
type SpanKind int

// The kinds of spans.
const (
	ScalarSpan SpanKind = iota
	ListSpan
	MappingSpan
	AliasSpan
)

// Quote is the style of a scalar.
type Quote int

// The styles of scalars.
const (
	Unquoted Quote = iota
	SingleQuoted
	DoubleQuoted
	Literal
	Folded
)

// Span is a YAML node with the offsets of its text. All offsets count bytes from the beginning of the whole text.
type Span struct {
	Kind  SpanKind
	Quote Quote
	// Value is the value of a scalar, or the name of the anchor to which an alias refers.
	Value string
	// Items are the elements of a list, or the keys and values of a mapping, alternately.
	Items []*Span
	// Flow reports that brackets or braces enclose the node.
	Flow bool
	// Mark is the offset of the dash before an element of a block list, or of the question mark before a key. For other
	// nodes it is Start.
	Mark int
	// After is the offset after the dash, colon or question mark before the node. It equals Mark if there is none.
	After int
	// Start is the offset of the node with its anchor and tag. Text is the offset of the node without them. End is the
	// offset after the node. For a missing value the three are equal.
	Start, Text, End int
}

// errOutline is the error of a text with a node whose end outline can't find.
var errOutline = errors.New("the end of a value is not certain")

// Outline returns the root node of the first YAML document in a text. It returns nil for a text without a document. It
// returns an error for a text that does not parse, or that has a rare form in which Outline can't find the end of a
// node.
func Outline(text string) (*Span, error) {
	read := newTree(text)
	switch {
	case errors.Is(read.err, io.EOF):
		return nil, nil
	case read.err != nil:
		return nil, fmt.Errorf("it does not parse: %s", bareYAMLError(read.err))
	}
	lines := newLineIndex(text)
	return (&outliner{text: text, lines: &lines}).outline(read.document.Content[0])
}

// outliner computes the end of each node, because a node of a YAML tree has only the position of its beginning.
type outliner struct {
	text  string
	lines *lineIndex
	json  bool // the tree is from jsonTree
	base  int  // added to every offset
}

func (o *outliner) outline(n *yaml.Node) (*Span, error) {
	s := o.span(n, o.lines.offset(o.text, n.Line, n.Column))
	if s == nil {
		return nil, errOutline
	}
	if o.base > 0 {
		s.move(o.base)
	}
	return s, nil
}

func (s *Span) move(by int) {
	s.Mark, s.After, s.Start, s.Text, s.End = s.Mark+by, s.After+by, s.Start+by, s.Text+by, s.End+by
	for _, item := range s.Items {
		item.move(by)
	}
}

// span returns the span of a node, or nil if it can't find the node's end. after is the offset after the dash, colon or
// question mark before the node. If there is no such character, after is the offset of the node, or of the place where a
// value is missing.
func (o *outliner) span(n *yaml.Node, after int) *Span {
	at := o.lines.offset(o.text, n.Line, n.Column)
	s := &Span{Mark: at, After: after, Start: at, Text: skipProperties(o.text, at), Value: n.Value}
	switch n.Kind {
	case yaml.AliasNode:
		s.Kind = AliasSpan
		for s.End = at + 1; s.End < len(o.text) && anchorByte(o.text[s.End]); s.End++ {
		}
		return s
	case yaml.ScalarNode:
		return o.scalar(s, n)
	case yaml.SequenceNode:
		s.Kind = ListSpan
	case yaml.MappingNode:
		s.Kind = MappingSpan
	default:
		return nil
	}
	s.Value = ""
	s.Flow = hasByte(o.text, s.Text, '[') && s.Kind == ListSpan || hasByte(o.text, s.Text, '{') && s.Kind == MappingSpan
	end := s.Text
	if s.Flow {
		end++
	}
	for i, child := range n.Content {
		var item *Span
		if s.Kind == MappingSpan && i%2 == 1 {
			item = o.value(child, end)
		} else {
			item = o.item(s, child, end)
		}
		if item == nil || item.Start < end && item.Start != item.End {
			return nil
		}
		s.Items = append(s.Items, item)
		end = item.End
	}
	if s.Flow {
		end = o.skip(end, ",:?")
		if !hasByte(o.text, end, ']') && !hasByte(o.text, end, '}') {
			return nil
		}
		end++
	} else if len(n.Content) == 0 {
		return nil
	}
	s.End = end
	return s
}

// item returns the span of n, an element of a list or a key of a mapping. after is the end of the node before n, or the
// offset at which the items of parent begin. item returns nil if it can't find the end of n.
func (o *outliner) item(parent *Span, n *yaml.Node, after int) *Span {
	at := o.skip(after, "")
	if parent.Flow {
		at = o.skip(after, ",")
	}
	indicator := byte('-')
	if parent.Kind == MappingSpan {
		indicator = '?'
	} else if parent.Flow {
		return o.span(n, at)
	}
	if !hasByte(o.text, at, indicator) || indicator == '?' && o.text[at+1:] != "" && blankLen(o.text, at+1) == 0 && breakLen(o.text, at+1) == 0 {
		if indicator == '-' {
			return nil
		}
		return o.span(n, at)
	}
	s := o.span(n, at+1)
	if s != nil {
		s.Mark = at
	}
	return s
}

// value returns the span of n, the value of a key. after is the offset at which the key ends. value returns nil if it
// can't find the end of n.
func (o *outliner) value(n *yaml.Node, after int) *Span {
	at := o.skip(after, "")
	if hasByte(o.text, at, ':') {
		after = at + 1
	}
	return o.span(n, after)
}

// skip returns the offset of the first character, from the offset at on, that is not white space, not in a comment
// and not one of the characters in more.
func (o *outliner) skip(at int, more string) int {
	for at < len(o.text) {
		n := max(blankLen(o.text, at), breakLen(o.text, at))
		switch {
		case n > 0:
			at += n
		case o.text[at] == '#':
			at += lineLen(o.text, at)
		case strings.IndexByte(more, o.text[at]) >= 0:
			at++
		default:
			return at
		}
	}
	return at
}

func (o *outliner) scalar(s *Span, n *yaml.Node) *Span {
	text := o.text
	switch {
	case n.Style&yaml.DoubleQuotedStyle != 0 && hasByte(text, s.Text, '"'):
		s.Quote = DoubleQuoted
		for s.End = s.Text + 1; s.End < len(text) && text[s.End] != '"'; s.End++ {
			if text[s.End] == '\\' {
				s.End++
			}
		}
		s.End++
	case n.Style&yaml.SingleQuotedStyle != 0 && hasByte(text, s.Text, '\''):
		s.Quote = SingleQuoted
		for s.End = s.Text + 1; s.End < len(text); s.End++ {
			if text[s.End] != '\'' {
				continue
			}
			if !hasByte(text, s.End+1, '\'') {
				break
			}
			s.End++
		}
		s.End++
	case n.Style&yaml.LiteralStyle != 0 && hasByte(text, s.Text, '|'):
		s.Quote = Literal
		s.End = blockEnd(text, s.Text, n.Value)
	case n.Style&yaml.FoldedStyle != 0 && hasByte(text, s.Text, '>'):
		s.Quote = Folded
		s.End = blockEnd(text, s.Text, n.Value)
	case o.json:
		for s.End = s.Text; s.End < len(text) && strings.IndexByte(" \t\r\n,]}", text[s.End]) < 0; s.End++ {
		}
	case n.Value == "" && s.Start != s.Text: // a tag or an anchor without a value
		s.End = s.Start + len(strings.TrimRight(text[s.Start:s.Text], " \t\r\n"))
		if strings.Contains(text[s.Start:s.End], "#") {
			return nil
		}
		s.Text = s.End
	case n.Value == "":
		s.Mark, s.Start, s.Text, s.End = s.After, s.After, s.After, s.After
	default:
		end, ok := plainEnd(text, s.Text, n.Value)
		if !ok {
			return nil
		}
		s.End = end
	}
	if s.End > len(text) {
		return nil
	}
	return s
}

// plainEnd returns the end of a scalar without quotes, which may be folded over several lines. It returns false if the
// text doesn't fit the value.
func plainEnd(text string, at int, value string) (end int, ok bool) {
	for i := 0; i < len(value); {
		gap := i
		for gap < len(value) && max(blankLen(value, gap), breakLen(value, gap)) > 0 {
			gap += max(blankLen(value, gap), breakLen(value, gap))
		}
		if gap > i {
			i = gap
			for n := 1; n > 0; at += n {
				n = max(blankLen(text, at), breakLen(text, at))
			}
			continue
		}
		if !hasByte(text, at, value[i]) {
			return 0, false
		}
		i, at = i+1, at+1
	}
	return at, true
}

// blockEnd returns the end of a literal or folded scalar, without the line break at its end. header is the offset of
// its header. A line of spaces after the scalar belongs to it if the header has a plus sign, or if the line has more
// spaces than the indentation of the scalar.
func blockEnd(text string, header int, value string) int {
	end := header + wordLen(text, header)
	keep := strings.Contains(text[header:end], "+")
	b, ok := findBlock(text, header, value)
	if !ok {
		return end
	}
	for at := b.content; at < len(text); {
		n := lineLen(text, at)
		blank := strings.TrimLeft(text[at:at+n], " \t") == "" || spaces(text, at) == n
		if !blank && spaces(text, at) < b.indent {
			break
		}
		if !blank || keep || n > b.indent {
			end = at + n
		}
		at += n + breakLen(text, at+n)
	}
	return end
}
