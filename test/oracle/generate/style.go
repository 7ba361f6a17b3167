package generate

import (
	"encoding/json"
	"math/rand/v2"
	"strings"

	"sigs.k8s.io/yaml"
)

// Style is one way to write a section.
type Style struct {
	Name string
	// list writes entries as the elements of a section. key is rolearn or userarn.
	list func(r *rand.Rand, key string, entries []Entry) string
	// finish changes the text of a section. If it is nil, the text stays unchanged.
	finish func(r *rand.Rand, text string) string
}

// Styles returns every style. The authenticator reads the same model from all of them.
func Styles() []Style {
	block := writer{order: []string{arnField, "username", "groups"}}
	with := func(change func(*writer)) func(*rand.Rand, string, []Entry) string {
		w := block
		change(&w)
		return w.list
	}
	return []Style{
		{Name: "block", list: block.list},
		{Name: "block-indented", list: with(func(w *writer) { w.margin, w.groupIndent = "    ", "  " })},
		{Name: "eksctl", list: marshalled},
		{Name: "terraform", list: with(func(w *writer) {
			w.order = []string{"groups", arnField, "username"}
			w.key, w.value, w.groupIndent = doubleQuoted, doubleQuoted, "  "
		})},
		{Name: "cdk-json-line", list: jsonLine},
		{Name: "json-pretty", list: jsonPretty},
		{Name: "flow", list: with(func(w *writer) { w.flow = true })},
		{Name: "flow-list", list: flowList},
		{Name: "single-quotes", list: with(func(w *writer) { w.value = singleQuoted })},
		{Name: "escapes", list: with(func(w *writer) { w.value = escaped })},
		{Name: "key-case", list: with(func(w *writer) { w.key = otherCase })},
		{Name: "folded", list: with(func(w *writer) { w.value = folded })},
		{Name: "tags", list: with(func(w *writer) { w.value = tagged })},
		{Name: "explicit-keys", list: with(func(w *writer) { w.explicit = true })},
		{Name: "aliases", list: with(func(w *writer) { w.anchors = true })},
		{Name: "merge-keys", list: mergeKeys},
		{Name: "empty-lines", list: block.list, finish: emptyLines},
		{Name: "comments", list: block.list, finish: comments},
		{Name: "windows", list: block.list, finish: replace("\n", "\r\n")},
		{Name: "tab-before-value", list: block.list, finish: replace("username: ", "username:\t")},
		{Name: "byte-order-mark", list: block.list, finish: around("\ufeff", "")},
		{Name: "document-marks", list: block.list, finish: around("---\n", "...\n")},
	}
}

// Write writes a model in a style. For a section without entries, it writes no text, or one of the texts that the
// authenticator reads as empty.
func (s Style) Write(r *rand.Rand, m Model) map[string]string {
	data := make(map[string]string)
	put := func(section, text string, n int) {
		switch {
		case n == 0 && r.IntN(3) == 0:
			data[section] = pick(r, []string{"", "[]", "''", `""`, "``", " \n", "null\n", "# none\n"})
		case n == 0:
		case s.finish != nil:
			data[section] = s.finish(r, text)
		default:
			data[section] = text
		}
	}
	put("mapRoles", s.list(r, "rolearn", m.Roles), len(m.Roles))
	put("mapUsers", s.list(r, "userarn", m.Users), len(m.Users))
	put("mapAccounts", accountsText(r, m.Accounts), len(m.Accounts))
	return data
}

func accountsText(r *rand.Rand, accounts []string) string {
	quote := pick(r, []string{`"`, "'", ""})
	if r.IntN(2) == 0 {
		return "[" + quote + strings.Join(accounts, quote+", "+quote) + quote + "]\n"
	}
	return "- " + quote + strings.Join(accounts, quote+"\n- "+quote) + quote + "\n"
}

// fields returns the entry as a value for encoders. key is rolearn or userarn.
func (e Entry) fields(key string) map[string]any {
	f := map[string]any{"username": e.Username}
	if e.PermissionSet != "" {
		f["sso"] = map[string]any{"permissionSetName": e.PermissionSet, "accountID": e.ARN}
	} else {
		f[key] = e.ARN
	}
	if e.Groups != nil {
		f["groups"] = e.Groups
	}
	if e.UserID != "" {
		f["userid"] = e.UserID
	}
	return f
}

func encodable(key string, entries []Entry) []map[string]any {
	list := make([]map[string]any, len(entries))
	for i, e := range entries {
		list[i] = e.fields(key)
	}
	return list
}

// marshalled writes entries as eksctl and EKS itself do: with sorted keys, so that groups come first.
func marshalled(_ *rand.Rand, key string, entries []Entry) string {
	text, err := yaml.Marshal(encodable(key, entries))
	return mustText(text, err)
}

func jsonLine(_ *rand.Rand, key string, entries []Entry) string {
	text, err := json.Marshal(encodable(key, entries))
	return mustText(text, err)
}

func jsonPretty(r *rand.Rand, key string, entries []Entry) string {
	text, err := json.MarshalIndent(encodable(key, entries), "", pick(r, []string{"  ", "    ", "\t"}))
	return mustText(text, err)
}

func mustText(text []byte, err error) string {
	if err != nil {
		panic(err) // can't happen, because the value holds only texts, lists and mappings
	}
	return string(text)
}

func flowList(r *rand.Rand, key string, entries []Entry) string {
	w := writer{order: []string{arnField, "username", "groups"}, flow: true}
	lines := strings.Split(strings.TrimSuffix(w.list(r, key, entries), "\n"), "\n")
	for i := range lines {
		lines[i] = "  " + strings.TrimPrefix(lines[i], "- ")
	}
	return "[\n" + strings.Join(lines, ",\n") + "\n]\n"
}

// mergeKeys writes an anchor for the first entry, and merges this entry into the others with the key <<.
func mergeKeys(r *rand.Rand, key string, entries []Entry) string {
	var b strings.Builder
	w := writer{order: []string{arnField, "username", "groups"}}
	for i, e := range entries {
		text := w.list(r, key, []Entry{e})
		if i == 0 {
			b.WriteString("- &first\n  " + text[len("- "):])
			continue
		}
		b.WriteString("- <<: *first\n  " + text[len("- "):])
		if e.Groups == nil {
			b.WriteString("  groups: []\n")
		}
		if e.UserID == "" && entries[0].UserID != "" {
			b.WriteString("  userid: ''\n")
		}
	}
	return b.String()
}

func replace(before, after string) func(*rand.Rand, string) string {
	return func(_ *rand.Rand, text string) string { return strings.ReplaceAll(text, before, after) }
}

func around(before, after string) func(*rand.Rand, string) string {
	return func(_ *rand.Rand, text string) string { return before + text + after }
}

func emptyLines(r *rand.Rand, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if r.IntN(3) == 0 {
			b.WriteString(pick(r, []string{"\n", "  \n", "\n\n"}))
		}
		b.WriteString(line)
	}
	return b.String()
}

// comments inserts comments, such as commented-out entries. The comments don't change the content.
func comments(r *rand.Rand, text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "- ") && r.IntN(3) == 0 {
			b.WriteString("# - rolearn: arn:aws:iam::111122223333:role/former\n#   username: former\n")
		}
		if r.IntN(4) == 0 {
			line = strings.TrimSuffix(line, "\n") + " # since 2019\n"
		}
		b.WriteString(line)
		if r.IntN(4) == 0 {
			b.WriteString("    # the next one: {{ours}}, \"quoted\n")
		}
	}
	return b.String()
}
