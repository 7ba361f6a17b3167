package awsauth_test

import (
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestLimits checks that a text over a limit is not decoded, and that the answer for it is unknown instead of "not
// mapped". A text that only resembles an expensive one is decoded.
func TestLimits(t *testing.T) {
	const entry = "- {rolearn: \"" + account + "role/a\", username: a}\n"
	const caller = account + "role/a"
	for _, test := range []struct {
		about, text string
		known       bool
	}{
		{"TAG directives", strings.Repeat("%TAG !a! x\n", 17) + "---\n" + entry, false},
		{"TAG directives after carriage returns", strings.Repeat("%TAG !a! x\r", 17) + "---\r" + entry, false},
		{"TAG directives after next lines", strings.Repeat("%TAG !a! x\u0085", 17) + "---\n" + entry, false},
		{"TAG directives after the document", entry + "...\n" + strings.Repeat("%TAG !a! x\u2028", 17) + "---\n", false},
		{"TAG directives after a byte order mark", "\ufeff" + strings.Repeat("%TAG !a! x\n", 17) + "---\n" + entry, false},
		{"TAG directives in UTF-16", "\xff\xfe" + strings.Repeat("%\x00T\x00A\x00G\x00 \x00!\x00a\x00!\x00 \x00x\x00\n\x00", 17), false},
		{"a few directives", "%YAML 1.1\n%TAG !a! x\n---\n" + entry, true},
		{"percent signs within lines", "# %%%%%%%%%%%%%%%%%%%%\n" + entry + strings.Repeat("# %\n", 20), true},
		{"elements", entry + strings.Repeat("-\n", 66_000), false},
		{"commas", entry + "- [" + strings.Repeat("a,", 66_000) + "]\n", false},
		{"commas after a line of a quoted scalar that begins with a number sign", entry + "- ['\n  #', " + strings.Repeat("a,", 66_000) + "]\n", false},
		{"keys of brackets", entry + "- {" + strings.Repeat("[]:[],", 22_000) + "}\n", false},
		{"commas in comments", entry + strings.Repeat("# "+strings.Repeat(",", 100)+"\n", 1000), true},
		{"commas in an indented comment", "  # " + strings.Repeat(",", 66_000) + "\n" + entry, true},
		{"aliases of a long text", entry + "- &a " + strings.Repeat("x", 10_000) + "\n" + strings.Repeat("- *a\n", 500), false},
		{"aliases of many nodes", entry + "- &a [" + strings.Repeat("x,", 50) + "]\n" + strings.Repeat("- *a\n", 1400), false},
		{"aliases", entry + "- &a [" + strings.Repeat("x,", 500) + "]\n" + strings.Repeat("- *a\n", 20), true},
		{"aliases of a binary text", entry + "- &a !!binary " + strings.Repeat("eHh4", 5_000) + "\n" + strings.Repeat("- *a\n", 1_400), false},
		{"aliases of a binary text with a verbatim tag", entry + "- &a !<tag:yaml.org,2002:binary> " + strings.Repeat("eHh4", 5_000) + "\n" + strings.Repeat("- *a\n", 1_400), false},
		{"a few aliases of a binary text", entry + "- &a !!binary " + strings.Repeat("eHh4", 5_000) + "\n" + strings.Repeat("- *a\n", 100), true},
		{"asterisks, ampersands and exclamation marks in comments", entry + strings.Repeat("# *** R&D! ***\n", 300), true},
		{"ARNs that differ in case only", entry + inEveryCase(65), false},
		{"a few ARNs that differ in case only", entry + inEveryCase(64), true},
		{"an ampersand, a star, and a tail that yaml.v3 cannot scan", "# & *\n" + entry + "...\n@\n", true},
	} {
		m := object(test.text, "", "").Load()
		r := m.Resolve(caller)
		known := m.Unknown(awsauth.MapRoles) == nil && r.Unknown == ""
		if known != test.known || r.Mapped != test.known {
			t.Errorf("%s: known is %t, and want %t: %+v, lost: %v", test.about, known, test.known, r, m.LoadError(awsauth.MapRoles))
		}
	}
}

// TestBinaryAccountsAreLimited checks that aliases of a binary account are not decoded one by one, and that a few are.
func TestBinaryAccountsAreLimited(t *testing.T) {
	accounts := func(aliases int) string {
		return "- &a !!binary " + strings.Repeat("eHh4", 5_000) + "\n" + strings.Repeat("- *a\n", aliases)
	}
	if err := object("", "", accounts(1_400)).Load().Unknown(awsauth.MapAccounts); err == nil {
		t.Error("1,400 aliases of a binary account are decoded")
	}
	if err := object("", "", accounts(100)).Load().Unknown(awsauth.MapAccounts); err != nil {
		t.Errorf("100 aliases: %v", err)
	}
}

// TestBinaryAliasesTakeLittleMemory checks that aliases of a binary text are refused before they are decoded: yaml.v2 made
// 266 MiB of such a text.
func TestBinaryAliasesTakeLittleMemory(t *testing.T) {
	text := "- &a !!binary " + strings.Repeat("eHh4", 20_000) + "\n" + strings.Repeat("- *a\n", 2_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m := object(text, "", "").Load()
	runtime.ReadMemStats(&after)
	if m.Unknown(awsauth.MapRoles) == nil {
		t.Error("the text is decoded")
	}
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 64 {
		t.Errorf("it took %d MiB", mib)
	}
}

// inEveryCase returns n entries that match one principal and have different keys. Their role names consist of the
// letter s and the long s. strings.EqualFold, which matches ARNs, treats the two as equal. strings.ToLower, which makes
// keys, doesn't.
func inEveryCase(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("- {rolearn: \"" + account + "role/")
		for bit := range 7 {
			b.WriteString([]string{"s", "\u017f"}[i>>bit&1])
		}
		b.WriteString("\", username: a}\n")
	}
	return b.String()
}

// TestUnknownAnswers checks that an answer is uncertain if the authenticator searches a section that is too expensive
// before it finds a match.
func TestUnknownAnswers(t *testing.T) {
	expensive := strings.Repeat("%TAG !a! x\n", 17)
	roles, users := "- {rolearn: \""+account+"role/a\", username: role}\n", "- {userarn: \""+account+"user/b\", username: user}\n"
	for _, test := range []struct {
		about, caller string
		o             *awsauth.Object
		username      string
		known         bool
	}{
		{"a role before unknown users", account + "role/a", object(roles, expensive, expensive), "role", true},
		{"a user after unknown roles", account + "user/b", object(expensive, users, ""), "user", false},
		{"not mapped, and accounts are unknown", account + "user/c", object(roles, users, expensive), "", false},
		{"not mapped", account + "user/c", object(roles, users, ""), "", true},
	} {
		r := test.o.Load().Resolve(test.caller)
		if known := r.Unknown == ""; known != test.known || r.Username != test.username {
			t.Errorf("%s: %+v", test.about, r)
		}
	}
}

// TestLimitOfAllSections checks that the sections share one limit: a section may use only the part of the limit that the
// sections before it left. The result for an object must not depend on the object that it is compared with.
func TestLimitOfAllSections(t *testing.T) {
	many := strings.Repeat("-\n", 40_000)
	full, half := object(many, many, "- \"111122223333\"\n"), object("", many, "- \"111122223333\"\n")
	unknown := func(m *awsauth.Map) (list []awsauth.Section) {
		for _, s := range awsauth.Sections() {
			if m.Unknown(s) != nil {
				list = append(list, s)
			}
		}
		return list
	}
	before, after := new(awsauth.Cache).ParseChange(half, full)
	for _, test := range []struct {
		about string
		m     *awsauth.Map
		want  []awsauth.Section
	}{
		{"loaded", full.Load(), []awsauth.Section{awsauth.MapUsers}},
		{"half", half.Load(), nil},
		{"half as the old version", before, nil},
		{"as the new version", after.Map, []awsauth.Section{awsauth.MapUsers}},
	} {
		if diff := cmp.Diff(test.want, unknown(test.m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.about, diff)
		}
	}
}
