package monitor_test

import (
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
)

// The leader looks up the principals every hour, with at most one call a second, and stores their unique ids. Replicas that don't lead make
// no calls. The next leader reads the unique ids, so it detects a principal that was deleted and created again.
func TestPrincipals(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node+ci), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.principals = true
			r.ids = map[string]string{"Admin": "AROA1", "Node": ""}
		})
		second := w.start(func(r *replica, _ *monitor.Options) { r.principals = true })
		state := func(r *replica) []float64 {
			return []float64{r.value("iam exists"), r.value("iam missing"), r.value("iam recreated"), r.value("iam unknown")}
		}
		after(time.Minute)
		want(t, "at first", state(r), []float64{1, 1, 0, 1})
		want(t, "calls, of which two for the one that is missing", len(r.calls()), 4)
		r.spaced(t)
		r.change(func() { r.ids = map[string]string{"Admin": "AROA2", "Node": "AROA3", "CI": "AROA4"} })
		after(50 * time.Minute)
		want(t, "calls within the hour", len(r.calls()), 4)
		after(20 * time.Minute)
		want(t, "an hour later", state(r), []float64{2, 0, 1, 0})
		want(t, "those of others", []any{len(second.calls()), state(second)}, []any{0, []float64{-1, -1, -1, -1}})
		second.change(func() { second.ids = r.ids })
		second.lead()
		after(2 * time.Minute)
		want(t, "the next leader", state(second), []float64{2, 0, 1, 0})
		want(t, "the one before", state(r), []float64{-1, -1, -1, -1})
	})
}

// A new principal is not missing if the first call doesn't find it but the second call does.
func TestPrincipalsMadeJustNow(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.principals = true
			r.ids = map[string]string{"Admin": "", "Node": ""}
			r.later = map[string]string{"Admin": "AROA1"}
		})
		after(time.Minute)
		want(t, "exists, missing and unknown", []float64{r.value("iam exists"), r.value("iam missing"), r.value("iam unknown")}, []float64{1, 1, 0})
		if said := r.logged.String(); strings.Contains(said, "role/Admin") || strings.Count(said, "a stored principal does not exist in IAM") != 1 {
			t.Errorf("the log has\n%s", said)
		}
		// A principal with only one answer is not missing.
		r.change(func() { r.ids["Admin"], r.later = "AROA1", map[string]string{"Node": "?"} })
		after(time.Hour)
		want(t, "an hour later", []float64{r.value("iam exists"), r.value("iam missing"), r.value("iam unknown")}, []float64{1, 0, 1})
	})
}

// If the permission set of a stored role has another role now, the log names the other role.
func TestPrincipalsOfPermissionSets(t *testing.T) {
	t.Parallel()
	sso := func(name string) string {
		return "- rolearn: arn:aws:iam::111122223333:role/AWSReservedSSO_" + name + "_0123456789abcdef\n  username: x\n  groups: [developers]\n"
	}
	run(t, roles(admin+sso("Dev")+sso("Ops")), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.principals = true
			r.ids = map[string]string{"Admin": "", "AWSReservedSSO_Dev_0123456789abcdef": "", "AWSReservedSSO_Ops_0123456789abcdef": ""}
			r.instead = map[string]string{"Admin": "x", "AWSReservedSSO_Dev_0123456789abcdef": "arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_fedcba9876543210"}
		})
		after(time.Minute)
		want(t, "missing", r.value("iam missing"), 3.0)
		want(t, "calls, of which one for each permission set", len(r.calls()), 3*2+2)
		r.spaced(t)
		for _, line := range []string{
			`msg="a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix" principal=arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_0123456789abcdef replacement=arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_fedcba9876543210`,
			`msg="a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix" principal=arn:aws:iam::111122223333:role/AWSReservedSSO_Ops_0123456789abcdef`,
			`msg="a stored principal does not exist in IAM" principal=arn:aws:iam::111122223333:role/Admin`,
		} {
			if !strings.Contains(r.logged.String(), line+"\n") {
				t.Errorf("no %s in the log:\n%s", line, &r.logged)
			}
		}
	})
}
