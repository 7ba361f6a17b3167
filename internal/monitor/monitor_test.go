package monitor_test

import (
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The monitor evaluates the stored version when the version changes, and when the configuration changes.
func TestMetricsFollowVersionAndConfiguration(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node+ci), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
		state := func() []float64 {
			return []float64{r.value("present"), r.value("mapRoles"), r.value("mapUsers"), r.value("admins"), r.value("missing"), r.value("protected-principal/deny"), r.value("break-glass")}
		}
		want(t, "at first", state(), []float64{1, 3, 0, 1, 0, 0, 0})
		w.write("x", map[string]string{"mapRoles": node, "mapUsers": "- userarn: arn:aws:iam::111122223333:user/a\n  username: a\n"})
		after(time.Second)
		want(t, "without the admin", state(), []float64{1, 1, 1, 0, 1, 1, 0})
		r.reload(func() { r.policy.AccessEntries = []string{adminARN} })
		want(t, "with an access entry", state(), []float64{1, 1, 1, 1, 0, 0, 0})
		r.reload(func() { r.policy.Mode, r.policy.AccessEntries = validate.WarnMode, nil })
		want(t, "in mode warn", state(), []float64{1, 1, 1, 0, 1, 1, 0})
		w.write("x", roles(admin), validate.BreakGlassAnnotation, "incident")
		after(time.Second)
		want(t, "with break-glass", state(), []float64{1, 1, 0, 1, 0, 0, 1})
		w.write("x", nil)
		after(time.Second)
		want(t, "deleted", state(), []float64{0, 0, 0, 0, 1, 0, 0})
	})
}

// If aws-auth is missing, a metric says so, and the history stays empty. The monitor evaluates aws-auth as soon as it exists.
func TestMissingAWSAuthIsKnown(t *testing.T) {
	t.Parallel()
	run(t, roles(admin), func(w *world) {
		w.write("x", nil)
		r := w.start()
		after(time.Second)
		want(t, "present", r.value("present"), 0.0)
		want(t, "history", w.versions(), nil)
		w.write("eksctl", roles(admin+node))
		after(time.Second)
		want(t, "present", r.value("present"), 1.0)
		want(t, "history", w.versions(), []string{"1 changed"})
	})
}

// An Event reports a protected principal that lost access, even if another one gets access in the same change.
func TestProtectedPrincipalLost(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.settings.Enabled = false
			r.policy.Protected = append(r.policy.Protected, access.Protected{ARN: iamPrefix + "role/CI", Groups: []string{"deployers"}})
		})
		lost := func() int { after(time.Second); return r.event(kube.ProtectedPrincipalLost, "") }
		want(t, "at first", lost(), 0)
		w.write("x", roles(node+ci))
		want(t, "another comes", lost(), 1)
		w.write("x", roles(node+ci+"\n"))
		want(t, "nothing new", lost(), 1)
		w.write("x", roles(node+admin+ci))
		want(t, "both are there", lost(), 1)
		w.interrupt(true, false)
		w.write("x", roles(node+admin))
		w.interrupt(false, true)
		after(time.Minute)
		want(t, "after a gap", lost(), 2)
	})
}

// If an access entry is deleted or changed, one Event reports that a protected principal lost access, and another Event reports that the last
// admin lost access.
func TestAccessEntryLostIsReported(t *testing.T) {
	t.Parallel()
	run(t, roles(node), func(w *world) {
		entry := access.AccessEntry{PrincipalARN: adminARN, Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: "arn:aws:eks::aws:cluster-access-policy/" + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}}
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.settings.Enabled = false
			r.policy.Cluster = &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{entry}}
		})
		read := func(entries ...access.AccessEntry) int {
			r.change(func() { r.policy.Cluster = &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: entries} })
			r.AccessEntriesRead()
			after(time.Second)
			return r.event(kube.AccessEntryLost, "")
		}
		after(time.Second)
		want(t, "admins and missing", []float64{r.value("admins"), r.value("missing")}, []float64{1, 0})
		want(t, "the same access entries", read(entry), 0)
		want(t, "without the access entry", read(), 2)
		want(t, "still without", read(), 2)
		want(t, "admins and missing", []float64{r.value("admins"), r.value("missing")}, []float64{0, 1})
		weaker := entry
		weaker.Policies = nil
		want(t, "there again", read(entry), 2)
		want(t, "without its policy", read(weaker), 4)
		want(t, "counted losses", []int{r.count("lost protected-principal"), r.count("lost last-admin"), r.count("lost node-role")}, []int{2, 2, 0})
		w.write("x", roles(node+ci))
		want(t, "Events of the stored aws-auth", r.event(kube.ProtectedPrincipalLost, ""), 0)
	})
}

