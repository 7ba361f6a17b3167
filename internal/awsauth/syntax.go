package awsauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

var (
	yamlLine     = regexp.MustCompile(`line (\d+)`)
	yamlPreamble = regexp.MustCompile(`^(error converting YAML to JSON: )?(yaml: )?(line \d+: )?`)
	bareTemplate = regexp.MustCompile(`^\s*-?\s*(\w+:\s*|-\s*)\{\{[^}]*\}\}`)
)

// lineOf returns the line number in the message of a YAML error, or 0 if there is none.
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

// bareYAMLError returns the error's text without the names of the libraries and the line.
func bareYAMLError(err error) string {
	return yamlPreamble.ReplaceAllString(err.Error(), "")
}

// explainSyntax turns a decoder's error into a fault with a position, a problem and a hint.
func (t *Text) explainSyntax(err error) *Fault {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &Fault{
			Position: t.offsetPlace(t.Section.Path(), min(max(int(syntax.Offset)-1, 0), len(t.raw))),
			Problem:  err.Error(),
			Hint:     "write a YAML list, each element with a dash",
		}
	}
	offset, problem, hint := explainYAMLError(t.raw, t.index(), err)
	correct := t.repairAt(offset, hint)
	if hint == genericHint {
		m, ok := mistake{}, false
		if strings.Contains(problem, "unexpected end of stream") { // YAML reads an open quote up to the end of the text
			m, ok = t.openValue(err)
		}
		if !ok {
			m, ok = t.layoutMistake(errorLine(err))
		}
		if !ok {
			m, ok = t.openValue(err)
		}
		if !ok {
			m, ok = t.typographicNear(errorLine(err))
		}
		if ok {
			offset, problem, hint, correct = m.offset, m.problem, m.hint, m.repair
		}
	}
	return &Fault{Position: t.offsetPlace(t.Section.Path(), offset), Problem: problem, Hint: hint, repair: correct}
}

// genericHint is the hint for a mistake that is not recognized.
const genericHint = "check the indentation and the quotes from here upwards"

// removeCharacter is the hint for a character that YAML allows nowhere.
const removeCharacter = "remove the character"

// explainYAMLError returns the offset of the mistake behind a YAML error, the problem and a hint. The error may name a
// line, but the mistake is only near that line. So explainYAMLError searches for the frequent mistakes around that
// line, then in the whole text.
func explainYAMLError(text string, lines *lineIndex, err error) (offset int, problem, hint string) {
	problem, hint = bareYAMLError(err), genericHint
	if strings.Contains(problem, "map key") { // sigs.k8s.io/yaml: YAML allows keys that JSON does not
		problem, hint = "an element has a key that is empty, a list or a mapping", "write rolearn, username and groups as keys"
	}
	line := errorLine(err)
	if line == 0 {
		if i := unreadableAt(text); i >= 0 {
			if r, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 { // for example a letter in Latin-1
				return i, fmt.Sprintf("the byte 0x%02x is not UTF-8", text[i]), "type the character again, and save the text as UTF-8"
			}
			return i, problem, removeCharacter
		}
		line = 1
	}
	start := lines.offset(text, line-1, 1)
	if offset, mistake, correction := findMistake(text[start:lines.offset(text, line+2, 1)]); mistake != "" {
		return start + offset, mistake, correction
	}
	if offset, mistake, correction := findMistake(text); mistake != "" {
		return offset, mistake, correction
	}
	offset = lines.offset(text, line, 1)
	return offset + spaces(text, offset), problem, hint
}

// findMistake returns the first mistake that syntaxMistake recognizes in the lines. If there is none, problem is "".
func findMistake(lines string) (offset int, problem, hint string) {
	for line := range strings.Lines(lines) {
		if column, problem, hint := syntaxMistake(line); problem != "" {
			return offset + column, problem, hint
		}
		offset += len(line)
	}
	return 0, "", ""
}

