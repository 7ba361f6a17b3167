package generate

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// Break is a mistake in the text of a section. apply makes the mistake in a random place. If the text has no place for the
// mistake, apply returns the text unchanged.
type Break struct {
	Name  string
	apply func(r *rand.Rand, text string) string
}

// Breaks returns every break.
func Breaks() []Break {
	return []Break{
		{"tab-indentation", onLine(`^ +`, func(string) string { return "\t" })},
		{"no-break-space", onLine(` +`, func(s string) string { return strings.Repeat("\u00a0", len(s)) })},
		{"typographic-dash", func(r *rand.Rand, text string) string {
			return onLine(`-`, func(string) string { return pick(r, []string{"\u2014", "\u2013", "\u2010", "\u2212", "\uff0d"}) })(r, text)
		}},
		{"typographic-quotes", func(r *rand.Rand, text string) string {
			pair := pick(r, []string{"\u201c\u201d", "\u2018\u2019", "\u00ab\u00bb", "\uff02\uff02"})
			return onLine(`[\w/.@:+-]+$|"[^"]*"`, func(s string) string {
				quotes := []rune(pair)
				return string(quotes[0]) + strings.Trim(s, `"`) + string(quotes[1])
			})(r, text)
		}},
		{"typographic-space", func(r *rand.Rand, text string) string {
			return onLine(` `, func(string) string { return pick(r, []string{"\u00a0", "\u2003", "\u202f", "\u3000"}) })(r, text)
		}},
		{"invisible", func(r *rand.Rand, text string) string {
			return onLine(`\w`, func(s string) string { return s + pick(r, []string{"\u200b", "\u00ad", "\u2060", "\u200e", "\ufeff"}) })(r, text)
		}},
		{"full-width-colon", onLine(`:`, func(string) string { return "\uff1a" })},
		{"comment-first-line", onLine(`^ *- .*(arn|groups|user).*`, func(s string) string { return "# " + s })},
		{"comment-line", onLine(`^.*$`, func(s string) string { return "# " + s })},
		{"missing-dash", onLine(`^( *)- `, func(s string) string { return strings.Replace(s, "-", " ", 1) })},
		{"deeper", onLine(`^ *`, func(s string) string { return s + " " })},
		{"shallower", onLine(`^ `, func(string) string { return "" })},
		{"document-between", onLine(`^- `, func(s string) string { return "---\n" + s })},
		{"document-end", onLine(`^- `, func(s string) string { return "...\n" + s })},
		{"groups-as-text", onLine(`groups"?: *\[.*?\]`, func(s string) string { return "groups: " + strings.Trim(s[strings.IndexByte(s, '['):], "[]") })},
		{"no-quotes", onLine(`"[^"]*"`, func(s string) string { return strings.Trim(s, `"`) })},
		{"duplicate-key", onLine(`^ +\w+: .*`, func(s string) string { return s + "\n" + s })},
		{"duplicate-username", onLine(`^  username: .*`, func(s string) string { return s + "\n  username: other" })},
		{"username-number", onLine(`username: .*`, func(string) string { return "username: 0123" })},
		{"username-yes", onLine(`username: .*`, func(string) string { return "username: yes" })},
		{"username-template", onLine(`username: .*`, func(string) string { return "username: {{SessionName}}" })},
		{"misspelt-key", onLine(`(role|user)arn`, func(s string) string { return similarKey(s, "roleam", "rolearns", "role_arn", "userarm") })},
		{"misspelt-groups", onLine(`groups`, func(string) string { return "group" })},
		{"value-block", onLine(`arn: .*`, func(s string) string { return "arn: |\n    " + strings.TrimPrefix(s, "arn: ") })},
		{"in-a-list", onText(func(text string) string {
			return "- " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
		})},
		{"in-a-mapping", onText(func(text string) string { return "mapRoles:\n" + text })},
		{"in-quotes", onText(func(text string) string { return doubleQuoted(nil, text, "") })},
		{"as-block", onText(func(text string) string { return "|\n  " + strings.ReplaceAll(text, "\n", "\n  ") })},
		{"cut-off", func(r *rand.Rand, text string) string { return text[:r.IntN(len(text)+1)] }},
		{"garbage-behind", onText(func(text string) string { return text + "system:masters\n" })},
		{"element-text", onText(func(text string) string { return text + "\n- x\n" })},
		{"element-null", onText(func(text string) string { return text + "\n-\n" })},
		{"twice", onText(func(text string) string { return text + text })},
		{"account-fails-to-decode", onLine(`^- ["']?[0-9]{12}["']?$`, func(s string) string { return s + "\n- !!int \"x\"" })},
		{"account-bad-binary", onLine(`^- ["']?[0-9]{12}["']?$`, func(s string) string { return s + "\n- !!binary \"%\"" })},
		{"account-mapping", onLine(`^- ["']?[0-9]{12}["']?$`, func(s string) string { return "- {a: b}\n" + s })},
		{"account-tags", onLine(`^- ["']?[0-9]{12}["']?$`, func(s string) string { return "- !!str " + s[len("- "):] + "\n- !!int 444455556666" })},
		{"account-alias", onLine(`^- ["']?[0-9]{12}["']?$`, func(s string) string { return "- &one " + s[len("- "):] + "\n- *one\n- !!float 1.5" })},
		{"field-int", onLine(`username"?: .*`, func(s string) string { return "username: !!int \"7\"" })},
		{"field-fails-to-decode", onLine(`username: .*`, func(s string) string { return "username: !!int \"x\"" })},
		{"directive-tag", onText(func(text string) string { return "%TAG ! tag:example.com,2000:\n---\n" + text })},
		{"directive-version", func(r *rand.Rand, text string) string {
			return "%YAML 1." + pick(r, []string{"0", "1", "2", "3"}) + "\n---\n" + text
		}},
		{"directives-past-limit", onText(func(text string) string {
			var b strings.Builder
			for i := range 17 {
				fmt.Fprintf(&b, "%%TAG !%d! x\n", i)
			}
			return b.String() + "---\n" + text
		})},
		{"directive-unknown", onText(func(text string) string { return "%FOO bar\n---\n" + text })},
		{"tail", func(r *rand.Rand, text string) string { return text + pick(r, tails) }},
		{"comment-with-signs", onText(func(text string) string { return "# R&D *\n" + text })},
		{"comment-with-signs-and-tail", func(r *rand.Rand, text string) string { return "# R&D *\n" + text + pick(r, tails) }},
		{"commas-in-comment", onText(func(text string) string { return "# " + strings.Repeat(",", 60_000) + "\n" + text })},
		{"raw-comment", onText(func(text string) string { return "# caf\xe9\n" + text })},
		{"raw-end", onText(func(text string) string { return text + "# cut \xe2\x82\n" })},
		{"raw-value", onLine(`username: .*`, func(s string) string { return s + "\xff" })},
		{"raw-tail", onText(func(text string) string { return text + "---\n\xff\n" })},
		{"replacement-character", onText(func(text string) string { return "# caf\ufffd\n" + text })},
		{"bytes", Mutate},
	}
}