// The leader logs which principals would lose their access in mode API.
func TestPrincipalsWithoutAnAccessEntryAreLogged(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		read := func(mode access.Mode, entries ...access.AccessEntry) string {
			after(time.Minute)
			r.change(func() { r.policy.Cluster = &access.Cluster{Mode: mode, AccessEntries: entries} })
			r.AccessEntriesRead()
			var last string
			for line := range strings.Lines(r.logged.String()) {
				if strings.Contains(line, "would lose their access in the authentication mode API") {
					last = line
				}
			}
			return last
		}
		after(time.Second)
		want(t, "of a mode without access entries", read(access.ModeConfigMap), "")
		if got := read(access.ModeAPIAndConfigMap); !strings.Contains(got, "count=2") || !strings.Contains(got, adminARN) {
			t.Errorf("of two principals: %q", got)
		}
		if got := read(access.ModeAPIAndConfigMap, access.AccessEntry{PrincipalARN: adminARN, Type: "STANDARD"}); !strings.Contains(got, "count=1") || strings.Contains(got, adminARN) {
			t.Errorf("after an access entry was created: %q", got)
		}
	})
}

// When the access entries become known for the first time, the monitor reports no loss. When they become known again after an
// interruption, it compares them with the last known ones.
func TestUnknownAccessEntriesAreNoLoss(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		entry := access.AccessEntry{PrincipalARN: adminARN, Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: access.ClusterAdminPolicy, Scope: access.ScopeCluster}}}
		r := w.start(func(r *replica, _ *monitor.Options) {
			r.settings.Enabled = false
			r.policy.ClusterUnknown = "not read yet"
		})
		set := func(cluster *access.Cluster, unknown string) {
			r.change(func() { r.policy.Cluster, r.policy.ClusterUnknown = cluster, unknown })
		}
		read := func(mode access.Mode, entries ...access.AccessEntry) int {
			set(&access.Cluster{Mode: mode, AccessEntries: entries}, "")
			r.AccessEntriesRead()
			after(time.Second)
			return r.event(kube.AccessEntryLost, "")
		}
		after(time.Second)
		want(t, "the first read, where aws-auth has no effect", read(access.ModeAPI), 0)
		want(t, "an access entry", read(access.ModeAPI, entry), 0)
		set(nil, "access denied")
		r.Reconfigured()
		want(t, "known again", read(access.ModeAPI, entry), 0)
		set(nil, "access denied")
		r.Reconfigured()
		want(t, "known again, without the access entry", read(access.ModeAPI), 2)
	})
}

// If the evaluation of the stored version panics, the process goes on and writes the history. The gauges have no series until an
// evaluation succeeds.
func TestMonitorContinuesAfterPanic(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		panics := 0
		r := w.start(func(r *replica, o *monitor.Options) {
			o.Policy = func() validate.Policy {
				if panics > 0 {
					panic(adminARN)
				}
				return r.inUse()
			}
		})
		after(time.Second)
		want(t, "at first", r.value("present"), 1.0)
		panics = 1
		w.write("kubectl", roles(admin+node+ci))
		after(5 * time.Second)
		want(t, "present and panics", []bool{r.value("present") == -1, r.count("panic internal-error") > 0}, []bool{true, true})
		want(t, "history", w.versions(), []string{"1 found", "2 found"})
		if strings.Contains(r.logged.String(), adminARN) {
			t.Error("the log holds the text of the panic")
		}
		panics = 0
		r.Reconfigured()
		want(t, "again", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 3})
	})
}

