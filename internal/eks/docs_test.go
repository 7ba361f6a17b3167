package eks_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// The policy docs/eks/permissions.json allows every call with which the client reads a cluster.
func TestPolicyAllowsEveryCall(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/eks/permissions.json")
	if err != nil || !json.Valid(text) {
		t.Fatalf("not JSON, %v", err)
	}
	for _, action := range []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry", "ListAssociatedAccessPolicies"} {
		if !strings.Contains(string(text), `"eks:`+action+`"`) {
			t.Errorf("eks:%s is not allowed", action)
		}
	}
}
