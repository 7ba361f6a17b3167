package awsauth

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Texts maps each section that a correction changes to its new text.
type Texts map[Section]string

// Replacement is a change of the text of a section: New replaces the bytes from the offset Start up to End.
type Replacement struct {
	Start, End int
	New        string
}

// ReplaceIn returns a text with the replacements made. Replacements at the same offset keep their order. ReplaceIn
// leaves out a replacement that overlaps one before it.
func ReplaceIn(text string, replacements []Replacement) string {
	sorted := slices.SortedStableFunc(slices.Values(replacements), func(a, b Replacement) int { return a.Start - b.Start })
	var b strings.Builder
	done := 0
	for _, r := range sorted {
		if r.Start < done {
			continue
		}
		b.WriteString(text[done:r.Start])
		b.WriteString(r.New)
		done = r.End
	}
	b.WriteString(text[done:])
	return b.String()
}

// Repairs returns the corrections that follow the hint of the fault, one for each way to read the hint. It returns nil
// if only a person can follow the hint. A corrected text can still have another fault of the same kind.
func (f *Fault) Repairs() []Texts {
	if f.repair == nil {
		return nil
	}
	return f.repair()
}

// repair computes the result of Repairs. It is nil if only a person can follow the hint.
type repair func() []Texts

// repairAt returns the repair of a mistake that [explainYAMLError] recognizes within a line. offset is the offset of
// the mistake, and hint its hint. It returns nil if only a person can correct the mistake.
func (t *Text) repairAt(offset int, hint string) repair {
	rest := t.raw[min(offset, len(t.raw)):]
	value, _, _ := strings.Cut(rest[:lineLen(rest, 0)], " #")
	value = strings.TrimSpace(value)
	switch at, _, typographic := FindTypographic(rest); {
	case strings.HasPrefix(rest, "\t"):
		return t.repairTabs
	case typographic && at == 0:
		return t.repairTypographic(offset)
	case strings.HasPrefix(rest, "{{") && hint == "write "+strconv.Quote(value):
		return t.rewrite(Replacement{offset, offset + len(value), strconv.Quote(value)})
	case hint == removeCharacter:
		return t.rewrite(Replacement{offset, offset + 1, ""})
	}
	return nil
}

// rewrite returns a repair that replaces bytes of the text.
func (t *Text) rewrite(replacements ...Replacement) repair {
	return func() []Texts { return t.with(ReplaceIn(t.raw, replacements)) }
}

// with returns a correction for each new text of the section. It leaves out duplicates and the present text.
func (t *Text) with(texts ...string) []Texts {
	var list []Texts
	for _, text := range texts {
		if text != t.raw && !slices.ContainsFunc(list, func(other Texts) bool { return other[t.Section] == text }) {
			list = append(list, Texts{t.Section: text})
		}
	}
	return list
}

// eachLine replaces each line of a text by the result of visit, and keeps the line breaks. visit gets the offset of the
// line and its text without the line break.
func eachLine(raw string, visit func(start int, line string) string) string {
	var b strings.Builder
	start := 0
	for line := range strings.Lines(raw) {
		body := strings.TrimRight(line, "\r\n")
		b.WriteString(visit(start, body))
		b.WriteString(line[len(body):])
		start += len(line)
	}
	return b.String()
}

// expandTabs returns a text in which spaces replace the tabs that indent its lines. width is the distance of the tab
// stops in columns. The white space after a line's first dash becomes one space.
func expandTabs(raw string, width int) string {
	return eachLine(raw, func(_ int, line string) string {
		body := strings.TrimLeft(line, " \t")
		if strings.HasPrefix(body, "-\t") || strings.HasPrefix(body, "- ") {
			body = "- " + strings.TrimLeft(body[1:], " \t")
		}
		column := 0
		for _, c := range line[:len(line)-len(strings.TrimLeft(line, " \t"))] {
			column++
			for c == '\t' && column%width != 0 {
				column++
			}
		}
		return strings.Repeat(" ", column) + body
	})
}

// repairTabs returns a correction for each usual width of a tab: 2, 4 and 8 columns. In each, spaces replace the tabs
// that indent lines.
func (t *Text) repairTabs() []Texts {
	return t.with(expandTabs(t.raw, 2), expandTabs(t.raw, 4), expandTabs(t.raw, 8))
}

