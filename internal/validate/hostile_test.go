package validate_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestHostileTexts checks that the evaluation of texts that are expensive to evaluate allocates a limited amount of memory.
// Work that is repeated also allocates memory each time, so the limit also detects a slow evaluation. A naive evaluation
// of these texts repeats the same work for each element, key or finding.
func TestHostileTexts(t *testing.T) {
	const arn = "arn:aws:iam::111122223333:"
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	variants := func(word string, n int) string { // n spellings of a word that differ in case
		var b strings.Builder
		for i := range n {
			for j, c := range []byte(word) {
				if j < 17 && i>>j&1 == 1 && c >= 'a' && c <= 'z' {
					c -= 'a' - 'A'
				}
				b.WriteByte(c)
			}
			b.WriteByte('\n')
		}
		return b.String()
	}
	lines := func(text, before, after string) string {
		var b strings.Builder
		for line := range strings.Lines(text) {
			b.WriteString(before + strings.TrimSpace(line) + after)
		}
		return b.String()
	}
	role := "- rolearn: " + arn + "role/a\n  username: a\n"
	for name, text := range map[string]string{
		"aliases of large text":    "- &a " + strings.Repeat("x", 10_000) + "\n" + strings.Repeat("- *a\n", 20_000),
		"aliases of aliases":       "- &a [x,x,x,x,x,x,x,x,x]\n" + many(9, "- &b%[1]d [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"),
		"anchor within itself":     "- &a [*a]\n",
		"merges of merges":         "- &m0 {a: b}\n" + many(1000, "- &n%[1]d {<<: *m0, k%[1]d: v}\n"),
		"long username, many keys": "- rolearn: x\n  username: " + strings.Repeat("u", 900_000) + "\n" + strings.Repeat("  groups: []\n", 1500),
		"wrong groups":             role + "  groups: [" + strings.Repeat("5,", 60_000) + "]\n",
		"spellings of an sso key":  "- sso:\n" + lines(variants("permissionsetname", 16_000), "    ", ": 1\n"),
		"spellings of a key":       "- rolearn: x\n" + lines(variants("username", 256), "  ", ": 1\n"),
		"spellings of an ARN":      lines(variants("abcdefghijklmnopq", 12_000), "- rolearn: "+arn+"role/", "\n  username: a\n"),
		"deep nesting":             strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"deep block nesting":       indented(1400),
		"one long line":            "- " + strings.Repeat("x", 1<<20),
		"texts":                    strings.Repeat("- x\n", 60_000),
		"empty elements":           strings.Repeat("-\n", 60_000),
		"keys of an element":       "- rolearn: x\n" + many(30_000, "  k%06d: 1\n"),
		"everyday keys":            "- rolearn: x\n  username: u\n" + strings.Repeat("  name: 1\n", 28_000),
		"everyday key and others":  "- username: u\n" + strings.Repeat("  role: 1\n", 90) + strings.Repeat("  username: u\n", 28_000),
		"merges of everyday keys":  "- &m {" + strings.Repeat("name: 1, ", 100) + "}\n" + strings.Repeat("- <<: ["+strings.TrimSuffix(strings.Repeat("*m,", 100), ",")+"]\n", 5),
		"one ARN, many groups":     strings.Repeat("- rolearn: "+arn+"role/a\n  username: u\n  groups: [x]\n", 3000) + "- rolearn: " + arn + "role/a\n  username: u\n  groups: [" + many(25_000, "g%[1]d,") + "]\n",
		"groups with templates":    "- rolearn: " + arn + "role/a\n  username: u\n  groups: [" + strings.Repeat("'{{SessionName}}x',", 21_000) + "]\n",
		"templates in a group":     "- rolearn: " + arn + "role/a\n  username: u\n  groups: [" + strings.Repeat("'"+strings.Repeat("{{SessionName}}", 18)+"',", 1700) + "]\n",
		"comments":                 role + strings.Repeat("# x\n", 260_000),
		"anchor and comment":       strings.Repeat("- &a !t #"+strings.Repeat("c", 1000)+"\n  x\n", 1000),
		"control characters":       strings.Repeat("\x00", 1<<20),
		"invalid UTF-8":            strings.Repeat("\xff", 1<<20),
		"tabs":                     strings.Repeat("\t", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			evaluate := func(before, after *awsauth.Object) {
				validate.Evaluate(validate.Change{Operation: validate.Update, Old: before, New: after}, validate.Policy{})
			}
			good := &awsauth.Object{Data: map[string]string{"mapRoles": role}}
			users := strings.ReplaceAll(text, "rolearn", "userarn")
			bad := &awsauth.Object{Data: map[string]string{"mapRoles": text, "mapAccounts": text}}
			worse := &awsauth.Object{Data: map[string]string{"mapRoles": text + "\n- x\n", "mapUsers": users}}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			evaluate(good, bad)
			evaluate(bad, worse)
			evaluate(worse, good)
			runtime.ReadMemStats(&after)
			const bound = 2 << 30 // three evaluations of two or three sections each
			if got := after.TotalAlloc - before.TotalAlloc; got > bound {
				t.Errorf("%d MiB were allocated, more than %d", got>>20, bound>>20)
			} else {
				t.Logf("%d MiB for %d KiB", got>>20, len(text)>>10)
			}
		})
	}
}

// indented nests n lists, each deeper by one space.
func indented(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "-\n")
	}
	return b.String()
}
