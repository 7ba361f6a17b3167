package edit_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

const admin = `- rolearn: arn:aws:iam::111122223333:role/Admin
  username: admin
  groups:
  - system:masters
`

// added is the text of newEntry in the default style.
const added = `- rolearn: arn:aws:iam::444455556666:role/New
  username: new:{{SessionName}}
  groups:
  - system:masters
  - "on"
`

// TestAddToATextWithoutEntries: Add writes a list in block style, and comments stay. If a comment is in the line of the empty
// list [], the list stays in brackets.
func TestAddToATextWithoutEntries(t *testing.T) {
	for before, want := range map[string]string{
		"":                        added,
		" \n":                     added,
		"''":                      added,
		"``":                      added,
		"[]":                      added,
		"[]\n":                    added,
		"null\n":                  added,
		"~":                       added,
		"# none\n":                "# none\n" + added,
		"# none":                  "# none\n" + added,
		"# none\r\n":              "# none\r\n" + strings.ReplaceAll(added, "\n", "\r\n"),
		"# head\n[]\n# tail\n":    "# head\n" + added + "# tail\n",
		"---\n":                   "---\n" + added,
		"[] # none\n":             `[{rolearn: arn:aws:iam::444455556666:role/New, username: "new:{{SessionName}}", groups: [system:masters, "on"]}] # none` + "\n",
		"[\n  # none so far\n]\n": "",
	} {
		got, err := edit.Add(before, newEntry)
		if want == "" { // Add may write any text that has the entry
			if entries := loadRoles(got); err != nil || len(entries) != 1 {
				t.Errorf("Add(%q) = %q, %v", before, got, err)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("Add(%q) = %q, %v, want %q", before, got, err, want)
		}
	}
}

// TestEditKeepsTheEndOfTheText: an edit adds no line break to the end of a text that has none. Text after the list stays
// there.
func TestEditKeepsTheEndOfTheText(t *testing.T) {
	short := strings.TrimSuffix(admin, "\n")
	twice := short + "\n" + short
	for _, c := range []struct{ name, got, want string }{
		{"add without a final break", must(edit.Add(short, newEntry)), admin + strings.TrimSuffix(added, "\n")},
		{"add before trailing content", must(edit.Add(admin+"...\n- rolearn: x\n", newEntry)), admin + added + "...\n- rolearn: x\n"},
		{"add before a comment", must(edit.Add(admin+"  # of the admin\n# of all\n", newEntry)), admin + "  # of the admin\n" + added + "# of all\n"},
		{"remove without a final break", must(edit.Remove(twice, awsauth.MapRoles, 1)), short},
		{"remove before trailing content", must(edit.Remove(admin+admin+"...\n- rolearn: x\n", awsauth.MapRoles, 1)), admin + "...\n- rolearn: x\n"},
		{"remove between empty lines", must(edit.Remove(admin+"\n"+admin+"\n"+admin, awsauth.MapRoles, 1)), admin + "\n" + admin},
		{"remove the only one", must(edit.Remove("# head\n"+admin+"# tail\n", awsauth.MapRoles, 0)), "# head\n[]\n# tail\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func must(text string, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return text
}

// TestAccounts: AddAccount writes an account in quotes. SetValue replaces an account, and Remove removes one.
func TestAccounts(t *testing.T) {
	for _, c := range []struct{ name, got, want string }{
		{"empty", must(edit.AddAccount("", "012345678901")), "- \"012345678901\"\n"},
		{"block", must(edit.AddAccount("- 111122223333 # ours\n", "012345678901")), "- 111122223333 # ours\n- \"012345678901\"\n"},
		{"single quotes", must(edit.AddAccount("- '111122223333'\n", "012345678901")), "- '111122223333'\n- '012345678901'\n"},
		{"flow", must(edit.AddAccount("[\"111122223333\",\"222233334444\"]", "012345678901")), "[\"111122223333\",\"222233334444\",\"012345678901\"]"},
		{"remove", must(edit.Remove("- {a: b}\n- '111122223333'\n- 222233334444\n", awsauth.MapAccounts, 1)), "- {a: b}\n- 222233334444\n"},
		{"remove the only one", must(edit.Remove("['111122223333']\n", awsauth.MapAccounts, 0)), "[]\n"},
		{"set", must(edit.SetValue("- {a: b}\n- 1111-2222-3333\n", awsauth.MapAccounts, 1, "", "111122223333")), "- {a: b}\n- \"111122223333\"\n"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

// TestReplaceCompletesAnEntry: Replace adds a key that the entry lacks, and replaces groups of a wrong type by a list.
func TestReplaceCompletesAnEntry(t *testing.T) {
	const arn = "arn:aws:iam::111122223333:role/Admin"
	entry := awsauth.Entry{Section: awsauth.MapRoles, ARN: arn, Username: "admin", Groups: []string{"system:masters"}}
	for before, want := range map[string]string{
		"- rolearn: " + arn + " # x\n":                                                     "- rolearn: " + arn + " # x\n  username: admin\n  groups:\n  - system:masters\n",
		"- {rolearn: " + arn + "}\n":                                                       "- {rolearn: " + arn + ", username: admin, groups: [system:masters]}\n",
		"- rolearn: " + arn + "\n  username: 123\n  groups: system:masters\n":              "- rolearn: " + arn + "\n  username: admin\n  groups: [system:masters]\n",
		"- rolearn: " + arn + "\n  username: admin\n  groups:\n":                           admin,
		"- rolearn: " + arn + "\n  username: admin\n  groups: []\n":                        admin,
		"- username: admin\n  groups:\n  - system:masters\n":                               "- username: admin\n  rolearn: " + arn + "\n  groups:\n  - system:masters\n",
		"- roleARN: " + arn + "\n  Groups:\n  - system:masters # all\n  userName: ADMIN\n": "- roleARN: " + arn + "\n  Groups:\n  - system:masters # all\n  userName: admin\n",
	} {
		got, err := edit.Replace(before, entry)
		if entries := loadRoles(got); err != nil || len(entries) != 1 || entries[0].ARN != arn || entries[0].Username != "admin" || !slices.Equal(entries[0].Groups, entry.Groups) {
			t.Errorf("Replace(%q) = %q, %v", before, got, err)
		}
		if got != want && !strings.HasPrefix(before, "- username") {
			t.Errorf("Replace(%q) = %q, want %q", before, got, want)
		}
	}
}

// TestValuesKeepTheirType: the authenticator reads each written value as the same string, even a value that YAML without
// quotes reads as another type or as several values.
func TestValuesKeepTheirType(t *testing.T) {
	for _, value := range []string{
		"yes", "Y", "on", "NO", "null", "~", "true", "0123", "1e3", "0x10", "12:30:45", "2019-01-01", ".inf", "", " a", "a ", "a: b", "a #b", "#a", "- a", "-", "?", "[a]", "{a}", "{{SessionName}}",
		"*a", "&a", "!a", "|", ">", "%a", "@a", "`a", "a:", "'a'", `"a"`, `a\b`, "a\tb", "a\nb", "a\r\nb", "\u00e9", "\u0085", "\u2028", "\ufeff", "\u200b", "\U0001f600", "<<", "=", "---", "...", "a,b", "a]b",
	} {
		for _, before := range []string{admin, "- {rolearn: x, username: y}", `[{"rolearn":"x","username":"y"}]`, "- rolearn: 'x'\n  username: 'y'\n"} {
			text, err := edit.SetValue(before, awsauth.MapRoles, 0, "username", value)
			if entries := loadRoles(text); err != nil || len(entries) != 1 || entries[0].Username != value {
				t.Errorf("SetValue(%q, %q) = %q, %v", before, value, text, err)
			}
			e := awsauth.Entry{Section: awsauth.MapRoles, ARN: "x" + value, Username: value, Groups: []string{value, "b"}}
			text, err = edit.Add(before, e)
			if entries := loadRoles(text); err != nil || len(entries) != 2 || entries[1].ARN != e.ARN || entries[1].Username != value || !slices.Equal(entries[1].Groups, e.Groups) {
				t.Errorf("Add(%q, %q) = %q, %v", before, value, text, err)
			}
		}
	}
}

// TestRefusalsNameTheReason: an edit that could damage the text returns a RefusedError, which names the reason.
func TestRefusalsNameTheReason(t *testing.T) {
	bad := newEntry
	bad.Username = "\xff"
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{"does not parse", second(edit.Add("- rolearn: [\n", newEntry)), "edit mapRoles by hand: the authenticator loads nothing from it"},
		{"not a list", second(edit.Add("a: b\n", newEntry)), "edit mapRoles by hand: the authenticator loads nothing from it"},
		{"too expensive", second(edit.Add(strings.Repeat("- a\n", 60_001), newEntry)), "it is too expensive to evaluate"},
		{"directives", second(edit.Remove(strings.Repeat("%A\n", 20)+"---\n"+admin, awsauth.MapRoles, 0)), "it is too expensive to evaluate"},
		{"no such element", second(edit.Remove(admin, awsauth.MapRoles, 1)), "edit mapRoles[1] by hand: it has no such element"},
		{"negative", second(edit.Remove(admin, awsauth.MapRoles, -1)), "it has no such element"},
		{"used anchor", second(edit.Remove("- &a\n  rolearn: x\n- *a\n", awsauth.MapRoles, 0)), "edit mapRoles[0] by hand"},
		{"element of an alias", second(edit.SetValue("- &a\n  rolearn: x\n- *a\n", awsauth.MapRoles, 1, "rolearn", "y")), "edit mapRoles[1] by hand: it has 0 keys rolearn of its own"},
		{"anchored element", second(edit.SetValue("- &a\n  rolearn: x\n- *a\n", awsauth.MapRoles, 0, "rolearn", "y")), "the edit would change the element mapRoles[1] differently than asked"},
		{"duplicate key", second(edit.SetValue("- rolearn: x\n  rolearn: y\n", awsauth.MapRoles, 0, "rolearn", "z")), "it has 2 keys rolearn of its own"},
		{"rename to an existing key", second(edit.RenameKey(admin, awsauth.MapRoles, 0, "username", "Groups")), "it has the key Groups, too"},
		{"rename a key over a merged one", second(edit.RenameKey("- &a\n  rolearn: x\n- <<: *a\n  rolearn: y\n", awsauth.MapRoles, 1, "rolearn", "arn")), "a merge gives it the key rolearn, too"},
		{"missing key", second(edit.RenameKey(admin, awsauth.MapRoles, 0, "user", "username")), "it has 0 keys user of its own"},
		{"no ARN", second(edit.Add(admin, awsauth.Entry{Section: awsauth.MapRoles})), "the new entry has no ARN"},
		{"not UTF-8", second(edit.Add(admin, bad)), "is not UTF-8"},
		{"account is no entry", second(edit.Add("", awsauth.Entry{Section: awsauth.MapAccounts, ARN: "x"})), "an account is no entry"},
	} {
		var refused *edit.RefusedError
		if !errors.As(c.err, &refused) || !strings.Contains(c.err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, c.err, c.want)
		}
	}
}

func second(_ string, err error) error { return err }

// TestMoveChangesTheKeyOfTheARN: the entry has userarn in mapUsers and rolearn in mapRoles.
func TestMoveChangesTheKeyOfTheARN(t *testing.T) {
	from, to, err := edit.Move(admin+"- rolearn: arn:aws:iam::111122223333:user/bob\n  username: bob\n", "", awsauth.MapRoles, 1, "arn:aws:iam::111122223333:user/bob")
	if err != nil || from != admin || to != "- userarn: arn:aws:iam::111122223333:user/bob\n  username: bob\n" {
		t.Errorf("got %q, %q, %v", from, to, err)
	}
	users, roles, err := edit.Move("- userarn: arn:aws:iam::111122223333:role/Admin\n  username: admin\n  groups: [system:masters]\n", "[]", awsauth.MapUsers, 0, "arn:aws:iam::111122223333:role/Admin")
	if err != nil || users != "[]\n" || roles != admin {
		t.Errorf("got %q, %q, %v", users, roles, err)
	}
}
