package awsauth

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// Key returns the key of a value. It returns false for a value in a list, and for an element.
func (f Field) Key() (key string, ok bool) { return f.name, f.name != "" && f.nth == 0 }

// nodeLine returns the line in which a node begins.
func (t *Text) nodeLine(n *yaml.Node) line {
	start := t.index().offset(t.raw, n.Line, 1)
	return readLine(n.Line, start, t.raw[start:start+lineLen(t.raw, start)])
}

// SplitSection returns the correction for a key that stands in an element and has the name of a section. In the
// correction, the lines below the key are the text of that section. It returns nil if there is no such correction.
func (f Field) SplitSection() []Texts {
	if f.node == nil {
		return nil
	}
	return f.text.splitSection(f.text.nodeLine(f.node).start, f.Value)()
}

// BeginElement returns the correction that writes a dash before this key, so that the key begins a new element. It
// returns nil if the line of the key has a dash already, or fewer than two spaces before the key.
func (f Field) BeginElement() []Texts {
	if f.node == nil {
		return nil
	}
	at := f.text.nodeLine(f.node)
	if at.dash || at.key != f.Value || at.indent < 2 {
		return nil
	}
	return f.text.rewrite(Replacement{at.start + at.indent - 2, at.start + at.indent, "- "})()
}

// JoinAbove returns the correction that replaces the dash of this element by a space, so that its keys belong to the
// element above. It returns nil if the element begins in the first line of the text, or if no dash begins its line.
func (m Mapping) JoinAbove() []Texts {
	m = m.withNodes()
	if m.written == nil || m.written.Line == 1 {
		return nil
	}
	at := m.text.nodeLine(m.written)
	if !at.dash {
		return nil
	}
	return m.text.rewrite(Replacement{at.at(), at.at() + 1, " "})()
}

// MoveBelowGroups returns the corrections for an element that is only a text. They make the text a group of the element
// above. The first correction also moves the texts in the same column below it. MoveBelowGroups returns nil if no dash
// begins the line of the text, or if the element above is in braces.
func (m Mapping) MoveBelowGroups(above Mapping) []Texts {
	m, above = m.withNodes(), above.withNodes()
	if m.written == nil || above.written == nil || above.written.Style&yaml.FlowStyle != 0 {
		return nil
	}
	at := m.text.nodeLine(m.written)
	if !at.dash || at.key != "" {
		return nil
	}
	return m.text.moveItem(at, above.written.Column-1-at.indent)()
}

// MoveOut returns the corrections for inner, an element that stands among the groups of this element. They make inner
// an element of the section.
func (m Mapping) MoveOut(inner Field) []Texts {
	m = m.withNodes()
	if m.written == nil || inner.node == nil {
		return nil
	}
	at := m.text.nodeLine(inner.node)
	if !at.dash || m.written.Style&yaml.FlowStyle != 0 {
		return nil
	}
	return m.text.moveElement(at, m.text.nodeLine(m.written).indent-at.indent)()
}

// Rewrite returns the replacement that writes a text in place of a list in brackets, or of a mapping with one key. It
// returns false if the list or mapping is not on one line.
func (w WrongType) Rewrite(value string) (Replacement, bool) {
	if w.node == nil {
		return Replacement{}, false
	}
	n, raw := w.node, w.text.raw
	start := w.text.index().offset(raw, n.Line, n.Column)
	switch line := raw[start : start+lineLen(raw, start)]; {
	case n.Kind == yaml.SequenceNode && strings.HasPrefix(line, "["):
		if end := strings.IndexByte(line, ']'); end > 0 {
			return Replacement{start, start + end + 1, scalarText(value, 0)}, true
		}
	case n.Kind == yaml.MappingNode && n.Style&yaml.FlowStyle == 0 && len(n.Content) == 2:
		f := w.Field
		f.node = n.Content[1]
		if _, end, _, ok := f.span(); ok && end <= start+len(line) {
			return Replacement{start, end, scalarText(value, 0)}, true
		}
	}
	return Replacement{}, false
}

// foldedLines returns the part of the text that YAML appends to a value: from the offset start up to end. Each line of
// this part begins with a dash, or with a character in place of a dash. foldedLines returns false if YAML appends
// nothing, or if it appends other lines, too.
func (f Field) foldedLines() (start, end int, ok bool) {
	if _, _, folded := f.Folded(); !folded {
		return 0, 0, false
	}
	raw := f.text.raw
	start = scalarOffset(raw, f.text.index(), f.node)
	start += lineLen(raw, start)
	start += breakLen(raw, start)
	end = start
	for text := range strings.Lines(raw[start:]) {
		body := strings.TrimSpace(text)
		if body == "" || !strings.Contains(f.node.Value, body) || readLine(0, 0, text).key != "" {
			break
		}
		if _, dash := cutDash(body); !dash {
			return 0, 0, false
		}
		end += len(text)
	}
	return start, end, end > start
}

// cutDash returns the text after a dash and a space, or after a typographic character in place of a dash. It returns
// false if the text begins with another character.
func cutDash(text string) (rest string, ok bool) {
	if rest, ok := strings.CutPrefix(text, "- "); ok {
		return rest, true
	}
	if at, c, found := FindTypographic(text); found && at == 0 && c.Write == "-" {
		return text[len(string(c.Rune)):], true
	}
	return "", false
}

// AlignFolded returns the correction for lines with dashes that YAML appends to a group. It moves their dashes to the
// column of the group's dash, so that they are groups, too. It returns nil if there are no such lines.
func (f Field) AlignFolded() []Texts {
	start, end, ok := f.foldedLines()
	if !ok {
		return nil
	}
	above := f.text.nodeLine(f.node)
	if !above.dash || above.key != "" {
		return nil
	}
	return f.text.with(f.text.raw[:start] + items(f.text.raw[start:end], above.indent) + f.text.raw[end:])
}

// items writes each line as an item of a list. indent is the number of spaces before each dash.
func items(lines string, indent int) string {
	return eachLine(lines, func(_ int, text string) string {
		rest, _ := cutDash(strings.TrimSpace(text))
		return strings.Repeat(" ", indent) + "- " + strings.TrimSpace(rest)
	})
}

// MoveFolded returns the correction for lines with dashes that YAML appends to a value of the element. It makes them
// groups of the element. It returns nil if there are no such lines.
func (m Mapping) MoveFolded(f Field) []Texts {
	m = m.withNodes()
	start, end, ok := f.foldedLines()
	if !ok || m.written == nil {
		return nil
	}
	raw := m.text.raw
	moved, rest := raw[start:end], func(at int, lines string) []Texts { // at must not be between start and end
		if at <= start {
			return m.text.with(raw[:at] + lines + raw[at:start] + raw[end:])
		}
		return m.text.with(raw[:start] + raw[end:at] + lines + raw[at:])
	}
	column := m.written.Column - 1
	for _, p := range pairs(m.node, 0) {
		if resolveAlias(p.key).Value != "groups" {
			continue
		}
		at := m.text.nodeLine(p.key)
		if at.key != "groups" || at.value != "" && !strings.HasPrefix(at.value, "#") {
			return nil
		}
		indent := column
		if list := resolveAlias(p.value); len(list.Content) > 0 {
			at = m.text.nodeLine(list.Content[len(list.Content)-1])
			indent = at.indent
		}
		next := at.start + lineLen(raw, at.start)
		return rest(next+breakLen(raw, next), items(moved, indent))
	}
	return rest(start, strings.Repeat(" ", column)+"groups:\n"+items(moved, column))
}
