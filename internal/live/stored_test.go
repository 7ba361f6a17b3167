package live_test

import (
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// What is stored is judged when it changes, and when the configuration does.
func TestStored(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node+ci), func(w *world) {
		r := w.join()
		state := func() []float64 {
			return []float64{r.value("present"), r.value("mapRoles"), r.value("mapUsers"), r.value("admins"), r.value("missing"), r.value("protected-principal/deny"), r.value("break-glass")}
		}
		want(t, "at first", state(), []float64{1, 3, 0, 1, 0, 0, 0})
		w.write("x", map[string]string{"mapRoles": node, "mapUsers": "- userarn: arn:aws:iam::111122223333:user/a\n  username: a\n"})
		after(time.Second)
		want(t, "without the admin", state(), []float64{1, 1, 1, 0, 1, 1, 0})
		r.change(func() { r.policy.AccessEntries = []string{adminARN} })
		r.Reconfigured()
		want(t, "with an access entry", state(), []float64{1, 1, 1, 1, 0, 0, 0})
		r.change(func() { r.policy.Mode, r.policy.AccessEntries = validate.WarnMode, nil })
		r.Reconfigured()
		want(t, "in mode warn", state(), []float64{1, 1, 1, 0, 1, 1, 0})
		w.mu.Lock()
		w.put("x", roles(admin), map[string]string{validate.BreakGlassAnnotation: "incident"})
		w.mu.Unlock()
		after(time.Second)
		want(t, "with break-glass", state(), []float64{1, 1, 0, 1, 0, 0, 1})
		w.write("x", nil)
		after(time.Second)
		want(t, "deleted", state(), []float64{0, 0, 0, 0, 1, 0, 0})
	})
}

// That a protected principal is lost is told also where another one comes with the same change, and where the
// change itself was not seen.
func TestProtectedPrincipalLost(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join(func(r *replica, _ *live.Options) {
			r.policy.Protected = append(r.policy.Protected, validate.Protected{ARN: iamPrefix + "role/CI", Groups: []string{"deployers"}})
		})
		after(time.Minute)
		lost := func() int { after(time.Second); return r.event(live.ProtectedPrincipalLost) }
		want(t, "at first", lost(), 0)
		w.write("x", roles(node+ci))
		want(t, "another comes", lost(), 1)
		w.write("x", roles(node+ci+"\n"))
		want(t, "nothing new", lost(), 1)
		w.write("x", roles(node+admin+ci))
		want(t, "both are there", lost(), 1)
		w.mu.Lock()
		watches := w.watches
		w.watches = nil
		w.put("x", roles(node+admin), nil)
		w.watches = watches
		w.mu.Unlock()
		w.expire()
		after(20 * time.Second)
		want(t, "after a gap", lost(), 2)
	})
}

// A panic at what is stored ends nothing: the gauges are forgotten until they are known, and the history goes on.
func TestPanic(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		var panics atomic.Int32
		r := w.join(func(_ *replica, o *live.Options) {
			policy := o.Policy
			o.Policy = func() validate.Policy {
				if panics.Add(-1) >= 0 {
					panic("arn:aws:iam::111122223333:role/Admin")
				}
				return policy()
			}
		})
		want(t, "at first", r.value("present"), 1.0)
		panics.Store(2) // the picture's, and the history's
		r.admits("alice", roles(admin+node+ci))
		after(5 * time.Second)
		want(t, "present and panics", []float64{r.value("present"), r.value("mapRoles"), float64(r.count("panic internal-error"))}, []float64{-1, -1, 2})
		want(t, "history", r.log(t)[1:], []string{"2 admitted by alice"})
		r.Reconfigured()
		want(t, "again", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 3})
		r.change(func() { r.settings.SelfTest, r.settings.Restore = true, true })
		panics.Store(1000)
		w.write("kubectl-edit", roles(admin))
		after(2 * time.Minute)
		want(t, "bypassed", []int{r.count("bypassed"), r.event(live.Bypassed)}, []int{1, 1})
	})
}

// What has not been seen for ten minutes is not known.
func TestBlind(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join()
		after(time.Hour) // its end is agreed on
		w.interrupt(true)
		after(9 * time.Minute)
		r.Reconfigured()
		want(t, "after 9 minutes", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 2})
		after(2 * time.Minute)
		r.Reconfigured()
		want(t, "after 11 minutes", []float64{r.value("present"), r.value("mapRoles")}, []float64{-1, -1})
		w.interrupt(false)
		after(20 * time.Second)
		w.write("kubectl", roles(admin))
		after(time.Second)
		want(t, "when it is seen again", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 1})
		// Many short interruptions are no long one.
		for range 30 {
			after(2 * time.Minute)
			w.interrupt(false)
		}
		want(t, "after short ones", r.value("present"), 1.0)
	})
}

