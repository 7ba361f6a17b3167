package access_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

const policies = "arn:aws:eks::aws:cluster-access-policy/"

// cluster has access entries of an admin, of an admin of one namespace, of a viewer and of nodes.
func cluster(mode access.Mode) *access.Cluster {
	return &access.Cluster{Mode: mode, AccessEntries: []access.AccessEntry{
		{PrincipalARN: account + "role/team/admin", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: policies + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}},
		{PrincipalARN: account + "role/namespace", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: policies + access.ClusterAdminPolicy, Scope: "namespace", Namespaces: []string{"team"}}}},
		{PrincipalARN: account + "user/viewer", Type: "STANDARD", Groups: []string{"viewers"}},
		{PrincipalARN: account + "role/node", Type: "EC2_LINUX"},
	}}
}

func TestClusterAdminPolicyInAllNamespacesMakesAnAdmin(t *testing.T) {
	entries := access.NewEntries(cluster(access.ModeAPIAndConfigMap), nil)
	if diff := cmp.Diff([]string{account + "role/team/admin"}, entries.Admins(nil)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{account + "role/team/admin", account + "user/viewer"}, entries.Admins([]string{"viewers"})); diff != "" {
		t.Errorf("with the admin group viewers, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{account + "role/node"}, entries.Nodes()); diff != "" {
		t.Errorf("nodes, -want +got:\n%s", diff)
	}
}

func TestAccessEntryWinsOverAWSAuth(t *testing.T) {
	m := load(`
- {rolearn: "`+account+`role/admin", username: a, groups: [viewers]}
- {rolearn: "`+account+`role/other", username: o, groups: [system:masters]}
- {rolearn: "`+account+`role/namespace", username: n, groups: [system:masters]}
`, "")
	for _, test := range []struct {
		mode    access.Mode
		arn     string
		group   string
		want    bool
		inForce int // principals on which aws-auth has an effect
	}{
		{access.ModeAPIAndConfigMap, account + "role/admin", "system:masters", true, 1},
		{access.ModeAPIAndConfigMap, account + "role/admin", "viewers", false, 1},
		{access.ModeAPIAndConfigMap, account + "role/namespace", "system:masters", false, 1},
		{access.ModeAPIAndConfigMap, account + "role/other", "system:masters", true, 1},
		{access.ModeAPIAndConfigMap, account + "role/node", "system:nodes", true, 1},
		{access.ModeAPIAndConfigMap, account + "role/absent", "system:authenticated", false, 1},
		{access.ModeAPI, account + "role/other", "system:masters", false, 0},
		{access.ModeAPI, account + "role/admin", "system:masters", true, 0},
		{access.ModeConfigMap, account + "role/admin", "system:masters", false, 3},
		{access.ModeConfigMap, account + "role/other", "system:masters", true, 3},
	} {
		entries := access.NewEntries(cluster(test.mode), []string{account + "role/absent"})
		if got := entries.Satisfy(access.Protected{ARN: test.arn, Groups: []string{test.group}}, m, nil); got != test.want {
			t.Errorf("mode %s: %s gets %s: %t", test.mode, test.arn, test.group, got)
		}
		if test.group == access.Masters {
			if got := entries.Satisfy(access.Protected{ARN: test.arn, Admin: true}, m, nil); got != test.want {
				t.Errorf("mode %s: %s is an admin: %t", test.mode, test.arn, got)
			}
		}
		if got := len(entries.InForce(m)); got != test.inForce {
			t.Errorf("mode %s: aws-auth has an effect on %d principals, want %d", test.mode, got, test.inForce)
		}
	}
}

// TestDeclaredAccessEntriesCountUntilEKSIsKnown: while the guard doesn't know the access entries of EKS, it assumes that
// the declared access entries exist. Their access is unknown. Afterwards only the access entries of EKS count.
func TestDeclaredAccessEntriesCountUntilEKSIsKnown(t *testing.T) {
	declared := access.NewEntries(nil, []string{account + "role/declared"})
	if !declared.Has(account+"role/declared") || declared.Get(account+"role/declared") != nil || len(declared.Admins(nil)) > 0 {
		t.Error("a declared access entry is missing, or its access is known")
	}
	if known := access.NewEntries(cluster(access.ModeAPIAndConfigMap), []string{account + "role/declared"}); known.Has(account + "role/declared") {
		t.Error("a declared access entry counts, although EKS has no such access entry")
	}
}

// TestAccessEntryIsStaleIfItsPrincipalIsYounger: an access entry is stale if its principal was created later. If one of
// the two times is missing, the freshness is unknown.
func TestAccessEntryIsStaleIfItsPrincipalIsYounger(t *testing.T) {
	early, late, none := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC), time.Time{}
	for _, test := range []struct {
		entry, principal time.Time
		want             access.Freshness
	}{
		{early, late, access.Stale},
		{late, early, access.Fresh},
		{early, early, access.Fresh},
		{none, late, access.FreshnessUnknown},
		{early, none, access.FreshnessUnknown},
		{none, none, access.FreshnessUnknown},
	} {
		e := access.AccessEntry{Created: test.entry}
		if got := e.Freshness(access.IAMFacts{Created: test.principal}); got != test.want {
			t.Errorf("access entry of %s, principal of %s: %d, want %d", test.entry, test.principal, got, test.want)
		}
	}
}
