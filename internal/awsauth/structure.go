package awsauth

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mistake is a fault in the layout of a text.
type mistake struct {
	offset  int    // in the text
	problem string // the fault, as part of a sentence
	hint    string // how to correct it
	repair  repair // nil if only a person can correct it
}

// layout reads the lines of mapRoles or mapUsers and finds the mistakes that people make in the layout of a list of
// elements. The text does not parse, so layout guesses the meaning of each line from its form.
type layout struct {
	text    *Text
	first   line     // the line with the dash of the first element
	element line     // the line with the dash of the current element
	key     line     // the last key of the current element
	group   line     // the first group below the last key
	near    int      // the line of the YAML error
	keys    []string // the keys of the current element so far
	active  bool     // whether the current line is near the error
	found   *mistake
}

// line is one line of a section's text.
type line struct {
	number int // counted from one; zero stands for no line
	start  int // the offset of the line
	indent int // the number of spaces before the dash, or before the key if there is no dash
	column int // the number of bytes before the key or text
	dash   bool
	key    string // the key without quotes; empty if the line has none
	value  string // the text after the key, or after the dash
}

// at returns the offset of the line's first character after its indentation.
func (l line) at() int { return l.start + l.indent }

var (
	keyLine           = regexp.MustCompile(`^(["']?)([A-Za-z_][\w-]*)(["']?)[ \t]*:(?:[ \t]+|$)(.*)$`)
	joinedKey         = regexp.MustCompile(`^(?:"[^"]*"|'[^']*'|\[[^\]]*\]|\{\{[^{}]*\}\}|[^"'\[{#])*?[ \t]+(rolearn|userarn|username|groups):(?:[ \t]|$)`)
	spacedColon       = regexp.MustCompile(`^[^"'\[{>|&*!#][^#]*?:(?:[ \t]|$)`)
	colonless         = regexp.MustCompile(`^(rolearn|userarn|username|groups)(?::(\S.*)|[ \t]+([^:\s].*))$`)
	keyAndTypographic = regexp.MustCompile(`^(?:rolearn|userarn|username|groups)(?::[^\x00-\x7f]|[^\x00-\x7f])`)
	elementKey        = regexp.MustCompile(`(?i)^(rolearn|userarn|username|groups|userid|sso)$`)
)

func readLine(number, start int, text string) line {
	l := line{number: number, start: start, indent: spaces(text, 0)}
	body := text[l.indent:]
	for strings.HasPrefix(body, "- ") {
		l.dash = true
		rest := strings.TrimLeft(body[2:], " ")
		body = rest
	}
	l.column = len(text) - len(body)
	body = strings.TrimRight(body, " \t\r")
	if match := keyLine.FindStringSubmatch(body); match != nil {
		l.key, l.value = match[2], match[4]
	} else {
		l.value = body
	}
	return l
}

// layoutMistake returns the first mistake in the layout near the line of a YAML error. The mistake probably caused the
// error. layoutMistake returns false for mapAccounts, and if it recognizes no mistake.
func (t *Text) layoutMistake(near int) (mistake, bool) {
	if t.Section == MapAccounts {
		return mistake{}, false
	}
	l := &layout{text: t, near: near}
	start := t.index().first
	number := 0
	for text := range strings.Lines(t.raw[start:]) {
		number++
		trimmed := strings.TrimSpace(text)
		if trimmed != "" && trimmed[0] != '#' {
			l.read(readLine(number, start, strings.TrimRight(text, "\n")))
		}
		start += len(text)
		if l.found != nil {
			return *l.found, true
		}
	}
	return mistake{}, false
}

func (l *layout) report(at line, correct repair, hint, problem string, args ...any) {
	if l.found == nil {
		l.found = &mistake{at.at(), fmt.Sprintf(problem, args...), hint, correct}
	}
}

// rewrite returns a repair that replaces the bytes of a line from one column to another, counted from 0.
func (l *layout) rewrite(at line, from, to int, text string) repair {
	return l.text.rewrite(Replacement{at.start + from, at.start + to, text})
}

// column returns the column that an editor shows for a byte offset in a line.
func (l *layout) column(at line, offset int) int {
	return l.text.offsetPlace("", at.start+offset).Column
}

func (l *layout) move(what string, at line, from, to int) string {
	shift := to - from
	column := l.column(at, from)
	return fmt.Sprintf("move %s from column %d to column %d", what, column, column+shift)
}