// repairTypographic returns a repair for the typographic character at an offset. If the character stands for a dash or a
// space, or is invisible, the repair replaces it in the indentation of all lines. If no indentation has such a character, or
// if it is another character, the repair replaces it at the offset only.
func (t *Text) repairTypographic(offset int) repair {
	return func() []Texts {
		at, c, ok := FindTypographic(t.raw[min(offset, len(t.raw)):])
		if !ok || at != 0 {
			return nil
		}
		size := len(string(c.Rune))
		one := ReplaceIn(t.raw, []Replacement{{offset, offset + size, plainFor(c, t.raw[offset+size:])}})
		if c.Write != "-" && c.Write != " " && c.Write != "" {
			return t.with(one)
		}
		all := eachLine(t.raw, func(_ int, line string) string {
			body := strings.TrimLeftFunc(line, func(r rune) bool { return r == ' ' || r == c.Rune })
			if at := strings.IndexRune(line[:len(line)-len(body)], c.Rune); at >= 0 {
				indent := line[:len(line)-len(body)]
				return strings.ReplaceAll(indent, string(c.Rune), plainFor(c, line[at+size:])) + body
			}
			return line
		})
		if all == t.raw {
			return t.with(one)
		}
		return t.with(all)
	}
}

// plainFor returns the plain text that replaces a typographic character. rest is the text after the character. plainFor
// adds a space after a colon, and after a dash that replaces a bullet, if rest does not begin with a space.
func plainFor(c Typographic, rest string) string {
	if c.Write == ":" && !strings.HasPrefix(rest, " ") {
		return ": "
	}
	if c.Write == "-" && !strings.HasPrefix(rest, " ") && rest != "" && rest[0] != '\n' && strings.ContainsRune("•‣●", c.Rune) {
		return "- "
	}
	return c.Write
}

// moveLines returns the text in which the line that begins at start is moved by a number of columns. The lines below it
// move, too, up to the first line for which belongs returns false. Empty lines stay as they are.
func (t *Text) moveLines(start, by int, belongs func(line) bool) string {
	moving := true
	return eachLine(t.raw, func(at int, text string) string {
		switch {
		case at < start || strings.TrimSpace(text) == "":
			return text
		case at > start:
			moving = moving && belongs(readLine(0, at, text))
		}
		if !moving {
			return text
		}
		return strings.Repeat(" ", max(spaces(text, 0)+by, 0)) + strings.TrimLeft(text, " ")
	})
}

func alone(line) bool { return false }

// deeper returns a function that reports whether a line is indented deeper than a column.
func deeper(column int) func(line) bool { return func(l line) bool { return l.indent > column } }

// moveElement returns a repair with two corrections, which move lines by a number of columns. The first moves an
// element: its first line, and the lines that are indented deeper than its dash. The second moves only the first line.
func (t *Text) moveElement(at line, by int) repair {
	return func() []Texts {
		return t.with(t.moveLines(at.start, by, deeper(at.indent)), t.moveLines(at.start, by, alone))
	}
}

// moveKeys returns a repair with two corrections, which move lines by a number of columns. The first moves a key of an
// element, and the keys and groups below it. The second moves only the line of the key.
func (t *Text) moveKeys(at line, by int) repair {
	sameElement := func(l line) bool { return l.indent >= at.indent && (!l.dash || l.key == "") }
	return func() []Texts {
		return t.with(t.moveLines(at.start, by, sameElement), t.moveLines(at.start, by, alone))
	}
}

// moveItem returns a repair with two corrections, which move lines by a number of columns. The first moves the dash of
// a group, and the dashes in the same column below it. The second moves only the first dash.
func (t *Text) moveItem(at line, by int) repair {
	sameList := func(l line) bool { return l.indent == at.indent && l.dash && l.key == "" }
	return func() []Texts {
		return t.with(t.moveLines(at.start, by, sameList), t.moveLines(at.start, by, alone))
	}
}

