package generate

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// arnField stands in for the key of the ARN, which is rolearn or userarn.
const arnField = "arn"

// writer writes entries in the block or flow style of YAML, as people and templates do.
type writer struct {
	order       []string
	margin      string // before every line
	groupIndent string // indentation of the dashes of groups, in addition to that of the keys
	flow        bool   // writes elements in braces
	explicit    bool   // writes keys with a question mark
	anchors     bool   // writes a repeated list of groups as an alias
	// key writes keys, and value writes values. If key is nil, keys stay unchanged. If value is nil, plain writes the
	// values.
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

// pairs returns the keys of an entry with their values, in the order of the writer. anchors holds the anchors of the lists of
// groups that are already written.
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

// name returns a key with its colon.
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
		lines = append(lines, w.margin+"  "+w.groupIndent+"- "+w.scalar(r, g, w.margin+w.groupIndent+"      "))
	}
	return strings.Join(lines, "\n")
}

// plain returns a text without quotes if YAML 1.1 reads it as the same string, or else in double quotes.
func plain(_ *rand.Rand, text, _ string) string {
	lower := strings.ToLower(text)
	words := []string{"", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"}
	switch {
	case slices.Contains(words, lower),
		strings.ContainsAny(text, "{}[],#&*!|>'\"%@`\n\t\\\r\u0085\u2028"),
		strings.Contains(text, ": ") || strings.HasSuffix(text, ":"),
		strings.TrimSpace(text) != text,
		strings.ContainsAny(text[:1], "-?:=<.+~0123456789"):
		return doubleQuoted(nil, text, "")
	}
	return text
}

func doubleQuoted(_ *rand.Rand, text, _ string) string {
	quoted, err := json.Marshal(text)
	return mustText(quoted, err)
}

func singleQuoted(_ *rand.Rand, text, _ string) string {
	if strings.ContainsAny(text, "\n\r\t") {
		return doubleQuoted(nil, text, "")
	}
	return "'" + strings.ReplaceAll(text, "'", "''") + "'"
}

// escaped returns a text in double quotes. It writes random characters as escapes.
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

// otherCase returns a key with other capitals, such as roleARN in old documentation of the authenticator.
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

// folded returns a text as a block scalar without a final line break. It returns a text in double quotes if a block
// scalar would change it.
func folded(r *rand.Rand, text, indent string) string {
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\n\r\t") {
		return doubleQuoted(nil, text, "")
	}
	return pick(r, []string{">-", "|-"}) + "\n" + indent + text
}

// tagged returns a text in double quotes, mostly behind a tag, or in base64 behind the tag !!binary. The tag doesn't change the
// value. It is a tag of YAML, or a tag of CloudFormation, which the authenticator ignores.
func tagged(r *rand.Rand, text, _ string) string {
	switch r.IntN(4) {
	case 0:
		return "!!binary " + base64.StdEncoding.EncodeToString([]byte(text))
	case 1:
		return "!!str " + doubleQuoted(nil, text, "")
	case 2:
		return "!Sub " + doubleQuoted(nil, text, "")
	}
	return doubleQuoted(nil, text, "")
}
