package awsauth

import (
	"slices"
	"strings"
)

// plainElements returns the number of elements of mapRoles or mapUsers in a text of the plain form, or -1 for a text of
// another form. kubectl, eksctl and Terraform write the plain form. The authenticator's YAML reader and that of the
// node tree give a plain text the same meaning. Every element is a mapping of known keys without duplicates, and no
// text follows the list. So the text has no fault to report, and only positions need its node tree. The form is:
//
//   - A line is empty, begins an element with a dash in the first column, writes a key in the third column, or lists a
//     group with a dash below groups. There are no comments, and no spaces at the end of a line.
//   - A key is written without quotes or in double quotes. No element has the key sso.
//   - A value is a text on one line, see isPlainValue.
//
// A value that YAML reads as another type, such as true, may have the plain form. The decoder reports its type.
func plainElements(s Section, text string) (elements int) {
	keys := ElementKeys(s)
	var seen [8]bool // the keys of the current element so far
	list := false    // whether the last key is groups
	indent := 0      // the indentation of the groups; 0 before the first one
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			continue
		}
		n := spaces(line, 0)
		rest, dash := strings.CutPrefix(line[n:], "- ")
		switch {
		case dash && n == 0:
			elements++
			seen = [8]bool{}
		case dash && n >= 2 && list && (indent == 0 || indent == n):
			indent = n
			if !isPlainValue(rest) {
				return -1
			}
			continue
		case dash || n != 2 || elements == 0:
			return -1
		}
		key, value, _ := strings.Cut(rest, ":")
		if len(key) > 2 && key[0] == '"' && key[len(key)-1] == '"' {
			key = key[1 : len(key)-1]
		}
		i := slices.Index(keys, key)
		if i < 0 || seen[i] || key == "sso" {
			return -1
		}
		seen[i], list, indent = true, key == "groups", 0
		if list && value == "" {
			continue
		}
		if value, ok := strings.CutPrefix(value, " "); list || !ok || !isPlainValue(value) {
			return -1
		}
	}
	return elements
}

// isPlainValue reports whether a text is a plain value. In quotes, a plain value has only printable ASCII characters
// and no escapes. Without quotes, it has only letters, digits and the characters :/_.+=@{},- in any order. Such a value
// begins with a letter and does not end with a colon.
func isPlainValue(value string) bool {
	if value == "" {
		return false
	}
	quote := value[0]
	if quote == '"' || quote == '\'' {
		if len(value) < 2 || value[len(value)-1] != quote {
			return false
		}
		for _, c := range []byte(value[1 : len(value)-1]) {
			if c < ' ' || c > '~' || c == quote || c == '\\' {
				return false
			}
		}
		return true
	}
	for _, c := range []byte(value) {
		if !isLetter(c) && (c < '0' || c > '9') && strings.IndexByte(":/_.+=@{},-", c) < 0 {
			return false
		}
	}
	return isLetter(quote) && value[len(value)-1] != ':'
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
