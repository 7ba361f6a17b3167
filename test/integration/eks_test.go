package integration_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// The guard reads the authentication mode and the access entries from EKS, and evaluates changes with them. For example, it admits
// the removal of the last admin of aws-auth if an access entry makes another principal an admin of the whole cluster.
func TestAccessEntriesOfEKS(t *testing.T) {
	const opsARN = "arn:aws:iam::111122223333:role/platform/Ops"
	lastAdmin := data{"mapRoles": ci + node, "mapUsers": alice}
	withoutAdmin := lastAdmin.with("mapUsers", "")
	namespaced := ekstest.Entry(opsARN, access.ClusterAdminPolicy)
	namespaced.Policies[0].Scope, namespaced.Policies[0].Namespaces = "namespace", []string{"team"}
	viewer := ekstest.Entry(adminARN)
	viewer.Groups = []string{"viewers"}
	nodes := access.AccessEntry{PrincipalARN: nodeARN, Type: "EC2_LINUX"}
	head, _, _ := strings.Cut(guardConfig, "protected:")
	refresh := 5
	t.Cleanup(func() { reconfigure(context.Background(), t, guardConfig) })
	for _, test := range []struct {
		name          string
		config        string // the fields of the GuardConfig in addition to eks
		mode          access.Mode
		entries       []access.AccessEntry
		before, after data
		refused       []string
		warned        []string
	}{
		{"an admin by access entry", "", access.ModeAPIAndConfigMap, []access.AccessEntry{ekstest.Entry(opsARN, access.ClusterAdminPolicy)}, lastAdmin, withoutAdmin, nil, []string{"lost-section"}},
		{"an admin of one namespace", "", access.ModeAPIAndConfigMap, []access.AccessEntry{namespaced}, lastAdmin, withoutAdmin, []string{"last-admin"}, nil},
		{"mode API", "", access.ModeAPI, nil, lastAdmin, withoutAdmin, nil, []string{"ignored-by-mode"}},
		{"a node role with an access entry", "", access.ModeAPIAndConfigMap, []access.AccessEntry{nodes}, lastAdmin, data{"mapRoles": ci, "mapUsers": alice}, nil, nil},
		{"a protected admin whose access entry gives fewer rights", "protected: [{arn: '" + adminARN + "', groups: ['system:masters']}]\n", access.ModeAPIAndConfigMap, []access.AccessEntry{viewer}, data{"mapRoles": node, "mapUsers": alice}, base(), nil, []string{"protected-principal", "shadowed-by-access-entry"}},
		{"the last admin, beside an admin whose access entry gives fewer rights", "", access.ModeAPIAndConfigMap, []access.AccessEntry{viewer}, base(), data{"mapRoles": admin + node}, []string{"last-admin"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			eks.Set(test.mode, test.entries...)
			const reads = `awsauth_guard_eks_reads_total{result="ok"}`
			before := metric(t, reads)
			refresh++ // the webhook reads EKS again only if the configuration differs
			reconfigure(t.Context(), t, fmt.Sprintf("%seks: {enabled: true, cluster: %s, refresh: %dm}\n%s", head, ekstest.Name, refresh, test.config))
			eventually(t.Context(), t, "the access entries are read", func() bool { return metric(t, reads) > before })
			store(t, test.before)
			c := as(t, operator)
			err := update(t.Context(), c, test.after)
			if test.refused != nil {
				wantRefused(t, err, test.refused...)
				return
			}
			wantAdmitted(t, c, err, test.warned...)
		})
	}
}

// If the configured name and region lead to another cluster, whose CA differs, the guard doesn't use the access entries that it
// reads there.
func TestAccessEntriesOfAnotherClusterAreNotUsed(t *testing.T) {
	t.Cleanup(func() { eks.SetCA(cluster.Admin.CAData) })
	other := httptest.NewTLSServer(http.NotFoundHandler())
	defer other.Close()
	eks.SetCA(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: other.Certificate().Raw}))
	eks.Set(access.ModeAPI)
	const reads = `awsauth_guard_eks_reads_total{result="failed"}`
	before := metric(t, reads)
	configure(t, guardConfig+fmt.Sprintf("eks: {enabled: true, cluster: %s, refresh: 57m}\n", ekstest.Name))
	eventually(t.Context(), t, "the read has failed", func() bool { return metric(t, reads) > before })
	store(t, base())
	c := as(t, operator)
	wantAdmitted(t, c, update(t.Context(), c, base().with("mapRoles", admin+node+ci)), "access-entries-unknown")
	wantForbidden(t, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), "deleted", "last-admin", "node-role-removed", "protected-principal")
}

// While EKS refuses to show the access entries, the guard decides by aws-auth alone. A warning in the response says so.
func TestUnknownAccessEntriesAreAWarningInTheReview(t *testing.T) {
	eks.Answer("DescribeCluster", ekstest.AccessDenied("DescribeCluster"))
	t.Cleanup(func() { eks.Answer("DescribeCluster", nil) })
	const reads = `awsauth_guard_eks_reads_total{result="failed"}`
	before := metric(t, reads)
	configure(t, guardConfig+"eks: {enabled: true, cluster: another}\n")
	eventually(t.Context(), t, "the read has failed", func() bool { return metric(t, reads) > before })
	store(t, base())
	c := as(t, operator)
	wantAdmitted(t, c, update(t.Context(), c, base().with("mapRoles", admin+node+ci)), "access-entries-unknown")
	const without = "awsauth_guard_reviews_without_access_entries_total"
	if metric(t, without) < 1 {
		t.Errorf("%s is not counted", without)
	}
	wantForbidden(t, c.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}), "deleted", "last-admin", "node-role-removed", "protected-principal")
}
