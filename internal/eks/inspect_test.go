package eks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// If a permission is missing, Inspect returns everything that doesn't need this permission. It reports each missing permission once. It
// doesn't treat another failure as a missing permission.
func TestInspectReadsWhatIsAllowed(t *testing.T) {
	server := ekstest.New(t)
	a, b := ekstest.Entry(role+"a", access.ClusterAdminPolicy), ekstest.Entry(role+"b")
	server.Set(access.ModeAPI, a, b)
	without := func(e access.AccessEntry, unknown ...string) access.AccessEntry {
		e.Unknown = unknown
		return e
	}
	bare := access.AccessEntry{PrincipalARN: role + "b"}
	withPolicies := access.AccessEntry{PrincipalARN: role + "a", Policies: a.Policies}
	noPolicies := a
	noPolicies.Policies = nil
	refused := func(action string) string { return "eks:" + action + ": access denied (AccessDeniedException)" }
	for name, test := range map[string]struct {
		answers map[string]ekstest.Answer
		mode    access.Mode
		entries []access.AccessEntry
		listed  bool
		errs    []string
	}{
		"everything":  {nil, access.ModeAPI, []access.AccessEntry{a, b}, true, nil},
		"no cluster":  {map[string]ekstest.Answer{"DescribeCluster": ekstest.AccessDenied("DescribeCluster")}, "", []access.AccessEntry{a, b}, true, []string{refused("DescribeCluster")}},
		"no list":     {map[string]ekstest.Answer{"ListAccessEntries": ekstest.AccessDenied("ListAccessEntries")}, access.ModeAPI, nil, false, []string{refused("ListAccessEntries")}},
		"no entries":  {map[string]ekstest.Answer{"DescribeAccessEntry": ekstest.AccessDenied("DescribeAccessEntry")}, access.ModeAPI, []access.AccessEntry{without(withPolicies, "username", "groups", "node"), without(bare, "username", "groups", "node")}, true, []string{refused("DescribeAccessEntry")}},
		"no policies": {map[string]ekstest.Answer{"ListAssociatedAccessPolicies": ekstest.AccessDenied("ListAssociatedAccessPolicies")}, access.ModeAPI, []access.AccessEntry{without(noPolicies, "policies"), without(b, "policies")}, true, []string{refused("ListAssociatedAccessPolicies")}},
		"an invalid answer": {
			map[string]ekstest.Answer{"DescribeAccessEntry": ekstest.Error(400, "InvalidParameterException", "no")},
			access.ModeAPI, nil, false,
			[]string{"eks:DescribeAccessEntry: AWS refused the request (InvalidParameterException)"},
		},
		"nothing": {
			map[string]ekstest.Answer{"DescribeCluster": ekstest.AccessDenied("DescribeCluster"), "ListAccessEntries": ekstest.AccessDenied("ListAccessEntries")},
			"", nil, false,
			[]string{refused("DescribeCluster"), refused("ListAccessEntries")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for action, answer := range test.answers {
				server.Answer(action, answer)
				t.Cleanup(func() { server.Answer(action, nil) })
			}
			client, err := eks.New(t.Context(), ekstest.Name, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			cluster, listed, errs := client.Inspect(t.Context())
			var texts []string
			for _, err := range errs {
				texts = append(texts, err.Error())
			}
			if cluster == nil {
				cluster = &access.Cluster{}
			}
			if diff := cmp.Diff(test.entries, cluster.AccessEntries, cmpopts.EquateEmpty()); diff != "" || cluster.Mode != test.mode || listed != test.listed {
				t.Errorf("mode %s, listed %t (-want +got):\n%s", cluster.Mode, listed, diff)
			}
			if diff := cmp.Diff(test.errs, texts); diff != "" {
				t.Errorf("errors (-want +got):\n%s", diff)
			}
		})
	}
}
