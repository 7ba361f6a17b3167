package edit

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// write returns a value as a scalar on one line. It uses the quotes q if the value can stand in them, and otherwise double quotes. It leaves
// out the quotes only if every version of YAML reads the value as this text. flow reports that the value is in brackets or braces.
func write(value string, q awsauth.Quote, flow bool) string {
	printable := !strings.ContainsFunc(value, func(r rune) bool { return !unicode.IsPrint(r) })
	switch {
	case q != awsauth.SingleQuoted && q != awsauth.DoubleQuoted && plainSafe(value, flow):
		return value
	case q == awsauth.SingleQuoted && printable:
		return "'" + strings.ReplaceAll(value, "'", "''") + "'"
	}
	return doubleQuoted(value)
}

func doubleQuoted(value string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range value {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
	}
	return b.String() + `"`
}

// plainSafe reports whether every version of YAML certainly reads a value without quotes as this text. It also returns false for many values
// that would need no quotes. flow reports that the value is in brackets or braces.
func plainSafe(value string, flow bool) bool {
	if value == "" || value[len(value)-1] == ':' || awsauth.ReadsAsOtherType(value) {
		return false
	}
	for i, c := range []byte(value) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		switch {
		case letter:
		case i == 0:
			return false
		case c >= '0' && c <= '9', strings.IndexByte(":/_.+=@-", c) >= 0:
		case !flow && strings.IndexByte("{},", c) >= 0:
		default:
			return false
		}
	}
	return true
}
