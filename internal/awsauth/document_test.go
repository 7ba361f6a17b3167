package awsauth_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestPositionsInStoredObject checks that positions in a stored object count within the text of their key.
func TestPositionsInStoredObject(t *testing.T) {
	const roles = `# people
- rolearn: "` + account + `role/a"
  username: 'it''s'
  groups: [x, "y"]
- &b {rolearn: ` + account + `role/b, username: plain, groups: &g [z]}
- <<: *b
  rolearn: >-
    ` + account + `role/c
  groups: *g
- username: missing
`
	d := (&awsauth.Object{Data: map[string]string{"mapRoles": roles}}).Parse()
	lines := strings.Split(roles, "\n")
	for _, test := range []struct {
		at     interface{ At() awsauth.Position }
		path   string
		begins string // the text at the place
	}{
		{d.Roles[0], "data.mapRoles[0]", "rolearn:"},
		{d.Roles[0].ARN, "data.mapRoles[0].rolearn", account + "role/a"},
		{d.Roles[0].Username, "data.mapRoles[0].username", "it"},
		{d.Roles[0].Groups[1], "data.mapRoles[0].groups[1]", `y"`},
		{d.Roles[1].ARN, "data.mapRoles[1].rolearn", account + "role/b"},
		{d.Roles[2].ARN, "data.mapRoles[2].rolearn", account + "role/c"},
		{d.Roles[2].Username, "data.mapRoles[2].username", "plain"}, // from a merge: the position in the merged mapping
		{d.Roles[2].Groups[0], "data.mapRoles[2].groups[0]", "z]"},
		{d.Roles[3].ARN, "data.mapRoles[3].rolearn", "username:"}, // missing: the position of the element
	} {
		got := test.at.At()
		if got.Path != test.path || got.Line < 1 || got.Line > len(lines) {
			t.Errorf("%s: got %+v", test.path, got)
			continue
		}
		if rest := string([]rune(lines[got.Line-1])[got.Column-1:]); !strings.HasPrefix(rest, test.begins) {
			t.Errorf("%s: the text at %d:%d is %q, want %q", test.path, got.Line, got.Column, rest, test.begins)
		}
	}
}

func TestFaultsOfTexts(t *testing.T) {
	entry := "- {rolearn: \"" + account + "role/a\", username: a}\n"
	for _, test := range []struct {
		about, text                           string
		syntax, notAList, trailing, uncertain bool
	}{
		{about: "good", text: entry},
		{about: "comments only", text: "# none\n"},
		{about: "null", text: "~"},
		{about: "tab", text: "-\trolearn: x\n  y", syntax: true},
		{about: "a scalar", text: "x", notAList: true},
		{about: "a mapping", text: "a: b", notAList: true},
		{about: "JSON object", text: `{"a": "b"}`, notAList: true},
		{about: "flow mapping that is no JSON", text: `{a: b}`, syntax: true},
		{about: "null before a second document", text: "---\n---\n" + entry, trailing: true},
		{about: "second document", text: entry + "---\n" + entry, trailing: true},
		{about: "mapping before a second document", text: "a: b\n---\n" + entry, notAList: true, trailing: true},
		{about: "empty second document", text: entry + "---\n# nothing\n"},
	} {
		d := (&awsauth.Object{Data: map[string]string{"mapRoles": test.text}}).Parse()
		got := []bool{d.Texts[0].Syntax != nil, d.Texts[0].NotAList != nil, d.Texts[0].Trailing != nil, d.Texts[0].Disagreement != nil}
		if diff := cmp.Diff([]bool{test.syntax, test.notAList, test.trailing, test.uncertain}, got); diff != "" {
			t.Errorf("%s: syntax, not a list, trailing, uncertain (-want +got):\n%s", test.about, diff)
		}
		lost := d.Map.LoadError(awsauth.MapRoles) != nil
		if want := test.syntax || test.notAList; lost != want {
			t.Errorf("%s: the section has a load error: %t, want %t", test.about, lost, want)
		}
	}
}

