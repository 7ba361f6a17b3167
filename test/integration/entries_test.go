package integration_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// The leader reports an access entry if IAM doesn't have its principal, or if IAM created the principal after the
// access entry. No caller logs in by such an access entry.
func TestStaleAccessEntriesAreReported(t *testing.T) {
	const team = "arn:aws:iam::111122223333:role/team/"
	entries := []access.AccessEntry{
		ekstest.Entry(team + "Kept"), ekstest.Entry(team + "Again"), ekstest.Entry(team + "Gone"), ekstest.Entry("arn:aws:iam::444455556666:role/Other"),
		{PrincipalARN: nodeARN, Type: "EC2_LINUX", Created: ekstest.Entry("").Created},
	}
	aws.Create(team+"Kept", entries[0].Created.Add(-time.Minute))
	aws.Create(team+"Again", entries[1].Created.Add(time.Minute))
	aws.Create(nodeARN, entries[4].Created)
	t.Cleanup(func() { aws.Remove(team+"Kept", team+"Again", nodeARN) })
	eks.Set(access.ModeAPIAndConfigMap, entries...)
	since := time.Now()
	g := newGuarded(t, base(), guardConfig+fmt.Sprintf("iam: {mode: warn}\neks: {enabled: true, cluster: %s}\n", ekstest.Name), quick())
	g.change = func(o *server.Options) {
		o.MonitorTiming = monitor.Timing{Principals: 500 * time.Millisecond, Principal: 10 * time.Millisecond}
	}
	leads, follows := lead(t, g.run(t, 2))
	for state, want := range map[string]float64{"ok": 2, "stale": 1, "missing": 1, "unknown": 1} {
		leads.wantMetric(t, fmt.Sprintf("awsauth_guard_access_entries{state=%q}", state), want, 10*time.Second)
	}
	leads.wantMetric(t, "awsauth_guard_eks_access_entries_known", 1, 5*time.Second)
	leads.wantMetric(t, "awsauth_guard_live_node_roles", 1, 5*time.Second)
	if got, ok := follows.value(t.Context(), `awsauth_guard_access_entries{state="stale"}`); ok {
		t.Errorf("the other replica has the metric, with the value %v", got)
	}
	wantEvent(t, g, since, kube.AccessEntryStale, "2 access entries match no principal in IAM: "+team+"Again (stale), "+team+"Gone (missing)")
}