// The stored version is unknown after the watch has failed for ten minutes.
func TestInterruptedWatchMakesMetricsUnknown(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		w.interrupt(true, false)
		after(9 * time.Minute)
		want(t, "after 9 minutes", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 2})
		after(2 * time.Minute)
		want(t, "after 11 minutes", []float64{r.value("present"), r.value("mapRoles")}, []float64{-1, -1})
		w.interrupt(false, false)
		after(time.Minute)
		want(t, "when it is shown again", []float64{r.value("present"), r.value("mapRoles")}, []float64{1, 2})
		for range 30 { // many short interruptions don't count as a long one
			after(2 * time.Minute)
			w.interrupt(false, false)
		}
		want(t, "after short ones", r.value("present"), 1.0)
	})
}

// The monitor doesn't report a loss of admins or protected principals for a stored text that exceeds a limit of the evaluation.
func TestAccessPastLimitIsUnknown(t *testing.T) {
	t.Parallel()
	expensive := strings.Repeat("%TAG ! !\n", 17) + "---\n" + admin + node
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
		shown := func() []float64 {
			after(time.Second)
			return []float64{r.value("admins"), r.value("missing"), r.value("mapRoles"), r.value("too-expensive/deny"), r.value("present")}
		}
		want(t, "before", shown(), []float64{1, 0, 2, 0, 1})
		w.write("x", roles(expensive))
		want(t, "past a limit", shown(), []float64{-1, -1, -1, 1, 1})
		want(t, "the Event of a loss", r.event(kube.ProtectedPrincipalLost, ""), 0)
		w.write("x", roles(node))
		want(t, "a loss", shown(), []float64{0, 1, 1, 0, 1})
		want(t, "the Event of a loss", r.event(kube.ProtectedPrincipalLost, ""), 1)
	})
}

// The leader records the origin of each version, and counts the changes that the guard would have refused.
func TestVersionsHaveTheirOrigin(t *testing.T) {
	t.Parallel()
	unread := "- rolearn: arn:aws:sts::111122223333:assumed-role/CI/x\n  username: ci\n"
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
		w.start()
		for _, step := range []struct {
			what        string
			data        map[string]string
			manager     string
			annotations []string
			version     string // the version that the history gets; empty if it gets none
			bypassed    int
		}{
			{"a change", roles(admin + node + ci), "kubectl", nil, "2 changed", 0},
			{"a label", roles(admin + node + ci), "kubectl", nil, "", 0},
			{"a fault", roles(admin + node + ci + unread), "kubectl", nil, "3 bypassed", 1},
			{"a change beside the fault", roles(admin + node + unread), "kubectl", nil, "4 changed", 1},
			{"a fault by EKS", roles(admin + unread), "eks", nil, "5 changed", 1},
			{"break-glass", roles(node), "kubectl", []string{validate.BreakGlassAnnotation, "incident"}, "6 overridden", 1},
			{"with the annotation of before", roles(ci), "kubectl", []string{validate.BreakGlassAnnotation, "incident"}, "7 bypassed node-role-removed", 2},
			{"a repair", roles(admin + node), "kubectl", nil, "8 changed", 2},
			{"a deletion", nil, "", nil, "9 bypassed absent deleted,last-admin,node-role-removed,protected-principal", 3},
		} {
			w.write(step.manager, step.data, step.annotations...)
			before := len(w.versions())
			after(2 * time.Second)
			got, want := w.versions(), step.version
			if newest := got[len(got)-1]; len(got) == before && want != "" || len(got) > before && newest != want {
				t.Errorf("%s: %v, want %q", step.what, got, want)
			}
			if n := r.count("bypassed"); n != step.bypassed || r.event(kube.Bypassed, "") != n {
				t.Errorf("%s: %d bypasses, want %d", step.what, n, step.bypassed)
			}
		}
		want(t, "those that the other replica counts", w.replicas[1].count("bypassed"), 0)
	})
}