// read reads one line. It reports mistakes only from two lines above the YAML error to one line below the error.
func (l *layout) read(at line) {
	l.active = at.number >= l.near-2 && at.number <= l.near+1
	if l.active {
		defer l.readValue(at)
	}
	switch {
	case IsSection(at.key) && l.active:
		l.report(at, l.text.splitSection(at.start, at.key), l.text.sectionHint(at.key), "the section %s begins inside the text of %s", at.key, l.text.Section)
		l.element, l.key, l.group = line{}, line{}, line{}
	case at.dash && elementKey.MatchString(at.key):
		l.readElement(at)
	case at.dash:
		l.readGroup(at)
	case at.key != "":
		l.readKey(at)
	}
}

func (l *layout) readElement(at line) {
	switch {
	case l.first.number == 0:
		l.first = at
	case l.active && at.indent != l.first.indent:
		l.report(at, l.text.moveElement(at, l.first.indent-at.indent), l.move("this element", at, at.indent, l.first.indent),
			"the dash of this element is in column %d, and that of the first element in column %d", l.column(at, at.indent), l.column(l.first, l.first.indent))
	}
	l.element, l.key, l.group = at, at, line{}
	l.keys = []string{at.key}
}

func (l *layout) readGroup(at line) {
	if l.key.key != "groups" || l.key.value != "" {
		return
	}
	switch {
	case l.active && l.group.number > 0 && at.indent != l.group.indent:
		l.report(at, l.text.moveItem(at, l.group.indent-at.indent), l.move("this dash", at, at.indent, l.group.indent),
			"the dash of %q is in column %d, and that of the group above it in column %d", at.value, l.column(at, at.indent), l.column(l.group, l.group.indent))
	case l.active && l.group.number == 0 && at.indent < l.key.column:
		l.report(at, l.text.moveItem(at, l.key.column-at.indent), l.move("this dash", at, at.indent, l.key.column),
			"the dash of %q is in column %d, left of groups in column %d", at.value, l.column(at, at.indent), l.column(l.key, l.key.column))
	case l.group.number == 0:
		l.group = at
	}
}

func (l *layout) readKey(at line) {
	nested := l.key.key == "sso" && at.indent > l.element.column
	if l.active && at.indent == l.first.indent && at.indent < l.element.column && slices.Contains(l.keys, at.key) {
		l.report(at, l.rewrite(at, at.indent, at.indent, "- "), fmt.Sprintf("write - %s: %s", at.key, at.value), "the dash of this element is missing, because the element above has the key %q too", at.key)
	}
	if l.active && l.element.number > 0 && at.indent != l.element.column && !nested && elementKey.MatchString(at.key) {
		l.report(at, l.text.moveKeys(at, l.element.column-at.indent), l.move(l.keysFrom(at), at, at.indent, l.element.column),
			"the key %q is in column %d, and %q of the same element in column %d", at.key, l.column(at, at.indent), l.element.key, l.column(l.element, l.element.column))
	}
	l.key, l.group = at, line{}
	l.keys = append(l.keys, at.key)
}

// keysFrom returns the names of the keys in the column of the given line's key, as a text such as "username and
// groups". It reads from this line up to the next element, or up to a line with less indentation.
func (l *layout) keysFrom(from line) string {
	var keys []string
	lines := 0
	for text := range strings.Lines(l.text.raw[from.start:]) {
		lines++
		if lines > maxKeyLines {
			break
		}
		at := readLine(0, 0, strings.TrimRight(text, "\n"))
		if at.value == "" && at.key == "" {
			continue
		}
		if at.indent < from.indent && !at.dash || at.dash && at.key != "" || len(keys) == len(roleKeys) {
			break
		}
		if at.indent == from.indent && at.key != "" {
			keys = append(keys, at.key)
		}
	}
	return joinWords(keys)
}

// maxKeyLines limits the lines that keysFrom reads.
const maxKeyLines = 100

