package generate

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// arnField stands for the key of the ARN, which differs between sections.
const arnField = "arn"

// writer writes elements by hand, as people and templates do.
type writer struct {
	order    []string
	margin   string // before every dash
	deeper   string // before the dashes of groups, beyond the keys
	flow     bool   // elements in braces
	explicit bool   // keys with a question mark
	anchors  bool   // lists of groups that come again are aliases
	// key and value write scalars; plain where they are safe, if nil.
	key, value func(r *rand.Rand, text, indent string) string
}

func (w writer) list(r *rand.Rand, key string, entries []Entry) string {
	var b strings.Builder
	anchors := make(map[string]string)
	for _, e := range entries {
		pairs := w.pairs(r, key, e, anchors)
		if w.flow {
			fmt.Fprintf(&b, "%s- {%s}\n", w.margin, strings.Join(pairs, ", "))
			continue
		}
		dash := "- "
		for _, p := range pairs {
			b.WriteString(w.margin + dash + p + "\n")
			dash = "  "
		}
	}
	return b.String()
}

// pairs writes the keys of an element with their values.
func (w writer) pairs(r *rand.Rand, key string, e Entry, anchors map[string]string) []string {
	var pairs []string
	order := w.order
	if e.UserID != "" {
		order = append(slices.Clone(order), "userid")
	}
	for _, field := range order {
		switch field {
		case arnField:
			if e.PermissionSet != "" {
				pairs = append(pairs, "sso: {permissionSetName: "+e.PermissionSet+`, accountID: "`+e.ARN+`"}`)
				continue
			}
			pairs = append(pairs, w.pair(r, key, e.ARN))
		case "username":
			pairs = append(pairs, w.pair(r, field, e.Username))
		case "userid":
			pairs = append(pairs, w.pair(r, field, e.UserID))
		case "groups":
			if e.Groups != nil {
				pairs = append(pairs, w.name(r, field)+w.groups(r, e.Groups, anchors))
			}
		}
	}
	return pairs
}

func (w writer) pair(r *rand.Rand, key, value string) string {
	return w.name(r, key) + " " + w.scalar(r, value, w.margin+"    ")
}

// name writes a key with its colon.
func (w writer) name(r *rand.Rand, key string) string {
	if w.key != nil {
		key = w.key(r, key, "")
	}
	if w.explicit {
		return "? " + key + "\n" + w.margin + "  :"
	}
	return key + ":"
}

func (w writer) scalar(r *rand.Rand, text, indent string) string {
	if w.value != nil && !w.flow {
		return w.value(r, text, indent)
	}
	return plain(r, text, indent)
}

func (w writer) groups(r *rand.Rand, groups []string, anchors map[string]string) string {
	anchor := ""
	if w.anchors {
		id := strings.Join(groups, "\n")
		if name, ok := anchors[id]; ok {
			return " *" + name
		}
		anchors[id] = fmt.Sprintf("g%d", len(anchors))
		anchor = " &" + anchors[id]
	}
	if w.flow || len(groups) == 0 || r.IntN(4) == 0 {
		list := make([]string, len(groups))
		for i, g := range groups {
			list[i] = plain(r, g, "")
		}
		return anchor + " [" + strings.Join(list, ", ") + "]"
	}
	lines := []string{anchor}
	for _, g := range groups {
		lines = append(lines, w.margin+"  "+w.deeper+"- "+w.scalar(r, g, w.margin+w.deeper+"      "))
	}
	return strings.Join(lines, "\n")
}

// plain writes a text without quotes where YAML 1.1 reads it as that text.
func plain(_ *rand.Rand, text, _ string) string {
	lower := strings.ToLower(text)
	words := []string{"", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}
	switch {
	case slices.Contains(words, lower),
		strings.ContainsAny(text, "{}[],#&*!|>'\"%@`\n\t\\\r\u0085\u2028"),
		strings.Contains(text, ": ") || strings.HasSuffix(text, ":"),
		strings.TrimSpace(text) != text,
		strings.ContainsAny(text[:1], "-?:=<.+~0123456789"):
		return double(nil, text, "")
	}
	return text
}

func double(_ *rand.Rand, text, _ string) string {
	quoted, err := json.Marshal(text)
	return must(quoted, err)
}

func single(_ *rand.Rand, text, _ string) string {
	if strings.ContainsAny(text, "\n\r\t") {
		return double(nil, text, "")
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// escaped writes some letters as escapes.
func escaped(r *rand.Rand, text, _ string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch n := r.IntN(16); {
		case n == 0 && c < 0x100:
			fmt.Fprintf(&b, `\x%02x`, c)
		case n == 1 && c < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, c)
		case n == 2 || c < ' ':
			fmt.Fprintf(&b, `\U%08x`, c)
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// otherCase writes keys as the authenticator's documentation once did.
func otherCase(r *rand.Rand, key, _ string) string {
	switch r.IntN(4) {
	case 0:
		return strings.ToUpper(key[:1]) + key[1:]
	case 1:
		return strings.ReplaceAll(key, "arn", "ARN")
	case 2:
		return strings.ToUpper(key)
	}
	return key
}

// folded writes block scalars without a line break at their end.
func folded(r *rand.Rand, text, indent string) string {
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n\r\t") {
		return double(nil, text, "")
	}
	return one(r, []string{">-", "|-"}) + "\n" + indent + text
}

// tagged writes tags that leave a text what it is: those of YAML, and those of CloudFormation, which the
// authenticator does not know.
func tagged(r *rand.Rand, text, _ string) string {
	switch r.IntN(4) {
	case 0:
		return "!!binary " + base64.StdEncoding.EncodeToString([]byte(text))
	case 1:
		return "!!str " + double(nil, text, "")
	case 2:
		return "!Sub " + double(nil, text, "")
	}
	return double(nil, text, "")
}