// Ten thousand principals, and whatever is done to them, add no series.
func TestSeries(t *testing.T) {
	t.Parallel()
	run(t, roles(admin), func(w *world) {
		recorder := metrics.New([]string{"role-path", "protected-principal"})
		r := w.join(func(r *replica, o *live.Options) {
			o.Recorder, r.settings.Principals, r.ids = recorder, true, map[string]string{"Admin": "AROA1"}
		})
		r.Admitted(w.someAdmission("alice"), nil)
		config, _ := charts(t)
		r.Configured(config)
		after(2 * time.Hour)
		series := func() int {
			answer := httptest.NewRecorder()
			recorder.Handler(log.New(io.Discard, "", 0)).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
			n := 0
			for line := range strings.Lines(answer.Body.String()) {
				if strings.HasPrefix(line, "awsauth_guard_") {
					n++
				}
			}
			return n
		}
		before := series()
		random := rand.New(rand.NewPCG(1, 2))
		for range 10 {
			var text strings.Builder
			for range 1000 {
				fmt.Fprintf(&text, "- rolearn: arn:aws:iam::%012d:role/x/%x\n  username: %x\n  groups: [g%x]\n", random.Int64N(1e12), random.Uint64(), random.Uint64(), random.Uint64())
			}
			r.Admitted(w.someAdmission(fmt.Sprint(random.Uint64())), []string{fmt.Sprint(random.Uint64())})
			w.write(fmt.Sprint(random.Uint64()), roles(text.String()))
			after(time.Minute)
		}
		after(2 * time.Hour)
		if got := series(); got != before || before < 30 {
			t.Errorf("%d series have become %d", before, got)
		}
	})
}

// IAM is asked hourly, one principal a second, and remembers who was who.
func TestPrincipals(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node+ci), func(w *world) {
		r := w.join(func(r *replica, _ *live.Options) {
			r.settings.Principals = true
			r.ids = map[string]string{"Admin": "AROA1", "Node": ""}
		})
		second := w.join(func(r *replica, _ *live.Options) { r.settings.Principals = true })
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

// What was made a moment ago may be known at the second look only, and is not missing then.
func TestPrincipalsMadeJustNow(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join(func(r *replica, _ *live.Options) {
			r.settings.Principals = true
			r.ids = map[string]string{"Admin": "", "Node": ""}
			r.later = map[string]string{"Admin": "AROA1"}
		})
		after(time.Minute)
		want(t, "exists, missing and unknown", []float64{r.value("iam exists"), r.value("iam missing"), r.value("iam unknown")}, []float64{1, 1, 0})
		if said := r.logged.String(); strings.Contains(said, "role/Admin") || strings.Count(said, "a stored principal does not exist in IAM") != 1 {
			t.Errorf("the log has\n%s", said)
		}
		// Who could be asked only once is not missing.
		r.change(func() { r.ids["Admin"], r.later = "AROA1", map[string]string{"Node": "?"} })
		after(time.Hour)
		want(t, "an hour later", []float64{r.value("iam exists"), r.value("iam missing"), r.value("iam unknown")}, []float64{1, 0, 1})
	})
}

// The permission set of a stored role has another one now: the log says which, where that is known.
func TestPrincipalsOfPermissionSets(t *testing.T) {
	t.Parallel()
	sso := func(name string) string {
		return "- rolearn: arn:aws:iam::111122223333:role/AWSReservedSSO_" + name + "_0123456789abcdef\n  username: x\n  groups: [developers]\n"
	}
	run(t, roles(admin+sso("Dev")+sso("Ops")), func(w *world) {
		r := w.join(func(r *replica, _ *live.Options) {
			r.settings.Principals = true
			r.ids = map[string]string{"Admin": "", "AWSReservedSSO_Dev_0123456789abcdef": "", "AWSReservedSSO_Ops_0123456789abcdef": ""}
			r.instead = map[string]string{"Admin": "x", "AWSReservedSSO_Dev_0123456789abcdef": "arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_fedcba9876543210"}
		})
		after(time.Minute)
		want(t, "missing", r.value("iam missing"), 3.0)
		want(t, "calls, of which one for each permission set", len(r.calls()), 3*2+2)
		r.spaced(t)
		for _, line := range []string{
			`msg="a stored role of IAM Identity Center does not exist: its permission set has a role with another suffix" principal=arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_0123456789abcdef instead=arn:aws:iam::111122223333:role/AWSReservedSSO_Dev_fedcba9876543210`,
			`msg="a stored role of IAM Identity Center does not exist: its permission set may have a role with another suffix" principal=arn:aws:iam::111122223333:role/AWSReservedSSO_Ops_0123456789abcdef`,
			`msg="a stored principal does not exist in IAM" principal=arn:aws:iam::111122223333:role/Admin`,
		} {
			if !strings.Contains(r.logged.String(), line+"\n") {
				t.Errorf("no %s in the log:\n%s", line, &r.logged)
			}
		}
	})
}