// tails are texts after the end of the YAML document. The authenticator's YAML reader stops at this end. Some other
// readers look further.
var tails = []string{
	"---\n\t- x\n", "---\n@\n", "...\n@\n", "...\n%\n", "---\n%\n", "---\n\"\n", "...\n'\n", "---\n- [\n", "...\n\t\n", "---\n`\n",
	"---\n*a\n", "---\n!<\n", "...\n!<x\n", "---\n\x01\n", "...\n\x01\n", "...\n%YAML 9.9\n---\n", "...\n%TAG x\n", "--- &\n", "--- >9x\n", "... \x07\n",
}

// similarKey returns the first of the words that begins with the same four letters as key. If there is no such word, it
// returns key without its last letter.
func similarKey(key string, words ...string) string {
	for _, w := range words {
		if w[:4] == key[:4] {
			return w
		}
	}
	return key[:len(key)-1]
}

// onText returns a function that changes the whole text.
func onText(change func(string) string) func(*rand.Rand, string) string {
	return func(_ *rand.Rand, text string) string { return change(text) }
}

// onLine returns a function that changes a random match of a pattern. In the pattern, ^ and $ match the beginning and
// the end of a line.
func onLine(pattern string, change func(string) string) func(*rand.Rand, string) string {
	re := regexp.MustCompile(`(?m)` + pattern)
	return func(r *rand.Rand, text string) string {
		found := re.FindAllStringIndex(text, -1)
		if len(found) == 0 {
			return text
		}
		at := pick(r, found)
		return text[:at[0]] + change(text[at[0]:at[1]]) + text[at[1]:]
	}
}

