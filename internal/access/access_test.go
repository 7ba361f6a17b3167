package access_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const account = "arn:aws:iam::111122223333:"

func load(roles, users string) *awsauth.Map {
	return (&awsauth.Object{Data: map[string]string{"mapRoles": roles, "mapUsers": users, "mapAccounts": `["444455556666"]`}}).Load()
}

func TestAdminsGetAnAdminGroupAlwaysOrSometimes(t *testing.T) {
	m := load(`
- {rolearn: "`+account+`role/admin", username: a, groups: [system:masters]}
- {rolearn: "`+account+`role/instances", username: "{{EC2PrivateDNSName}}", groups: [system:masters]}
- {rolearn: "`+account+`role/other", username: a, groups: [ops]}
`, `
- {userarn: "`+account+`user/bob", username: b, groups: [system:masters]}
- {userarn: "`+account+`user/BOB", username: b}
`)
	arns, most := access.Admins(m.Principals(), nil)
	if diff := cmp.Diff([]string{account + "role/admin", account + "user/bob"}, arns); diff != "" || most != access.Always {
		t.Errorf("certainty %d, admins (-want +got):\n%s", most, diff)
	}
	if arns, _ = access.Admins(m.Principals(), []string{"ops"}); len(arns) != 1 || arns[0] != account+"role/other" {
		t.Errorf("with another admin group: %q", arns)
	}
	if _, most = access.Admins(load("", `[{userarn: "`+account+`user/bob", groups: [system:masters]}, {userarn: "`+account+`user/BOB"}]`).Principals(), nil); most != access.Sometimes {
		t.Errorf("the authenticator picks one of two entries at random, but the certainty is %d", most)
	}
}

func TestNodesHaveUsernameAndGroupForNodeAuthorizer(t *testing.T) {
	m := load(`
- {rolearn: "`+account+`role/ec2", username: "system:node:{{EC2PrivateDNSName}}", groups: [system:nodes]}
- {rolearn: "`+account+`role/fargate", username: "system:node:{{SessionName}}", groups: [system:nodes]}
- {rolearn: "`+account+`role/no-group", username: "system:node:{{EC2PrivateDNSName}}"}
- {rolearn: "`+account+`role/no-name", username: "system:node:", groups: [system:nodes]}
- {rolearn: "`+account+`role/unknown-template", username: "system:node:{{Ec2PrivateDNSName}}", groups: [system:nodes]}
- {rolearn: "`+account+`role/person", username: admin, groups: [system:nodes]}
`, "")
	if diff := cmp.Diff([]string{account + "role/ec2", account + "role/fargate"}, access.Nodes(m.Principals())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProtectedAdminNeedsOneAdminGroup(t *testing.T) {
	m := load(`
- {rolearn: "`+account+`role/admin", username: a, groups: [ops]}
- {rolearn: "`+account+`role/instances", username: "{{EC2PrivateDNSName}}", groups: [ops]}
`, "")
	for _, test := range []struct {
		arn    string
		admins []string
		want   bool
	}{
		{account + "role/admin", []string{"system:masters", "ops"}, true},
		{account + "role/admin", nil, false},
		{account + "role/instances", []string{"ops"}, false},
		{account + "role/absent", []string{"ops"}, false},
	} {
		if got := (access.Protected{ARN: test.arn, Admin: true}).GetsAll(m, test.admins); got != test.want {
			t.Errorf("with the admin groups %q, %s is an admin: %t", test.admins, test.arn, got)
		}
	}
}

func TestProtectedPrincipalGetsAllItsGroups(t *testing.T) {
	m := load(`
- {rolearn: "`+account+`role/admin", username: a, groups: [system:masters, ops]}
- {rolearn: "`+account+`role/node", username: "system:node:{{EC2PrivateDNSName}}", groups: [system:nodes]}
- {rolearn: "`+account+`role/instances", username: "{{EC2PrivateDNSName}}", groups: [ops]}
`, "")
	for _, test := range []struct {
		arn    string
		groups []string
		want   bool
	}{
		{account + "role/admin", []string{"system:masters", "ops"}, true},
		{account + "role/admin", []string{"system:masters", "other"}, false},
		{account + "role/node", []string{"system:nodes"}, true},
		{account + "role/instances", []string{"ops"}, false},
		{account + "role/absent", []string{"ops"}, false},
		{account + "role/admin", []string{"system:authenticated"}, true},
		{account + "role/instances", []string{"system:authenticated"}, false},
		{account + "role/node", []string{"system:authenticated"}, true},
		{account + "role/node", []string{"ops"}, false},
		{account + "role/absent", []string{"system:authenticated"}, false},
		{"arn:aws:iam::444455556666:user/bob", []string{"system:authenticated"}, true},
		{"arn:aws:iam::444455556666:user/bob", []string{"ops"}, false},
	} {
		if got := (access.Protected{ARN: test.arn, Groups: test.groups}).GetsAll(m, nil); got != test.want {
			t.Errorf("%s gets %q: %t", test.arn, test.groups, got)
		}
	}
}

func TestEntriesHasFindsEveryFormOfAnARN(t *testing.T) {
	entries := access.NewEntries(nil, []string{account + "role/team/admin"})
	for arn, want := range map[string]bool{
		account + "role/admin":                               true,
		account + "role/team/admin":                          true,
		account + "role/ADMIN":                               true,
		account + "user/admin":                               false,
		"arn:aws:sts::111122223333:assumed-role/admin/alice": true,
	} {
		if entries.Has(arn) != want {
			t.Errorf("%s has an access entry: %t, want %t", arn, !want, want)
		}
	}
	if access.NewEntries(nil, nil).Has(account + "role/admin") {
		t.Error("Has finds an access entry, although none is declared")
	}
}
