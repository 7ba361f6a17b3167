package integration_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// TestChange makes changes that the guard refuses because they take access away, and similar changes that it admits.
func TestChange(t *testing.T) {
	oneAdmin := data{"mapRoles": ci, "mapUsers": alice}
	viewer := strings.NewReplacer("alice", "bob", "system:masters", "viewers").Replace(alice)
	for _, test := range []struct {
		name          string
		before, after data
		refused       []string // empty if the change is admitted
	}{
		{"node role removed", base(), roles(admin), []string{"node-role-removed"}},
		{"node role with another username", base(), roles(admin + strings.Replace(node, "system:node:", "node-", 1)), []string{"node-role-removed", "node-shape"}},
		{"node role without system:nodes", base(), roles(admin + strings.Replace(node, "  - system:nodes\n", "", 1)), []string{"node-role-removed", "node-shape"}},
		{"node role with one more group", base(), roles(admin + node + "  - monitoring\n"), nil},
		{"last admin removed", oneAdmin, data{"mapRoles": ci}, []string{"last-admin"}},
		{"last admin's groups", oneAdmin, oneAdmin.with("mapUsers", strings.Replace(alice, "system:masters", "viewers", 1)), []string{"last-admin"}},
		{"the last but one admin removed", base().with("mapUsers", alice+viewer), base().with("mapUsers", viewer), nil},
		{"emptied by text", oneAdmin, data{"mapRoles": "[]", "mapUsers": ""}, []string{"emptied", "last-admin"}},
		{"emptied by key", oneAdmin, nil, []string{"emptied", "last-admin"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, test.before)
			c := as(t, operator)
			err := update(t.Context(), c, test.after)
			if test.refused == nil {
				wantAdmitted(t, c, err)
				return
			}
			wantRefused(t, err, test.refused...)
			if diff := cmp.Diff(map[string]string(test.before), stored(t).Data); diff != "" {
				t.Errorf("stored although refused:\n%s", diff)
			}
		})
	}
}

// TestCreate: the guard admits the creation of an aws-auth with a node role and without an admin, because EKS creates such an
// aws-auth for the first node group.
func TestCreate(t *testing.T) {
	remove(t)
	c := as(t, operator)
	_, err := c.Create(t.Context(), data{"mapRoles": node}.configMap(), metav1.CreateOptions{})
	wantAdmitted(t, c, err, "protected-principal")
}

// TestSelfLockout impersonates users who log in through aws-auth, and users who seem to do so. With impersonation,
// the API server writes the keys of extra in lower case.
func TestSelfLockout(t *testing.T) {
	const devs = "- rolearn: arn:aws:iam::111122223333:role/Dev\n  username: dev:{{SessionName}}\n  groups:\n  - system:masters\n"
	bob := strings.NewReplacer("alice", "bob", "system:masters", "viewers").Replace(alice)
	before := base().with("mapRoles", admin+node+devs).with("mapUsers", alice+bob)
	masters := []string{"system:masters"}
	extra := func(arn, session string) map[string][]string {
		return map[string][]string{"canonicalArn": {arn}, "arn": {"arn:aws:sts::111122223333:assumed-role/x/" + session}, "sessionName": {session}}
	}
	asAlice := rest.ImpersonationConfig{UserName: "alice", Groups: masters, Extra: extra(aliceARN, "")}
	asDev := rest.ImpersonationConfig{
		UserName: "dev:jane-example.com", Groups: masters,
		Extra: extra("arn:aws:iam::111122223333:role/Dev", "jane@example.com"),
	}
	withoutAlice, withoutDevs := before.with("mapUsers", bob), before.with("mapRoles", admin+node)
	for _, test := range []struct {
		name    string
		user    rest.ImpersonationConfig
		after   data
		refused bool
	}{
		{"own entry removed", asAlice, withoutAlice, true},
		{"own groups dropped", asAlice, before.with("mapUsers", strings.Replace(alice, "system:masters", "viewers", 1)+bob), true},
		{"another user's entry removed", asAlice, withoutDevs, false},
		{"own entry with more groups", asAlice, before.with("mapUsers", alice+"  - viewers\n"+bob), false},
		{"own role removed, by a session", asDev, withoutDevs, true},
		{"another user's entry removed, by a session", asDev, withoutAlice, false},
		{"cluster creator, who has no extras", rest.ImpersonationConfig{UserName: "alice", Groups: masters}, withoutAlice, false},
		{"same ARN with another username, from an access entry", rest.ImpersonationConfig{UserName: "alice-by-access-entry", Groups: masters, Extra: extra(aliceARN, "")}, withoutAlice, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, before)
			c := as(t, test.user)
			err := update(t.Context(), c, test.after)
			if test.refused {
				wantRefused(t, err, "self-lockout")
			} else {
				wantAdmitted(t, c, err)
			}
		})
	}
}