// splitSection returns a repair for the name of a section that stands inside the text of another section. The repair
// moves the list below the name to the section of this name. start is the offset of the name's line. The repair returns
// nil if that section has a text already, or if no list is below the name. It also returns nil if the name's line has a
// dash, or has a value other than the header of a block scalar, such as |.
func (t *Text) splitSection(start int, name string) repair {
	return func() []Texts {
		section := Section(name)
		if section == t.Section || t.object.text(section) != "" {
			return nil
		}
		first := readLine(0, 0, t.raw[start:start+lineLen(t.raw, start)])
		if first.dash || first.value != "" && first.value[0] != '|' && first.value[0] != '>' {
			return nil
		}
		begin := start + lineLen(t.raw, start)
		begin += breakLen(t.raw, begin)
		var rest strings.Builder
		end := begin
		for text := range strings.Lines(t.raw[begin:]) {
			if l := readLine(0, 0, strings.TrimRight(text, "\r\n")); strings.TrimSpace(text) != "" && (l.indent < first.indent || l.indent == first.indent && !l.dash) {
				break
			}
			rest.WriteString(text)
			end += len(text)
		}
		list := dedent(rest.String())
		if strings.TrimSpace(list) == "" {
			return nil
		}
		return []Texts{{t.Section: t.raw[:start] + t.raw[end:], section: list}}
	}
}

// dedent removes the indentation that all lines of a text share.
func dedent(text string) string {
	indent := -1
	for line := range strings.Lines(text) {
		if n := spaces(line, 0); strings.TrimSpace(line) != "" && (indent < 0 || n < indent) {
			indent = n
		}
	}
	return eachLine(text, func(_ int, line string) string {
		if len(line) <= indent || indent < 0 {
			return strings.TrimLeft(line, " ")
		}
		return line[indent:]
	})
}

// leaveOutSeparators returns a repair that deletes the last line with --- or ... before an offset.
func (t *Text) leaveOutSeparators(offset int) repair {
	return func() []Texts {
		before := t.raw[:offset]
		at := max(strings.LastIndex(before, "\n---"), strings.LastIndex(before, "\n..."))
		if at < 0 {
			return nil
		}
		at++
		kept := eachLine(t.raw[at:], func(start int, line string) string {
			if l := strings.TrimSpace(line); at+start < offset && (l == "---" || l == "...") {
				return "\x00"
			}
			return line
		})
		return t.with(t.raw[:at] + strings.NewReplacer("\x00\r\n", "", "\x00\n", "", "\x00", "").Replace(kept))
	}
}

// repairAccounts returns a repair that writes the account ids in a text as a list. It returns nil if the text has
// anything other than account ids and separators.
func (t *Text) repairAccounts(text string) repair {
	if rest := strings.Trim(accountID.ReplaceAllString(text, ""), " \t\r\n,;\"'"); rest != "" {
		return nil
	}
	return func() []Texts {
		var b strings.Builder
		for _, account := range accountID.FindAllString(text, -1) {
			b.WriteString("- \"" + account + "\"\n")
		}
		return t.with(b.String())
	}
}

// leaveOutKey returns a repair that removes the key at the beginning of a text, if it is the key of the text's own
// section, such as mapRoles. For other texts leaveOutKey returns nil. root is the node of the text.
func (t *Text) leaveOutKey(root *yaml.Node) repair {
	if root.Style&yaml.FlowStyle != 0 || len(root.Content) != 2 || root.Content[0].Value != string(t.Section) {
		return nil
	}
	if list := root.Content[1]; list.Kind == yaml.ScalarNode {
		return func() []Texts { return t.with(list.Value) }
	}
	return func() []Texts {
		start := t.index().offset(t.raw, root.Content[0].Line, 1)
		end := start + lineLen(t.raw, start)
		rest := t.raw[end+breakLen(t.raw, end):]
		return t.with(t.raw[:start] + dedent(rest))
	}
}

// writeDash returns a repair that makes the keys of a mapping in block style the keys of one element.
func (t *Text) writeDash() repair {
	return func() []Texts {
		first := true
		return t.with(eachLine(t.raw, func(_ int, line string) string {
			body := strings.TrimLeft(line, " ")
			switch {
			case body == "" || first && body[0] == '#':
				return line
			case first:
				first = false
				return line[:len(line)-len(body)] + "- " + body
			}
			return "  " + line
		}))
	}
}