func joinWords(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

// readValue finds mistakes within a line.
func (l *layout) readValue(at line) {
	body := strings.TrimRight(l.text.raw[at.start+at.indent:at.start+at.indent+lineLen(l.text.raw, at.start+at.indent)], " \t")
	switch {
	case strings.HasPrefix(body, "* "):
		l.report(at, l.rewrite(at, at.indent, at.indent+1, "-"), "write - instead of *", "an asterisk begins this line in place of a dash")
	case at.key == "" && keyAndTypographic.MatchString(at.value):
		_, c, _ := FindTypographic(at.value)
		offset, _, _ := FindTypographic(at.value)
		l.report(line{start: at.start, indent: at.column, number: at.number}, l.text.repairTypographic(at.start+at.column+offset), plainHint(c), "%s follows the key", c)
	case at.key != "" && elementKey.MatchString(strings.TrimSuffix(firstWord(at.value), ":")) && strings.HasSuffix(firstWord(at.value), ":"):
		l.report(line{start: at.start, indent: at.column, number: at.number}, l.rewrite(at, at.column, at.indent+strings.LastIndex(body, at.value), ""), "write "+at.value, "two keys follow each other, %s and %s", at.key, strings.TrimSuffix(firstWord(at.value), ":"))
	case strings.HasPrefix(body, "-") && !at.dash && elementKey.MatchString(strings.TrimSpace(strings.SplitN(body[1:], ":", 2)[0])):
		l.report(at, l.rewrite(at, at.indent+1, at.indent+1, " "), "write - "+body[1:], "a space is missing after the dash")
	case strings.HasPrefix(body, "-") && !at.dash && at.key == "" && l.key.key == "groups" && l.key.value == "":
		l.report(at, l.spaceDashes(at), "put a space after each dash of this list", "a space is missing after the dash")
	case at.key == "groups" && strings.HasPrefix(at.value, "- "):
		value := at.indent + strings.LastIndex(body, at.value)
		l.report(at, l.breakLine(at, value, at.column+2), "write "+strconv.Quote(at.value)+" on a line of its own below groups", "a dash follows groups on the same line")
	case at.key == "" && colonless.MatchString(at.value):
		match := colonless.FindStringSubmatch(at.value)
		l.report(line{start: at.start, indent: at.column, number: at.number}, l.rewrite(at, at.column, at.indent+len(body), match[1]+": "+match[2]+match[3]), "write "+match[1]+": "+match[2]+match[3], "a colon and a space are missing after %s", match[1])
	case at.key != "" && joinedKey.MatchString(at.value):
		second := joinedKey.FindStringSubmatch(at.value)[1]
		where := joinedKey.FindStringSubmatchIndex(at.value)[2] + at.indent + strings.LastIndex(body, at.value)
		l.report(at, l.breakLine(at, where, at.column), "write "+second+" on a line of its own", "the keys %s and %s are on one line", at.key, second)
	case elementKey.MatchString(at.key) && at.key != "groups" && spacedColon.MatchString(at.value):
		l.reportColon(at)
	case at.value != "" && strings.IndexByte("@`*%", at.value[0]) >= 0 && !strings.Contains(at.value, `"`):
		from := strings.LastIndex(body, at.value) + at.indent
		l.report(line{start: at.start, indent: from, number: at.number}, l.rewrite(at, from, from+len(at.value), strconv.Quote(at.value)), "write "+strconv.Quote(at.value), "a value that begins with %c needs quotes", at.value[0])
	}
}

// breakLine returns a repair that moves the end of a line to a line of its own. from is the first column of this end,
// counted from 0. indent is the indentation of the new line.
func (l *layout) breakLine(at line, from, indent int) repair {
	first := strings.TrimRight(l.text.raw[at.start:at.start+from], " \t")
	return l.rewrite(at, len(first), from, "\n"+strings.Repeat(" ", indent))
}

// spaceDashes returns a repair that writes the missing space after the dashes of a list. first is the first line of the
// list.
func (l *layout) spaceDashes(first line) repair {
	return func() []Texts {
		ended := false
		return l.text.with(eachLine(l.text.raw, func(start int, text string) string {
			body := strings.TrimLeft(text, " ")
			ended = ended || start > first.start && !strings.HasPrefix(body, "-")
			if start < first.start || ended || strings.HasPrefix(body, "- ") {
				return text
			}
			return text[:len(text)-len(body)] + "- " + body[1:]
		}))
	}
}

// close returns a repair that writes a closing quote or bracket after a value.
func (t *Text) close(offset int, value, end string) repair {
	code, _, _ := strings.Cut(value, " #")
	at := offset + len(strings.TrimRight(code, " \t"))
	return t.rewrite(Replacement{at, at, end})
}

// reportColon reports a value that YAML reads as a mapping, because the value ends with a colon or has a colon before a
// space.
func (l *layout) reportColon(at line) {
	value, _, _ := strings.Cut(at.value, " #")
	value = strings.TrimSpace(value)
	problem := "a space follows a colon in the value of %s, so YAML reads the value as a mapping"
	if strings.HasSuffix(value, ":") {
		problem = "a colon ends the value of %s, so YAML reads the value as a mapping"
	}
	value = strings.TrimRight(colonAndSpace.ReplaceAllString(value, ":"), ":")
	place := line{start: at.start, indent: strings.LastIndex(l.text.raw[at.start:at.start+lineLen(l.text.raw, at.start)], at.value), number: at.number}
	written, _, _ := strings.Cut(at.value, " #")
	l.report(place, l.rewrite(at, place.indent, place.indent+len(strings.TrimSpace(written)), value), "write "+value, problem, at.key)
}

var colonAndSpace = regexp.MustCompile(`:[ \t]+`)

// neighbours are groups of manifest keys. All keys of a group belong in the same column.
var neighbours = [][]string{
	{"apiVersion", "kind", "metadata", "data"},
	{"name", "namespace", "labels", "annotations"},
	{"mapRoles", "mapUsers", "mapAccounts"},
}

// columnMistake returns the first key of a manifest that is not in the column of its neighbours. It reports only keys
// near the line of the YAML error. The text does not parse, so columnMistake guesses the meaning of each line from its
// form.
func columnMistake(text string, near int) (mistake, bool) {
	first := make([]line, len(neighbours))
	start, number := 0, 0
	for body := range strings.Lines(text) {
		number++
		at := readLine(number, start, strings.TrimRight(body, "\r\n"))
		start += len(body)
		group := slices.IndexFunc(neighbours, func(keys []string) bool { return !at.dash && slices.Contains(keys, at.key) })
		switch {
		case group < 0 || number > near+1:
		case first[group].number == 0:
			first[group] = at
		case number < near-1 || at.indent == first[group].indent:
		case IsSection(at.key) || max(at.indent, first[group].indent)-min(at.indent, first[group].indent) == 1: // a key further away may be nested
			from, to := at.indent+1, first[group].indent+1
			return mistake{
				offset: at.at(), problem: fmt.Sprintf("the key %q is in column %d, and %q beside it in column %d", at.key, from, first[group].key, to),
				hint: "write both in the same column",
			}, true
		}
	}
	return mistake{}, false
}

// Line is a line of a text that does not parse, read as a key with a value or as an item of a list.
type Line struct {
	Key   string // empty for an item
	Value Scalar // without quotes
}

// UnparsedLines yields the keys with their values, and the items, of a text that does not parse. It leaves out empty
// values. It yields nothing for a text that parses, because the elements hold its values.
func (t *Text) UnparsedLines() iter.Seq[Line] {
	return func(yield func(Line) bool) {
		if t.Syntax == nil {
			return
		}
		start := t.index().first
		for text := range strings.Lines(t.raw[start:]) {
			at := readLine(0, start, strings.TrimRight(text, "\r\n"))
			value := strings.Trim(at.value, ` "'`)
			if value != "" && !strings.HasPrefix(strings.TrimSpace(text), "#") {
				place := t.offsetPlace(t.Section.Path(), start+strings.LastIndex(text, value))
				if !yield(Line{at.key, Scalar{value, place}}) {
					return
				}
			}
			start += len(text)
		}
	}
}

// openValue returns the first value that begins with a quote or a bracket and isn't closed.
func (t *Text) openValue(err error) (mistake, bool) {
	brackets := strings.Contains(err.Error(), "',' or ']'")
	start := t.index().first
	for text := range strings.Lines(t.raw[start:]) {
		at := readLine(0, start, strings.TrimRight(text, "\n"))
		start += len(text)
		if at.value == "" {
			continue
		}
		offset := at.start + strings.LastIndex(text, at.value)
		switch open := at.value[:1]; {
		case (open == `"` || open == "'") && strings.Count(at.value, open) == 1:
			return mistake{offset, "a quote opens before this value and is not closed", "write " + at.value + open, t.close(offset, at.value, open)}, true
		case open == "[" && brackets && !strings.Contains(at.value, "]"):
			return mistake{offset, "a bracket opens before this value and is not closed", "write " + at.value + "]", t.close(offset, at.value, "]")}, true
		}
	}
	return mistake{}, false
}

// sectionHint returns the hint for a section that begins inside the text of another one.
func (t *Text) sectionHint(section string) string {
	if s := t.object.positions; s != nil {
		if k, ok := s.data[string(t.Section)]; ok {
			_, column := s.file.position(k.key)
			return fmt.Sprintf("write %s: | in column %d, as a key of data", section, column)
		}
	}
	return "write " + section + " as a key of data"
}

// SectionHint returns the hint for a key of an element that has the name of a section.
func (m Mapping) SectionHint(section string) string { return m.text.sectionHint(section) }
