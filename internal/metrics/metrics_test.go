package metrics_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
)

func TestMetricNamesPassPromlint(t *testing.T) {
	t.Parallel()
	r := metrics.New([]string{"role-path"})
	r.ServingCertificate(time.Unix(1, 0))
	r.ServingTrust(time.Unix(1, 0), true)
	r.ServingCAStored(true)
	stored(r)
	families, err := r.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// guardSeries returns the lines of /metrics that have the guard's own metrics.
func guardSeries(t *testing.T, r *metrics.Recorder) []string {
	t.Helper()
	w := httptest.NewRecorder()
	r.Handler(log.New(io.Discard, "", 0)).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	var lines []string
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "awsauth_guard_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestSeriesExistBeforeTheirFirstEvent(t *testing.T) {
	t.Parallel()
	got := guardSeries(t, metrics.New([]string{"role-path"}))
	for _, want := range []string{
		`awsauth_guard_reviews_total{dry_run="false",operation="DELETE",verdict="error"} 0`,
		`awsauth_guard_rejections_total{dry_run="false",operation="UPDATE",rule="role-path"} 0`,
		`awsauth_guard_rejections_total{dry_run="false",operation="CREATE",rule="internal-error"} 0`,
		`awsauth_guard_reviews_total{dry_run="false",operation="other",verdict="error"} 0`,
		`awsauth_guard_would_deny_total{dry_run="false",rule="role-path"} 0`,
		`awsauth_guard_would_deny_total{dry_run="false",rule="internal-error"} 0`,
		`awsauth_guard_overrides_total{dry_run="false",kind="break-glass"} 0`,
		`awsauth_guard_overrides_total{dry_run="false",kind="allow-removal"} 0`,
		`awsauth_guard_rule_panics_total{rule="role-path"} 0`,
		`awsauth_guard_rule_panics_total{rule="internal-error"} 0`,
		`awsauth_guard_config_reloads_total{result="success"} 0`,
		`awsauth_guard_config_reloads_total{result="failure"} 0`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.0001"} 0`,
		`awsauth_guard_review_duration_seconds_bucket{le="10"} 0`,
		`awsauth_guard_iam_lookups_total{result="exists"} 0`,
		`awsauth_guard_iam_lookups_total{result="missing"} 0`,
		`awsauth_guard_iam_lookups_total{result="unknown"} 0`,
		`awsauth_guard_iam_lookup_duration_seconds_count 0`,
		`awsauth_guard_iam_cache_hits_total 0`,
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestReviewsAreCountedWithinClosedSets(t *testing.T) {
	t.Parallel()
	r := metrics.New([]string{"role-path", "emptied"})
	before := guardSeries(t, r)
	r.Reviewed("UPDATE", "deny", false, 300*time.Microsecond)
	r.Rejected("role-path", "UPDATE", false)
	r.Rejected("emptied", "UPDATE", false)
	r.Reviewed("DELETE", "warn", true, 20*time.Second)
	r.WouldDeny("emptied", false)
	r.WouldDeny("emptied", true)
	r.Overridden("break-glass", false)
	r.Overridden("break-glass", true)
	r.Panicked("emptied")
	r.Overridden("arn:aws:iam::111122223333:role/a", false)
	r.Panicked("arn:aws:iam::111122223333:role/a")
	// A value outside of the closed sets never becomes a label.
	r.Reviewed("CONNECT", "maybe", false, 0)
	r.Rejected("arn:aws:iam::111122223333:role/a", "PATCH", true)
	r.WouldDeny("arn:aws:iam::111122223333:role/a", false)

	var changed []string
	for _, line := range guardSeries(t, r) {
		if !slices.Contains(before, line) {
			changed = append(changed, line)
		}
	}
	want := []string{
		`awsauth_guard_overrides_total{dry_run="false",kind="break-glass"} 1`,
		`awsauth_guard_overrides_total{dry_run="false",kind="other"} 1`,
		`awsauth_guard_overrides_total{dry_run="true",kind="break-glass"} 1`,
		`awsauth_guard_rejections_total{dry_run="false",operation="UPDATE",rule="emptied"} 1`,
		`awsauth_guard_rejections_total{dry_run="false",operation="UPDATE",rule="role-path"} 1`,
		`awsauth_guard_rejections_total{dry_run="true",operation="other",rule="internal-error"} 1`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.0001"} 1`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.00025"} 1`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.0005"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.001"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.0025"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.005"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.01"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.025"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.05"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.1"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.25"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="0.5"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="1"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="2.5"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="5"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="10"} 2`,
		`awsauth_guard_review_duration_seconds_bucket{le="+Inf"} 3`,
		`awsauth_guard_review_duration_seconds_sum 20.0003`,
		`awsauth_guard_review_duration_seconds_count 3`,
		`awsauth_guard_reviews_total{dry_run="false",operation="UPDATE",verdict="deny"} 1`,
		`awsauth_guard_reviews_total{dry_run="false",operation="other",verdict="error"} 1`,
		`awsauth_guard_reviews_total{dry_run="true",operation="DELETE",verdict="warn"} 1`,
		`awsauth_guard_rule_panics_total{rule="emptied"} 1`,
		`awsauth_guard_rule_panics_total{rule="internal-error"} 1`,
		`awsauth_guard_would_deny_total{dry_run="false",rule="emptied"} 1`,
		`awsauth_guard_would_deny_total{dry_run="false",rule="internal-error"} 1`,
		`awsauth_guard_would_deny_total{dry_run="true",rule="emptied"} 1`,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed series (-want +got):\n%s", diff)
	}
}

func TestConfigReloadsAreCounted(t *testing.T) {
	t.Parallel()
	r := metrics.New(nil)
	is := func(generation, success, failure, successful string) {
		t.Helper()
		got := guardSeries(t, r)
		for _, want := range []string{
			"awsauth_guard_config_generation " + generation,
			`awsauth_guard_config_reloads_total{result="success"} ` + success,
			`awsauth_guard_config_reloads_total{result="failure"} ` + failure,
			"awsauth_guard_config_last_reload_successful " + successful,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("no %s", want)
			}
		}
	}
	is("0", "0", "0", "0")
	r.ConfigInUse(1)
	is("1", "0", "0", "1")
	r.ConfigRefused()
	is("1", "0", "1", "0")
	r.ConfigInUse(2)
	is("2", "1", "1", "1")
}

func TestServingCertificateSeriesExistOnlyWhenKnown(t *testing.T) {
	t.Parallel()
	r := metrics.New(nil)
	serving := func() []string {
		return slices.DeleteFunc(guardSeries(t, r), func(line string) bool { return !strings.HasPrefix(line, "awsauth_guard_serving_") })
	}
	is := func(want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, serving()); diff != "" {
			t.Errorf("series (-want +got):\n%s", diff)
		}
	}
	if got := serving(); len(got) > 0 {
		t.Errorf("series before there is a certificate: %v", got)
	}
	r.ServingCertificate(time.Unix(2e9, 0))
	is("awsauth_guard_serving_certificate_expiry_timestamp_seconds 2e+09")
	r.ServingTrust(time.Unix(3e9, 0), true)
	is("awsauth_guard_serving_ca_expiry_timestamp_seconds 3e+09", "awsauth_guard_serving_certificate_expiry_timestamp_seconds 2e+09", "awsauth_guard_serving_certificate_trusted 1")
	r.ServingTrust(time.Unix(3e9, 0), false)
	is("awsauth_guard_serving_ca_expiry_timestamp_seconds 3e+09", "awsauth_guard_serving_certificate_expiry_timestamp_seconds 2e+09", "awsauth_guard_serving_certificate_trusted 0")
}

