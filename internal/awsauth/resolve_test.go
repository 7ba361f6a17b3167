package awsauth_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

func object(roles, users, accounts string) *awsauth.Object {
	return &awsauth.Object{Data: map[string]string{"mapRoles": roles, "mapUsers": users, "mapAccounts": accounts}}
}

const account = "arn:aws:iam::111122223333:"

func TestResolve(t *testing.T) {
	o := object(`
- {rolearn: "`+account+`role/twice", username: first, groups: [a]}
- {rolearn: "`+account+`role/both", username: role}
- {rolearn: "`+account+`role/TWICE", username: last, groups: [b]}
- {rolearn: "`+account+`role/team/path", username: path}
- {rolearn: "arn:aws:sts::111122223333:assumed-role/session/x", username: session}
- {sso: {permissionSetName: Admin, accountID: "111122223333"}, username: sso}
- {username: dropped, groups: [c]}
`, `
- {userarn: "`+account+`user/people/alice", username: alice}
- {userarn: "`+account+`role/both", username: user}
- {userarn: "`+account+`user/bob", username: bob, groups: [a, b]}
- {userarn: "`+account+`user/Bob", username: bob, groups: [a]}
- {userarn: "`+account+`user/eve", username: eve, groups: [a, b]}
- {userarn: "`+account+`user/Eve", username: eve, groups: [b, a, b]}
`, `["444455556666", x]`)
	type answer struct {
		Mapped, Ambiguous bool
		Source            awsauth.Section
		Index             int
		Username          string
		Groups            []string
	}
	role := func(index int, username string, groups ...string) answer {
		return answer{true, false, awsauth.MapRoles, index, username, groups}
	}
	for _, test := range []struct {
		about, caller string
		want          answer
	}{
		{"the last duplicate wins, without case", "arn:aws:sts::111122223333:assumed-role/twice/s", role(2, "last", "b")},
		{"roles before users", account + "role/both", role(1, "role")},
		{"a role's path is never stripped from the entry", "arn:aws:sts::111122223333:assumed-role/path/s", answer{}},
		{"an entry is never canonicalized", "arn:aws:sts::111122223333:assumed-role/session/x", answer{}},
		{"sso entries never match", "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123/x", answer{}},
		{"a user's path stays", account + "user/people/alice", answer{true, false, awsauth.MapUsers, 0, "alice", nil}},
		{"a user without its path is another one", account + "user/alice", answer{}},
		{"users that differ in case: at random", account + "user/BOB", answer{true, true, awsauth.MapUsers, 2, "bob", []string{"a", "b"}}},
		{"the same access twice is no ambiguity", account + "user/eve", answer{true, false, awsauth.MapUsers, 4, "eve", []string{"a", "b"}}},
		{"an account", "arn:aws:iam::444455556666:user/Carol", answer{true, false, awsauth.MapAccounts, 0, "arn:aws:iam::444455556666:user/Carol", []string{}}},
		{"an absent role", account + "role/absent", answer{}},
		{"no principal", "arn:aws:s3:::bucket", answer{}},
	} {
		r := o.Load().Resolve(test.caller)
		if diff := cmp.Diff(test.want, answer{r.Mapped, r.Ambiguous, r.Source, r.Index, r.Username, r.Groups}); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", test.about, test.caller, diff)
		}
		if plain := r.Mapped && !r.Ambiguous; (r.Reason == "") != plain {
			t.Errorf("%s: reason %q", test.about, r.Reason)
		}
	}
}

func TestSSOElementReplacesEntryWithTheSameKey(t *testing.T) {
	// Both entries have the key arn:aws:iam::111122223333:role/awsreservedsso_admin_*, and the authenticator keeps the last one.
	const literal = `{rolearn: "` + account + `role/AWSReservedSSO_Admin_*", username: literal}`
	const sso = `{sso: {permissionSetName: Admin, accountID: "111122223333"}, username: sso}`
	if r := object("["+literal+", "+sso+"]", "", "").Load().Resolve(account + "role/AWSReservedSSO_Admin_*"); r.Mapped {
		t.Errorf("an sso element after the literal entry does not replace it: %+v", r)
	}
	if r := object("["+sso+", "+literal+"]", "", "").Load().Resolve(account + "role/AWSReservedSSO_Admin_*"); r.Username != "literal" {
		t.Errorf("the literal entry after an sso element is not found: %+v", r)
	}
}

func TestPrincipals(t *testing.T) {
	m := object(`
- {rolearn: "`+account+`role/a", username: shadowed}
- {rolearn: "`+account+`role/A", username: a}
- {rolearn: "`+account+`role/team/path", username: path}
- {rolearn: "`+account+`role/*", username: wildcard}
- {username: dropped}
`, `
- {userarn: "`+account+`role/a", username: behind a role}
- {userarn: "`+account+`user/x/bob", username: bob}
- {userarn: "`+account+`user/x/BOB", username: other}
`, `["111122223333", "1111-2222", "111122223333"]`).Load()
	var got []string
	for _, p := range m.Principals() {
		for _, e := range p.Matches {
			got = append(got, p.ARN+" "+e.Username)
		}
	}
	want := []string{account + "role/A a", account + "user/x/bob bob", account + "user/x/bob other"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principals (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"111122223333"}, m.AllowedAccounts()); diff != "" {
		t.Errorf("accounts (-want +got):\n%s", diff)
	}
}

func TestLoadIgnoresOtherKeys(t *testing.T) {
	entry := `[{rolearn: "` + account + `role/a", username: a}]`
	o := &awsauth.Object{Data: map[string]string{"maproles": entry, "MapRoles": entry, "map_roles": entry}, BinaryData: []string{"mapRoles"}}
	if got := o.Load().Principals(); len(got) > 0 {
		t.Errorf("principals from keys that are not read: %+v", got)
	}
}

// TestKeysOfRoles checks that entries of mapRoles replace each other by strings.ToLower, and match by strings.EqualFold.
// The two differ for U+0130, the capital I with a dot.
func TestKeysOfRoles(t *testing.T) {
	const good, dotted = `{rolearn: "` + account + `role/Admin", username: good}`, `{rolearn: "` + account + `role/ADMİN", username: dotted}`
	for _, test := range []struct {
		about, roles, users, want string
		shadowed                  []bool
	}{
		{"the dotted entry comes last, replaces the other, and matches no caller", "[" + good + ", " + dotted + "]", "", "", []bool{true, false}},
		{"the dotted entry comes first and is replaced", "[" + dotted + ", " + good + "]", "", "good", []bool{true, false}},
		{"the last of three entries replaces the others", "[" + good + ", " + dotted + ", " + good + "]", "", "good", []bool{true, true, false}},
		{"keys of mapUsers keep their case", "", "[" + strings.ReplaceAll(good+", "+dotted, "rolearn", "userarn") + "]", "good", []bool{false, false}},
	} {
		m := object(test.roles, test.users, "").Load()
		for _, caller := range []string{account + "role/Admin", account + "role/ADMIN", "arn:aws:sts::111122223333:assumed-role/admin/x"} {
			if got := m.Resolve(caller).Username; got != test.want {
				t.Errorf("%s: %s is %q, want %q", test.about, caller, got, test.want)
			}
		}
		var shadowed []bool
		for _, list := range [][]awsauth.Entry{m.Roles, m.Users} {
			for i := range list {
				shadowed = append(shadowed, list[i].Shadowed())
			}
		}
		if diff := cmp.Diff(test.shadowed, shadowed); diff != "" {
			t.Errorf("%s: shadowed (-want +got):\n%s", test.about, diff)
		}
	}
}
