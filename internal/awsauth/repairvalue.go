package awsauth

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Write returns the replacement that gives a value or a key another text in the same style. It returns false for a value
// that is not on one line, for an alias, and for a value that the text does not have.
func (f Field) Write(value string) (Replacement, bool) {
	start, end, quote, ok := f.span()
	if !ok {
		return Replacement{}, false
	}
	if f.text.Section == MapAccounts && quote == 0 {
		quote = '"' // other tools read an account id without quotes as a number
	}
	return Replacement{start, end, scalarText(value, quote)}, true
}

// WriteList returns the replacement that writes a list in brackets in place of a value. It returns false for the same
// values as [Field.Write].
func (f Field) WriteList(values []string) (Replacement, bool) {
	start, end, _, ok := f.span()
	if !ok {
		return Replacement{}, false
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = scalarText(v, 0)
	}
	return Replacement{start, end, "[" + strings.Join(list, ", ") + "]"}, true
}

// WriteItems returns the replacement that writes several items in place of one item of a list. It returns false for the
// same values as [Field.Write], and if there are no items.
func (f Field) WriteItems(values []string) (Replacement, bool) {
	start, end, quote, ok := f.span()
	if !ok || len(values) == 0 {
		return Replacement{}, false
	}
	if f.text.Section == MapAccounts && quote == 0 {
		quote = '"'
	}
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = scalarText(v, quote)
	}
	separator := ", "
	if at := f.text.nodeLine(f.node); at.dash && f.text.index().offset(f.text.raw, f.node.Line, f.node.Column) == at.start+at.column {
		separator = "\n" + strings.Repeat(" ", at.indent) + "- "
	}
	return Replacement{start, end, strings.Join(list, separator)}, true
}

// span returns the offsets in the text at which a scalar with its quotes begins and ends. quote is its quote, or 0 if
// it has none. It returns false for a value that is not on one line, for an alias, and for a value that the text does
// not have.
func (f Field) span() (start, end int, quote byte, ok bool) {
	n := f.node
	if n == nil && f.text.plain {
		n = f.text.withNodes()[f.index].nodeOf(f)
	}
	if n == nil || n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return 0, 0, 0, false
	}
	raw := f.text.raw
	start = skipProperties(raw, f.text.index().offset(raw, n.Line, n.Column))
	line := raw[start : start+lineLen(raw, start)]
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) == 0 {
		if n.Value == "" || !strings.HasPrefix(line, n.Value) {
			return 0, 0, 0, false
		}
		rest := strings.TrimLeft(line[len(n.Value):], " \t\r")
		if rest == "" { // a plain value can go on in the next line
			if value, _, folded := f.Folded(); folded && value != "" {
				return 0, 0, 0, false
			}
		}
		return start, start + len(n.Value), 0, true
	}
	if line == "" {
		return 0, 0, 0, false
	}
	quote = line[0]
	for i := 1; i < len(line); i++ {
		switch {
		case line[i] == '\\' && quote == '"', line[i] == '\'' && quote == '\'' && strings.HasPrefix(line[i+1:], "'"):
			i++
		case line[i] == quote:
			return start, start + i + 1, quote, true
		}
	}
	return 0, 0, 0, false
}

// scalarText writes a value as a YAML scalar. It uses the given quotes if the value needs no escapes. If quote is 0, it
// writes no quotes around a value that every YAML reader reads as a string, even in a list in brackets. In every other
// case it uses double quotes.
func scalarText(value string, quote byte) string {
	simple := strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\'' || r == '\\' }) < 0
	switch {
	case simple && quote != 0:
		return string(quote) + value + string(quote)
	case quote == 0 && plainText.MatchString(value) && !ReadsAsOtherType(value):
		return value
	}
	return strconv.Quote(value)
}

// ReadsAsOtherType reports whether YAML 1.1 reads a word without quotes as a boolean or null (yaml.org/type/bool.html, null.html).
func ReadsAsOtherType(word string) bool {
	return slices.Contains([]string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}, strings.ToLower(word))
}