// BreakText makes a random mistake in one section of the data, or misspells the key of a section, as a person or a tool does.
func BreakText(r *rand.Rand, data map[string]string) { breakData(r, data) }

// breakData applies a random break to one section, or misspells its key. It returns the name of the break.
func breakData(r *rand.Rand, data map[string]string) (name string) {
	keys := make([]string, 0, len(data))
	for _, key := range []string{"mapRoles", "mapUsers", "mapAccounts"} {
		if data[key] != "" {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return "nothing-to-break"
	}
	key := keys[0]
	if r.IntN(3) == 0 {
		key = pick(r, keys)
	}
	if r.IntN(12) == 0 {
		data[pick(r, []string{"maproles", "map_roles", "mapRole", "mapUser", "MapUsers", "mapsAccounts"})] = data[key]
		delete(data, key)
		return "data-key"
	}
	b := pick(r, Breaks())
	if strings.HasPrefix(b.Name, "account-") && data["mapAccounts"] != "" {
		key = "mapAccounts"
	}
	data[key] = b.apply(r, data[key])
	if !strings.HasPrefix(b.Name, "raw-") {
		data[key] = strings.ToValidUTF8(data[key], "\ufffd")
	}
	return b.Name
}

// breakAgain applies the break with the name to a random place of a random section. If there is no such break, or the section
// is empty, it applies a random break. It returns the name of the applied break.
func breakAgain(r *rand.Rand, data map[string]string, name string) string {
	for _, b := range Breaks() {
		if key := pick(r, []string{"mapRoles", "mapRoles", "mapUsers"}); b.Name == name && data[key] != "" && !strings.HasPrefix(name, "raw-") {
			data[key] = strings.ToValidUTF8(b.apply(r, data[key]), "\ufffd")
			return name
		}
	}
	return breakData(r, data)
}

// fragments are the texts that Mutate inserts.
var fragments = []string{
	"\t", " ", "\n", "- ", "---\n", "...\n", "\"", "'", "{", "}", "[", "]", "#", ":", ": ", "&a ", "*a", "<<: *a\n", "!!str ", "!!binary ",
	"\u00a0", "\u200b", "\ufeff", "\r\n", "|\n", ">-\n", "y", "yes", "~", "null", "0123", "1e3", "arn:aws:iam::111122223333:role/Admin",
	"  groups: [system:masters]\n", "  username: {{SessionName}}\n", "{{EC2PrivateDNSName}}", "\\x41", "\\u00e9", "K", "ſ", "%", "@", "`", "-", "?", ",", "\x00", "\xff",
}

// Mutate makes one to three random changes. Each change inserts a fragment, deletes or flips a few bytes, or repeats the
// beginning of a line. The result is UTF-8.
func Mutate(r *rand.Rand, text string) string {
	b := []byte(text)
	for range 1 + r.IntN(3) {
		at := r.IntN(len(b) + 1)
		switch r.IntN(4) {
		case 0:
			b = slices.Insert(b, at, []byte(pick(r, fragments))...)
		case 1:
			b = slices.Delete(b, at, min(len(b), at+1+r.IntN(3)))
		case 2:
			if at < len(b) {
				b[at] ^= 0x20
			}
		case 3: // repeat the start of a line
			start := strings.LastIndexByte(string(b[:at]), '\n') + 1
			b = slices.Insert(b, start, b[start:at]...)
		}
	}
	return strings.ToValidUTF8(string(b), "\ufffd")
}