func TestWrongTypes(t *testing.T) {
	d := object(`
- {rolearn: 5, USERNAME: y, groups: x}
- {rolearn: a, username: [b], groups: [c, 5, {d: e}, ~]}
- {sso: {accountID: 111122223333, permissionSetName: true, other: 1}, username: b}
- {sso: x, note: 5}
- {rolearn: ~, username: ~, groups: ~}
`, "", "").Parse()
	var got []string
	for _, m := range d.Roles {
		for _, w := range m.WrongTypes() {
			got = append(got, w.At().Path+" is "+w.Got+" "+w.Value+", want "+w.Want)
		}
	}
	want := []string{
		"data.mapRoles[0].USERNAME is a boolean y, want a string",
		"data.mapRoles[0].groups is a string x, want a list of strings",
		"data.mapRoles[0].rolearn is a number 5, want a string",
		"data.mapRoles[1].groups[1] is a number 5, want a string",
		"data.mapRoles[1].groups[2] is a mapping , want a string",
		"data.mapRoles[1].username is a list , want a string",
		"data.mapRoles[2].sso.accountID is a number 111122223333, want a string",
		"data.mapRoles[2].sso.permissionSetName is a boolean true, want a string",
		"data.mapRoles[3].sso is a string x, want a mapping",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wrong types (-want +got):\n%s", diff)
	}
}

func TestDuplicateKeys(t *testing.T) {
	many := "{rolearn: x"
	for range 100 {
		many += ", username: y"
	}
	d := object(`
- {rolearn: a, username: b, Rolearn: c}
- {rolearn: a, <<: {rolearn: b}}
- `+many+`}
`, "", "").Parse()
	var got []int
	for _, m := range d.Roles {
		got = append(got, len(m.DuplicateKeys()))
	}
	if diff := cmp.Diff([]int{1, 0, 99}, got); diff != "" {
		t.Errorf("duplicate keys of each element (-want +got):\n%s", diff)
	}
}

func TestAccounts(t *testing.T) {
	d := object("", "", "- 012345678901\n- {a: b}\n- \"444455556666\"\n- [x]\n- ~\n").Parse()
	var kept, bad []string
	for _, f := range d.Accounts {
		kept = append(kept, f.At().Path+" "+f.Value)
	}
	for _, f := range d.BadAccounts {
		bad = append(bad, f.At().Path)
	}
	if diff := cmp.Diff([]string{"data.mapAccounts[0] 012345678901", "data.mapAccounts[2] 444455556666", "data.mapAccounts[4] "}, kept); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"data.mapAccounts[1]", "data.mapAccounts[3]"}, bad); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
}

// FuzzParse checks that no text makes the parser panic. The positions of faults, elements and their values must be
// within the text.
func FuzzParse(f *testing.F) {
	f.Add("- {rolearn: a, username: b, groups: [c]}", "- userarn: x\n  username: >-\n    y\n", "- 1")
	f.Add("- &a {rolearn: x}\n- <<: *a\n", "- [a]\n- b\n---\n- c", "a: b")
	f.Add("{\"a\": 1}", "\ufeff- rolearn: |\r\n    x\r\n", "- !!binary aGk=\n- *x")
	f.Fuzz(func(t *testing.T, roles, users, accounts string) {
		o := object(roles, users, accounts)
		d := o.Parse()
		within := func(at interface{ At() awsauth.Position }) {
			p := at.At()
			section := strings.TrimPrefix(p.Path, "data.")
			section, _, _ = strings.Cut(section, "[")
			lines := strings.Split(o.Data[section], "\n")
			if p.Line < 0 || p.Line > len(lines) || p.Line > 0 && (p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1) {
				t.Errorf("%+v lies outside of %q", p, o.Data[section])
			}
		}
		for _, text := range d.Texts {
			for _, fault := range []*awsauth.Fault{text.Syntax, text.NotAList, text.Trailing, text.Disagreement} {
				if fault != nil {
					within(fault)
				}
			}
		}
		for _, list := range [][]awsauth.Mapping{d.Roles, d.Users} {
			for _, m := range list {
				within(m)
				within(m.ARN)
				within(m.Username)
				for _, g := range m.Groups {
					within(g)
				}
				for _, k := range m.DuplicateKeys() {
					within(k)
				}
				for _, w := range m.WrongTypes() {
					within(w)
				}
			}
		}
		for _, a := range append(d.Accounts, d.BadAccounts...) {
			within(a)
		}
	})
}
