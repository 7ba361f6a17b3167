package edit

import (
	"regexp"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// addElement returns the text with one more element at the end of the list. render returns the text of the element in a style; margin is
// the text before its dash.
func (l *list) addElement(render func(st style, margin string) string) (string, error) {
	st := l.styleOf()
	switch {
	case len(l.doc.Texts) == 0: // the text is blank, or quotes without content
		return render(st, "") + "\n", nil
	case l.root == nil:
		return withFinalBreak(l.text, st.brk) + render(st, "") + st.brk, nil
	case l.root.Kind == awsauth.ScalarSpan && l.root.Start == l.root.End:
		return withFinalBreak(l.text, st.brk) + render(st, "") + st.brk, nil
	case len(l.root.Items) == 0:
		return l.addFirst(st, render)
	case l.root.Flow:
		return l.addToFlow(st, render)
	}
	return l.addToBlock(st, render)
}

func withFinalBreak(text, brk string) string {
	if text != "" && text != byteOrderMark && !strings.HasSuffix(text, "\n") {
		return text + brk
	}
	return text
}

// addFirst returns the text with an element in place of an empty list or of null. If other text stands in the same line, the element is in
// brackets.
func (l *list) addFirst(st style, render func(style, string) string) (string, error) {
	at := l.root
	if end := lineEnd(l.text, at.End); blank(l.text[at.End:end]) && blank(l.text[lineStart(l.text, at.Start):at.Start]) {
		st.flow, st.inner = false, false
		s := splice{lineStart(l.text, at.Start), end, render(st, "")}
		if breakAt(l.text, end) == "" {
			s.New += st.brk
		}
		return apply(l.text, []splice{s}), nil
	}
	st.flow, st.inner = true, true
	text := "[" + render(st, "") + "]"
	return apply(l.text, []splice{{at.Start, at.End, text}}), nil
}

func (l *list) addToFlow(st style, render func(style, string) string) (string, error) {
	items := l.root.Items
	n := len(items)
	sep := ", "
	if n > 1 {
		take(&sep, commaOnly, l.text[items[n-2].End:items[n-1].Start])
	} else if gap := l.text[l.root.Text+1 : items[0].Start]; spaceOnly.MatchString(gap) && gap != "" {
		sep = "," + gap
	} else {
		sep = st.separator
		if strings.ContainsAny(sep, "\r\n") {
			sep = ", "
		}
	}
	return apply(l.text, []splice{{items[n-1].End, items[n-1].End, sep + render(st, "")}}), nil
}

var blankLine = regexp.MustCompile(`\n[ \t]*\r?\n`)

func (l *list) addToBlock(st style, render func(style, string) string) (string, error) {
	items := l.root.Items
	last := items[len(items)-1]
	margin := l.text[lineStart(l.text, last.Mark):last.Mark]
	at, ok := endOfLine(l.text, last.End)
	if !ok || !blank(margin) {
		return "", l.refuse("its last element shares a line with other text")
	}
	at = l.afterComments(at, len(margin))
	before := st.brk
	if n := len(items); n > 1 && blankLine.MatchString(l.text[items[n-2].End:last.Mark]) && !strings.Contains(l.text[items[n-2].End:last.Mark], "#") {
		before += st.brk
	}
	return apply(l.text, []splice{{at, at, before + render(st, margin)}}), nil
}

// afterComments returns the end of the comment lines below a line. at is the end of this line, and the result if no comment follows. Only
// comments that are indented deeper than margin count, because these seem to belong to the element above them.
func (l *list) afterComments(at, margin int) int {
	for {
		next := at + len(breakAt(l.text, at))
		if next == at {
			return at
		}
		end := lineEnd(l.text, next)
		line := l.text[next:end]
		if body := strings.TrimLeft(line, " \t"); !strings.HasPrefix(body, "#") || len(line)-len(body) <= margin {
			return at
		}
		at = end
	}
}

// removeItem returns the replacements that remove an element of a list. If the list has no other element, they write [] in its place.
func (l *list) removeItem(of *awsauth.Span, index int) ([]splice, error) {
	items := of.Items
	item := items[index]
	switch {
	case of.Flow && len(items) == 1:
		return []splice{{of.Start, of.End, "[]"}}, nil
	case of.Flow && index+1 < len(items):
		if strings.Contains(l.text[item.End:items[index+1].Start], "#") {
			comma := strings.IndexByte(l.text[item.End:], ',') + item.End
			return []splice{{item.Start, item.End, ""}, {comma, comma + 1, ""}}, nil
		}
		return []splice{{item.Start, items[index+1].Start, ""}}, nil
	case of.Flow:
		before := items[index-1].End
		if i := strings.IndexByte(l.text[before:item.Start], '#'); i >= 0 {
			comma := strings.IndexByte(l.text[before:], ',') + before
			return []splice{{comma, comma + 1, ""}, {item.Start, item.End, ""}}, nil
		}
		return []splice{{before, item.End, ""}}, nil
	}
	start := lineStart(l.text, item.Mark)
	end, ok := endOfLine(l.text, item.End)
	if !ok || !blank(l.text[start:item.Mark]) {
		return nil, l.refuse("it shares a line with other text")
	}
	if len(items) == 1 {
		return []splice{{of.Start, end, "[]"}}, nil
	}
	if brk := breakAt(l.text, end); brk != "" {
		end += len(brk)
		return []splice{{start, l.afterBlank(start, end), ""}}, nil
	}
	for _, brk := range []string{"\r\n", "\n", "\r"} { // a text that did not end with a line break still doesn't
		if before, ok := strings.CutSuffix(l.text[:start], brk); ok {
			return []splice{{len(before), end, ""}}, nil
		}
	}
	return []splice{{start, end, ""}}, nil
}

// afterBlank returns the end of the text to remove with an element. The lines of the element are from start to end. If an empty line is above
// the element, or if the element begins the text, an empty line below the element is also removed. So only one empty line is left.
func (l *list) afterBlank(start, end int) int {
	before := strings.TrimSuffix(strings.TrimSuffix(l.text[:start], "\n"), "\r")
	next := lineEnd(l.text, end)
	if blank(l.text[lineStart(before, len(before)):len(before)]) && blank(l.text[end:next]) {
		return next + len(breakAt(l.text, next))
	}
	return end
}

// setText returns the replacement that sets a key of the element to a text. If the element lacks the key, or has it only from a YAML merge, the
// replacement adds the key.
func (l *list) setText(name, value string) (splice, error) {
	if _, at, ok := l.pair(name); ok {
		return replaceValue(at, write(value, at.Quote, l.inFlow())), nil
	}
	st := l.styleOf()
	key := write(name, st.key, l.inFlow())
	return l.addPair(st, name, key+st.colon+st.value(field(name), value, l.inFlow()))
}

// replaceValue returns the replacement of a value by a scalar or a list in brackets.
func replaceValue(at *awsauth.Span, text string) splice {
	switch {
	case at.Start == at.End, at.Kind != awsauth.ScalarSpan && !at.Flow && at.Kind != awsauth.AliasSpan:
		return splice{at.After, at.End, " " + text}
	}
	return splice{at.Start, at.End, text}
}

// addPair returns the replacement that adds a key to the element. pair is the text of the key and its value. The key stands after the ARN, or
// for groups after the username. If the element has none of these keys, the key stands at its end.
func (l *list) addPair(st style, name, pair string) (splice, error) {
	item := l.item()
	if item.Kind != awsauth.MappingSpan || len(item.Items) == 0 {
		return splice{}, l.refuse("it is not a mapping with a key")
	}
	_, after, ok := l.pair("rolearn")
	if !ok {
		_, after, ok = l.pair("userarn")
	}
	if name == "groups" {
		if _, v, has := l.pair("username"); has {
			after, ok = v, true
		}
	}
	if !ok {
		after = item.Items[len(item.Items)-1]
	}
	if l.inFlow() {
		return splice{after.End, after.End, st.separator + pair}, nil
	}
	at, ok := endOfLine(l.text, after.End)
	if !ok {
		return splice{}, l.refuse("its keys share a line")
	}
	return splice{at, at, st.brk + strings.Repeat(" ", column(l.text, item.Items[0].Mark)) + pair}, nil
}
