package metrics_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
)

// stored records a value for every metric of the stored aws-auth.
func stored(r *metrics.Recorder) {
	r.BuildInfo("v1")
	r.Stored(true, false)
	r.StoredAccess(2, 3, 1)
	r.StoredEntries("mapRoles", 3)
	r.StoredFindings(func(rule, severity string) int {
		if rule == "role-path" && severity == "warn" {
			return 4
		}
		return 0
	})
	r.StoredPrincipals(map[string]int{"exists": 5, "missing": 1})
	r.Enforced(true)
	r.LastAdmitted(time.UnixMilli(1500))
	r.Leads(true)
	r.Bypassed()
	r.HistoryFailed()
	r.Restored("limited")
}

func TestStoredMetricsExistOnlyWhenKnown(t *testing.T) {
	t.Parallel()
	r := metrics.New([]string{"role-path"})
	before := guardSeries(t, r)
	for _, want := range []string{
		"awsauth_guard_bypassed_changes_total 0", "awsauth_guard_history_errors_total 0",
		`awsauth_guard_restores_total{result="restored"} 0`, `awsauth_guard_restores_total{result="failed"} 0`,
	} {
		if !slices.Contains(before, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, line := range before {
		for _, name := range []string{"live_", "enforced", "break_glass_present", "last_admitted"} {
			if strings.HasPrefix(line, "awsauth_guard_"+name) {
				t.Errorf("%s is exposed before it is known", line)
			}
		}
	}
	stored(r)
	// A value outside of the closed sets never becomes a label.
	r.StoredEntries("mapRobots", 1)
	r.Restored("arn:aws:iam::111122223333:role/a")
	var changed []string
	for _, line := range guardSeries(t, r) {
		if !slices.Contains(before, line) && !strings.HasPrefix(line, "awsauth_guard_build_info") {
			changed = append(changed, line)
		}
	}
	want := []string{
		"awsauth_guard_break_glass_present 0",
		"awsauth_guard_bypassed_changes_total 1",
		"awsauth_guard_enforced 1",
		"awsauth_guard_history_errors_total 1",
		"awsauth_guard_last_admitted_timestamp_seconds 1.5",
		"awsauth_guard_leader 1",
		"awsauth_guard_live_admins 2",
		`awsauth_guard_live_entries{section="mapRoles"} 3`,
		`awsauth_guard_live_findings{rule="internal-error",severity="deny"} 0`,
		`awsauth_guard_live_findings{rule="internal-error",severity="warn"} 0`,
		`awsauth_guard_live_findings{rule="role-path",severity="deny"} 0`,
		`awsauth_guard_live_findings{rule="role-path",severity="warn"} 4`,
		"awsauth_guard_live_node_roles 3",
		"awsauth_guard_live_present 1",
		`awsauth_guard_live_principals{iam="exists"} 5`,
		`awsauth_guard_live_principals{iam="missing"} 1`,
		`awsauth_guard_live_principals{iam="recreated"} 0`,
		`awsauth_guard_live_principals{iam="unknown"} 0`,
		"awsauth_guard_live_protected_missing 1",
		`awsauth_guard_restores_total{result="failed"} 1`,
		`awsauth_guard_restores_total{result="limited"} 1`,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed series (-want +got):\n%s", diff)
	}
	r.StoredAccessUnknown()
	for _, line := range guardSeries(t, r) {
		for _, name := range []string{"admins", "node_roles", "protected_missing", "entries"} {
			if strings.HasPrefix(line, "awsauth_guard_live_"+name) {
				t.Errorf("%s is still there", line)
			}
		}
	}
	if !slices.Contains(guardSeries(t, r), "awsauth_guard_live_present 1") {
		t.Error("StoredAccessUnknown removed live_present")
	}
	r.StoredPrincipals(nil)
	r.StoredUnknown()
	for _, line := range guardSeries(t, r) {
		if strings.HasPrefix(line, "awsauth_guard_live_") || strings.HasPrefix(line, "awsauth_guard_break_glass") {
			t.Errorf("%s is still there", line)
		}
	}
}
