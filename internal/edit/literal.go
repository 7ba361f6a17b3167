package edit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// literal returns the key with the text as a literal. indent is the column of the key.
func (m *manifest) literal(indent int) string {
	header, lines := m.block(indent, indent+2)
	if header == "" {
		return m.quotedPair(indent)
	}
	return string(m.section) + ": " + header + m.brk + strings.Join(lines, m.brk)
}

// block returns the header and the lines of the text as a literal, or "" for an empty text. parent is the column of the key.
func (m *manifest) block(parent, indent int) (header string, lines []string) {
	body := strings.TrimRight(m.text, "\n")
	if body == "" {
		return "", nil
	}
	header = "|"
	if strings.HasPrefix(strings.TrimLeft(body, "\n"), " ") {
		header += strconv.Itoa(indent - parent)
	}
	switch len(m.text) - len(body) {
	case 0:
		header += "-"
	case 1:
	default:
		header += "+"
		body = strings.TrimSuffix(m.text, "\n")
	}
	return header, indented(strings.Split(body, "\n"), indent)
}

// indented returns lines with spaces before each line that is not empty.
func indented(lines []string, indent int) []string {
	lines = slices.Clone(lines)
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", indent) + line
		}
	}
	return lines
}

// changeLiteral changes the lines of a literal. The lines at its beginning and at its end that are equal stay as they are.
func (m *manifest) changeLiteral(value *awsauth.Span, parent int) string {
	if value.Quote != awsauth.Literal {
		return ""
	}
	headerEnd := value.Text
	for headerEnd < len(m.file) && strings.IndexByte("|+-0123456789", m.file[headerEnd]) >= 0 {
		headerEnd++
	}
	header := m.file[value.Text:headerEnd]
	content := lineEnd(m.file, headerEnd)
	content += len(breakAt(m.file, content))
	body := strings.TrimRight(m.text, "\n")
	trim := func(s string) string { return strings.TrimRight(s, "\n") }
	if strings.Contains(header, "+") {
		trim = func(s string) string { return strings.TrimSuffix(s, "\n") }
	} else if len(m.text)-len(body) > 1 {
		return ""
	}
	if body == "" || content > value.End {
		return ""
	}
	written := strings.Split(m.file[content:value.End], "\n")
	old, now := strings.Split(trim(value.Value), "\n"), strings.Split(trim(m.text), "\n")
	if len(written) != len(old) {
		return ""
	}
	indent := 0
	for i, line := range old {
		if line != "" {
			indent = len(strings.TrimSuffix(written[i], "\r")) - len(line)
			break
		}
	}
	if strings.HasPrefix(strings.TrimLeft(body, "\n"), " ") && !strings.ContainsAny(header, "123456789") {
		header = header[:1] + strconv.Itoa(indent-parent) + header[1:]
	}
	if !strings.Contains(header, "+") {
		header = strings.TrimSuffix(header, "-")
		if m.text == body {
			header += "-"
		}
	}
	return apply(m.file, []splice{
		{value.Text, headerEnd, header},
		{content, value.End, strings.Join(mergeLines(written, old, now, max(indent, 0), m.brk), "\n")},
	})
}

// maxSearch limits the old lines in which mergeLines searches for each new line.
const maxSearch = 64

// mergeLines returns the written lines of a literal after a change of its value from old to now.
func mergeLines(written, old, now []string, indent int, brk string) []string {
	head, tail := 0, 0
	for head < len(old) && head < len(now) && old[head] == now[head] {
		head++
	}
	for tail < len(old)-head && tail < len(now)-head && old[len(old)-1-tail] == now[len(now)-1-tail] {
		tail++
	}
	lines := slices.Clone(written[:head])
	next := head
	for _, line := range now[head : len(now)-tail] {
		if i := slices.Index(old[next:min(next+maxSearch, len(old)-tail)], line); i >= 0 {
			lines, next = append(lines, written[next+i]), next+i+1
			continue
		}
		lines = append(lines, indented([]string{line}, indent)...)
	}
	lines = append(lines, written[len(written)-tail:]...)
	if n := len(lines); n > 0 { // the break after the last line stays in the file
		lines[n-1] = strings.TrimSuffix(lines[n-1], "\r")
		for i := range lines[:n-1] {
			lines[i] = strings.TrimSuffix(lines[i], "\r") + strings.TrimSuffix(brk, "\n")
		}
	}
	return lines
}

// replaceByLiteral writes a literal in place of another value.
func (m *manifest) replaceByLiteral(value *awsauth.Span, parent int) string {
	header, lines := m.block(parent, parent+2)
	end, ok := endOfLine(m.file, value.End)
	if header == "" || !ok {
		return ""
	}
	text := header + m.file[value.End:end] + m.brk + strings.Join(lines, m.brk)
	gap := m.file[value.After:value.Start]
	if value.Start == value.End || strings.ContainsAny(gap, "\r\n") && !strings.Contains(gap, "#") {
		return apply(m.file, []splice{{value.After, end, " " + text}})
	}
	return apply(m.file, []splice{{value.Start, end, text}})
}
