package awsauth

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var (
	yamlLine     = regexp.MustCompile(`line (\d+)`)
	yamlPreamble = regexp.MustCompile(`^(error converting YAML to JSON: )?(yaml: )?(line \d+: )?`)
	bareTemplate = regexp.MustCompile(`^\s*-?\s*(\w+:\s*|-\s*)\{\{[^}]*\}\}`)
)

// lineOf is the line that a YAML error names, or 0.
func lineOf(err error) int {
	match := yamlLine.FindStringSubmatch(err.Error())
	if match == nil {
		return 0
	}
	line, err := strconv.Atoi(match[1])
	if err != nil {
		return 0
	}
	return line
}

// bareYAMLError is the error's text without the names of the libraries and the line.
func bareYAMLError(err error) string {
	return yamlPreamble.ReplaceAllString(err.Error(), "")
}

// explainSyntax turns a decoder's error into a place, a problem and a remedy. The decoder names
// a line near the fault; the frequent mistakes are looked for in the text itself.
func (t *Text) explainSyntax(err error) *Fault {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &Fault{
			Place:   t.offsetPlace(t.Section.Path(), min(max(int(syntax.Offset)-1, 0), len(t.raw))),
			Problem: err.Error(),
			Hint:    "write a YAML list, each element with a dash",
		}
	}
	f := &Fault{Place: t.place(max(lineOf(err), 1)), Problem: bareYAMLError(err), Hint: "check the indentation and the quotes from here upwards"}
	if strings.Contains(f.Problem, "map key") { // sigs.k8s.io/yaml: YAML allows what JSON cannot say
		f.Problem, f.Hint = "a key in it is empty, a list or a mapping", "write rolearn, username and groups as keys"
	}
	offset := 0
	for line := range strings.Lines(t.raw) {
		column, problem, hint := syntaxMistake(line)
		if problem != "" {
			f.Place, f.Problem, f.Hint = t.offsetPlace(t.Section.Path(), offset+column), problem, hint
			return f
		}
		offset += len(line)
	}
	return f
}

// syntaxMistake recognizes a line that people write and YAML refuses; column is a byte offset.
func syntaxMistake(line string) (column int, problem, hint string) {
	body := strings.TrimLeftFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '-' })
	indent := line[:len(line)-len(body)]
	switch {
	case body == "" || body[0] == '#':
		return 0, "", ""
	case strings.Contains(indent, "\t"):
		return strings.IndexByte(indent, '\t'), "a tab indents this line, and YAML allows spaces only", "replace the tab with spaces"
	case strings.ContainsFunc(indent, func(r rune) bool { return r > 127 }):
		return strings.IndexFunc(indent, func(r rune) bool { return r > 127 }), "a no-break space indents this line, and YAML allows plain spaces only", "replace it with a plain space"
	case bareTemplate.MatchString(line):
		at := strings.Index(line, "{{")
		return at, "a value that begins with {{ must stand in quotes", "write " + strconv.Quote(line[at:strings.Index(line, "}}")+2])
	case strings.HasPrefix(line, "<<<<<<<") || strings.HasPrefix(line, ">>>>>>>"):
		return 0, "a conflict mark of a merge was left in the text", "resolve the conflict and remove the marks"
	}
	return 0, "", ""
}