// syntaxMistake recognizes a frequent mistake in a line. column is the byte offset of the mistake in the line. If there
// is none, problem is "".
func syntaxMistake(line string) (column int, problem, hint string) {
	body := strings.TrimLeftFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '-' })
	indent := line[:len(line)-len(body)]
	switch {
	case body == "" || body[0] == '#':
		return 0, "", ""
	case strings.Contains(indent, "\t"):
		return strings.IndexByte(indent, '\t'), "a tab indents this line, and YAML allows spaces only", tabHint(indent)
	case typographicAt(line, len(indent)) >= 0:
		at := typographicAt(line, len(indent))
		_, c, _ := FindTypographic(line[at:])
		switch c.Write {
		case " ":
			return at, c.String() + " indents this line, and YAML allows plain spaces only", plainHint(c)
		case "":
			return at, "an invisible character begins this line, " + c.String(), plainHint(c)
		}
		return at, c.String() + " begins this line in place of " + plainName(c), plainHint(c)
	case bareTemplate.MatchString(line):
		at := strings.Index(line, "{{")
		value := strings.TrimSpace(line[at:])
		if name := value[:strings.Index(value, "}}")+2]; !slices.Contains(ownTemplates, name) {
			return at, "a value begins with the template " + name + ", which the authenticator does not know", "render the template before the object is applied"
		}
		return at, "a value that begins with {{ needs quotes", "write " + strconv.Quote(value)
	case strings.HasPrefix(body, "%{"):
		return len(indent), "a line begins with a template of Terraform, " + strings.TrimSpace(body), "render the template before the object is applied"
	case strings.HasPrefix(line, "<<<<<<<") || strings.HasPrefix(line, ">>>>>>>"):
		return 0, "the text has a conflict mark of a merge", "resolve the conflict and remove the marks"
	}
	return 0, "", ""
}

// tabHint returns the hint for a tab in the indentation of a line.
func tabHint(indent string) string {
	if strings.Contains(indent, "-\t") {
		return "replace the tab with one space"
	}
	return "replace the tab with spaces"
}

// typographicAt returns the offset of the first typographic character of a line, or -1 if there is none. It also returns
// -1 if the character stands further right than directly after the indentation, or if it is a quote directly after the
// indentation. indent is the length of the indentation.
func typographicAt(line string, indent int) int {
	at, c, ok := FindTypographic(line)
	if !ok || at > indent || at == indent && (c.Write == `"` || c.Write == "'") {
		return -1
	}
	return at
}

// typographicNear returns the first typographic character in the lines around a YAML error. It ignores comments.
func (t *Text) typographicNear(near int) (mistake, bool) {
	start, number := t.index().first, 0
	for line := range strings.Lines(t.raw[start:]) {
		number++
		code, _, _ := strings.Cut(line, " #")
		if at, c, ok := FindTypographic(code); ok && number >= near-1 && number <= near+1 && !strings.HasPrefix(strings.TrimSpace(code), "#") {
			return mistake{start + at, "the line has " + c.String(), plainHint(c), t.repairTypographic(start + at)}, true
		}
		start += len(line)
	}
	return mistake{}, false
}

// plainHint returns the hint to write a plain character instead of a typographic one.
func plainHint(c Typographic) string {
	switch c.Write {
	case " ":
		return "write a plain space instead of " + c.String()
	case "":
		return "remove the character " + c.String()
	case ":":
		return "write a colon and a space instead of " + c.String()
	}
	return "write " + c.Write + " instead of " + c.String()
}

// plainName describes the plain character that a typographic one stands for.
func plainName(c Typographic) string {
	switch c.Write {
	case "-":
		return "a dash"
	case " ":
		return "a space"
	case `"`, "'":
		return "a quote"
	}
	return strconv.Quote(c.Write)
}

// parserError matches the errors of libyaml's parser, which count lines from zero. The errors of its scanner count lines
// from one (go.yaml.in/yaml/v2 v2.4.5, decode.go, fail).
var parserError = regexp.MustCompile(`line \d+: (did not find expected (<|node content|key$|',|'-')|found (undefined|duplicate|incompatible) )`)

// errorLine returns the line of a YAML error, counted from one, or 0 if the error names no line.
func errorLine(err error) int {
	if parserError.MatchString(err.Error()) {
		return lineOf(err) + 1
	}
	return lineOf(err)
}

// unreadableAt returns the offset of the first character that YAML allows nowhere, or of the first byte that is not UTF-8.
// It returns -1 if there is neither. The YAML error about such a character or byte names no line.
func unreadableAt(text string) int {
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd"),
			r < ' ' && r != '\t' && r != '\n' && r != '\r',
			r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return i
		}
	}
	return -1
}