// In mode warn the guard refuses no change, but the history still records a loss.
func TestModeWarnRecordsLosses(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.policy.Mode = validate.WarnMode })
		w.write("kubectl", roles(admin))
		after(20 * time.Second)
		want(t, "history", w.versions(), []string{"1 found", "2 changed node-role-removed"})
		want(t, "bypasses", r.count("bypassed"), 0)
	})
}

// The next leader adds the missing versions to the history, and counts the bypasses that no leader has counted.
func TestNextLeaderCompletesHistoryAndBypasses(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.start(), w.start()
		for _, r := range w.replicas {
			r.change(func() { r.settings.Enabled = false })
		}
		w.write("kubectl", roles(admin))
		after(time.Second)
		first.stop()
		w.write("kubectl", roles(admin+ci))
		w.write("kubectl", roles(ci))
		after(30 * time.Second)
		second.lead()
		after(time.Second)
		want(t, "history", w.versions(), []string{
			"1 found", "2 bypassed node-role-removed", "3 changed node-role-removed", "4 bypassed last-admin,node-role-removed,protected-principal",
		})
		want(t, "bypasses", []int{first.count("bypassed"), second.count("bypassed")}, []int{1, 1})
	})
}

// When a process starts, it reads the versions since the newest good version of the history from the API server. If the API server no
// longer has them, the process begins with the stored version.
func TestResume(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		forget bool
		want   []string
	}{
		"remembered": {false, []string{"1 found", "2 changed", "3 bypassed node-role-removed"}},
		"forgotten":  {true, []string{"1 found", "2 found"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				w.start().stop()
				w.write("kubectl", roles(admin+node+ci))
				w.write("kubectl", roles(admin+ci))
				if tt.forget {
					w.change(func() { w.compacted = w.version })
				}
				r := w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
				r.lead()
				after(15 * time.Second)
				want(t, "history", w.versions(), tt.want)
				want(t, "mapRoles", r.value("mapRoles"), 2.0)
			})
		})
	}
}

// The leader counts a bypass even if it can't read or write the history. It adds the version to the history later.
func TestBypassCountsWithoutHistory(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
		w.change(func() { w.noHistory = apierrors.NewServiceUnavailable("down") })
		w.write("kubectl", roles(admin))
		after(time.Minute)
		want(t, "bypasses", []int{r.count("bypassed"), r.event(kube.Bypassed, "kubectl")}, []int{1, 1})
		if n := r.count("errors"); n < 3 || n > 20 {
			t.Errorf("%d errors", n)
		}
		w.change(func() { w.noHistory = nil })
		after(20 * time.Second)
		want(t, "history", w.versions(), []string{"1 found", "2 bypassed node-role-removed"})
	})
}

// The monitor doesn't write the history while aws-auth doesn't change.
func TestNoChangeCausesNoWrite(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.start()
		after(time.Minute)
		before := w.writes
		after(time.Hour)
		want(t, "writes of the history", w.writes, before)
	})
}

// The monitor collects versions before it writes the history: 500 versions within 5 s need at most 25 writes.
func TestManyVersionsNeedFewWrites(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.start(func(r *replica, _ *monitor.Options) { r.settings.Enabled = false })
		after(time.Second)
		before := w.writes
		for i := range 500 {
			w.write("kubectl", roles(admin+node+strings.Repeat("\n", i+1)))
			after(10 * time.Millisecond)
		}
		after(10 * time.Second)
		if n := w.writes - before; n > 25 {
			t.Errorf("%d writes of the history, want at most 25", n)
		}
		want(t, "the newest", w.versions()[9], "501 changed")
	})
}
