package migrate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

func TestVerifyComparesBothModes(t *testing.T) {
	t.Parallel()
	d := document([]string{
		role(iam+"role/same", "same", "system:masters", "g"), role(iam+"role/more", "more", "g"), role(iam+"role/less", "less", "g"),
		role(iam+"role/renamed", "old", "g"), role(iam+"role/absent", "absent", "g"), role(iam+"role/again", "again", "g"),
		role(iam+"role/nodes", "system:node:{{EC2PrivateDNSName}}", "system:bootstrappers", "system:nodes"),
		role("arn:aws-cn:iam::111122223333:role/foreign", "foreign"),
	}, nil, `"444455556666"`)
	entry := func(name, username string, groups ...string) access.AccessEntry {
		return access.AccessEntry{PrincipalARN: iam + "role/team/" + name, Type: "STANDARD", Username: username, Groups: groups}
	}
	same := entry("same", "same", "g")
	same.Policies = []access.AccessPolicy{{ARN: cluster + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}
	again := entry("again", "again", "g")
	again.Stale = "the principal was created again"
	unread := entry("unread", "x")
	unread.Unknown = []string{access.FieldPolicies}
	nodes := access.AccessEntry{PrincipalARN: iam + "role/nodes", Type: "EC2_LINUX", Username: "system:node:{{EC2PrivateDNSName}}", Groups: []string{"system:nodes"}}
	v := migrate.Verify(d, []access.AccessEntry{same, entry("more", "more", "g", "h"), entry("less", "less"), entry("renamed", "new", "g"), again, unread, nodes, entry("creator", "c")}, "aws")
	var got []string
	for _, c := range v.Principals {
		got = append(got, fmt.Sprintf("%s %s: both %s %q %q, API %s %q %q, %t", c.PrincipalARN[max(0, len(c.PrincipalARN)-12):], c.Result,
			c.APIAndConfigMap.Result, c.APIAndConfigMap.Gained, c.APIAndConfigMap.Lost, c.API.Result, c.API.Gained, c.API.Lost, c.LosesLogin))
	}
	want := []string{
		`le/team/same equal: both equal [] [], API equal [] [], false`,
		`le/team/more gains: both gains ["the group \"h\""] [], API gains ["the group \"h\""] [], false`,
		`le/team/less loses: both loses [] ["the group \"g\""], API loses [] ["the group \"g\""], false`,
		`team/renamed changes: both changes ["the username \"new\""] ["the username \"old\""], API changes ["the username \"new\""] ["the username \"old\""], false`,
		`:role/absent loses: both equal [] [], API loses [] ["the group \"g\"" "the login" "the username \"absent\""], true`,
		`e/team/again staleEntry: both equal [] [], API loses [] ["the group \"g\"" "the login" "the username \"again\""], true`,
		`3:role/nodes equal: both equal [] [], API equal [] [], false`,
		`444455556666 loses: both equal [] [], API loses [] ["the login of every principal of the account"], true`,
		`/team/unread unknown: both gains ["the login" "the username \"x\""] [], API gains ["the login" "the username \"x\""] [], false`,
		`team/creator gains: both gains ["the login" "the username \"c\""] [], API gains ["the login" "the username \"c\""] [], false`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Verify reports a difference if the authenticator picks an entry at random, because an access entry always gives the
// same access.
func TestVerifyReportsARandomAnswer(t *testing.T) {
	t.Parallel()
	d := document(nil, []string{user(iam+"user/x", "x", "a"), user(iam+"user/X", "x", "b")})
	v := migrate.Verify(d, []access.AccessEntry{{PrincipalARN: iam + "user/x", Type: "STANDARD", Username: "x", Groups: []string{"a"}}}, "")
	want := migrate.Effect{Result: migrate.ResultChanges, Gained: []string{`the group "a"`}, Lost: []string{`sometimes the group "a"`, `sometimes the group "b"`}}
	if diff := cmp.Diff(want, v.Principals[0].API); diff != "" || len(v.Principals) != 1 {
		t.Errorf("-want +got:\n%s", diff)
	}
}
