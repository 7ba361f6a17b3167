package edit

import (
	"slices"
	"strconv"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// literal returns the section's key and its text as a literal block (mapRoles: |). An empty text is in quotes instead. indent is the column of
// the key.
func (m *manifest) literal(indent int) string {
	header, lines := m.block(indent, indent+2)
	if header == "" {
		return m.quotedPair(indent)
	}
	return string(m.section) + ": " + header + m.brk + strings.Join(lines, m.brk)
}

// block returns the header and the indented lines of the text as a literal block. For an empty text it returns "". parent is the column of
// the key, and indent is that of the lines.
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

// indented returns the lines with indent spaces before each line that is not empty.
func indented(lines []string, indent int) []string {
	lines = slices.Clone(lines)
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", indent) + line
		}
	}
	return lines
}

// changeLiteral returns the file with the new text in a literal block. Lines that the old and the new text share stay as they are. It returns
// "" if value is not a literal block, or if the block's header doesn't fit the new text. parent is the column of the key.
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

// maxSearch limits the number of old lines that mergeLines compares with each new line.
const maxSearch = 64

// mergeLines returns the lines of a literal block in the file after a change of its value from old to now. written has the present lines in the
// file, with their indentation. A line that is in old and in now stays as it is written. Other lines get the indentation indent.
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
	if n := len(lines); n > 0 { // the last line gets no line break, because the caller keeps the one that follows it
		lines[n-1] = strings.TrimSuffix(lines[n-1], "\r")
		for i := range lines[:n-1] {
			lines[i] = strings.TrimSuffix(lines[i], "\r") + strings.TrimSuffix(brk, "\n")
		}
	}
	return lines
}

// replaceByLiteral returns the file with a literal block in place of a value. It returns "" if the text is empty, or if another text stands in
// the line behind the value. parent is the column of the key.
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