// If the states of the access entries are unknown, there is no series. If they are known, a state without access
// entries has the value 0.
func TestAccessEntryStatesExistOnlyWhenKnown(t *testing.T) {
	t.Parallel()
	r := metrics.New(nil)
	states := func() (found []string) {
		for _, line := range guardSeries(t, r) {
			if strings.HasPrefix(line, "awsauth_guard_access_entries{") {
				found = append(found, line)
			}
		}
		return found
	}
	want := []string{
		`awsauth_guard_access_entries{state="missing"} 1`, `awsauth_guard_access_entries{state="ok"} 3`,
		`awsauth_guard_access_entries{state="stale"} 2`, `awsauth_guard_access_entries{state="unknown"} 0`,
	}
	for _, step := range []struct {
		counts map[string]int
		want   []string
	}{{nil, nil}, {map[string]int{"ok": 3, "stale": 2, "missing": 1, "arn:aws:iam::111122223333:role/a": 9}, want}, {nil, nil}} {
		r.AccessEntryStates(step.counts)
		if diff := cmp.Diff(step.want, states()); diff != "" {
			t.Errorf("series (-want +got):\n%s", diff)
		}
	}
}

func TestIAMLookupsAreCounted(t *testing.T) {
	t.Parallel()
	r := metrics.New(nil)
	before := guardSeries(t, r)
	r.LookedUp("exists", 20*time.Millisecond)
	r.LookedUp("missing", 1200*time.Millisecond)
	r.LookedUp("unknown", 20*time.Second)
	r.LookedUp("arn:aws:iam::111122223333:role/a", 20*time.Second) // outside of the closed set
	r.CacheHit()
	r.Unasked(3)
	changed := slices.DeleteFunc(guardSeries(t, r), func(line string) bool { return slices.Contains(before, line) })
	want := []string{
		`awsauth_guard_iam_cache_hits_total 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="0.025"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="0.05"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="0.1"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="0.25"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="0.5"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="1"} 1`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="1.5"} 2`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="2"} 2`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="5"} 2`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="10"} 2`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="15"} 2`,
		`awsauth_guard_iam_lookup_duration_seconds_bucket{le="+Inf"} 4`,
		`awsauth_guard_iam_lookup_duration_seconds_sum 41.22`,
		`awsauth_guard_iam_lookup_duration_seconds_count 4`,
		`awsauth_guard_iam_lookups_total{result="exists"} 1`,
		`awsauth_guard_iam_lookups_total{result="missing"} 1`,
		`awsauth_guard_iam_lookups_total{result="unknown"} 5`,
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Errorf("changed series (-want +got):\n%s", diff)
	}
}