// The guard never refuses a change by EKS. It counts the changes by EKS that it would refuse to another user.
func TestEKSIsNeverRefused(t *testing.T) {
	c := as(t, rest.ImpersonationConfig{UserName: "eks:node-manager"})
	const series = `awsauth_guard_would_deny_total{dry_run="false",rule="node-role-removed"}`

	store(t, base())
	count := metric(t, series)
	wantAdmitted(t, c, update(t.Context(), c, roles(admin)), "node-role-removed")
	if got := metric(t, series) - count; got != 1 {
		t.Errorf("%s rose by %v, want 1", series, got)
	}
	wantAdmitted(t, c, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), "deleted", "last-admin", "protected-principal")
	_, err := c.Create(t.Context(), data{"mapRoles": strings.Replace(node, "role/", "role/eks/", 1)}.configMap(), metav1.CreateOptions{})
	wantAdmitted(t, c, err, "protected-principal", "role-path")
}

// TestPreexistingFaultsOnlyWarn repairs a map step by step. The map had its faults before the guard was installed. The guard
// warns about the remaining faults and admits each step. It refuses a change that adds a fault, even one that the map has had.
func TestPreexistingFaultsOnlyWarn(t *testing.T) {
	const (
		path    = "- rolearn: arn:aws:iam::111122223333:role/team/Build\n  username: build\n  groups:\n  - builders\n"
		session = "- rolearn: arn:aws:sts::111122223333:assumed-role/Deploy/x\n  username: deploy\n  groups:\n  - deployers\n"
		noName  = "- rolearn: arn:aws:iam::111122223333:role/Nameless\n  groups:\n  - viewers\n"
	)
	faulty := admin + node + path + session
	store(t, roles(faulty))
	c := as(t, operator)
	step := func(d data) error { return update(t.Context(), c, d) }

	wantAdmitted(t, c, step(roles(faulty+ci)), "assumed-role-arn", "role-path")
	wantAdmitted(t, c, step(roles(path+ci+admin+node+session)), "assumed-role-arn", "role-path")

	wantRefused(t, step(roles(faulty+ci+noName)), "empty-username")
	if got := ruleIDs(c.Take()...); !cmp.Equal(got, []string{"assumed-role-arn", "role-path"}) {
		t.Errorf("warnings beside the refusal name %q", got)
	}
	wantRefused(t, step(roles(faulty+ci+strings.Replace(path, "Build", "Test", 1))), "role-path")
	c.Take()

	repaired := admin + node + ci + strings.Replace(path, "team/", "", 1)
	wantAdmitted(t, c, step(roles(repaired+session)), "assumed-role-arn")
	wantAdmitted(t, c, step(roles(repaired)))

	wantRefused(t, step(roles(faulty)), "assumed-role-arn", "role-path")
}

// TestBrokenMapCanBeRepaired: a user can repair a map that the authenticator can't parse.
func TestBrokenMapCanBeRepaired(t *testing.T) {
	c := as(t, operator)
	broken := strings.Replace(admin+node, "  username: admin", "\tusername: admin", 1)
	store(t, roles(broken))
	wantAdmitted(t, c, update(t.Context(), c, roles(broken).with("note", "broken since Monday")), "protected-principal", "unknown-data-key", "yaml-syntax")
	wantAdmitted(t, c, update(t.Context(), c, base()), "admin-grant") // the authenticator loaded no admin from the broken text, so the repair adds one
}
