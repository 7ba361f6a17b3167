package monitor_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const restored = "restored"

// wantStored checks mapRoles of the stored aws-auth. An empty text means that aws-auth doesn't exist.
func (w *world) wantStored(t *testing.T, what, text string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := ""
	if cm := w.stored(); cm != nil {
		got = cm.Data["mapRoles"]
	}
	want(t, what, got, text)
}

// The guard restores the last good version within fifteen seconds after a loss. It doesn't restore after a loss by EKS, with break-glass, in
// mode warn, while restores are off, under a rule that is off, or in a gap of the watch. It keeps every version without a loss.
func TestRestore(t *testing.T) {
	t.Parallel()
	const good = admin + node
	for name, tt := range map[string]struct {
		do   func(w *world)
		want string
	}{
		"a loss":   {func(w *world) { w.write("kubectl", roles(admin)) }, good},
		"deletion": {func(w *world) { w.write("kubectl", nil) }, good},
		"deleted, and made anew": {func(w *world) {
			w.write("kubectl", nil)
			after(time.Second)
			w.write("kubectl", roles(ci))
		}, good},
		"a change that loses nothing": {func(w *world) { w.write("kubectl", roles(good+ci)) }, good + ci},
		"a loss after a change that loses nothing": {func(w *world) {
			w.write("kubectl", roles(good+ci))
			w.write("kubectl", roles(ci))
		}, good + ci},
		"a loss that is repaired": {func(w *world) {
			w.write("kubectl", roles(admin))
			after(2 * time.Second)
			w.write("kubectl", roles(good+ci))
		}, good + ci},
		"a loss that grows": {func(w *world) {
			w.write("kubectl", roles(admin))
			after(2 * time.Second)
			w.write("kubectl", roles(ci))
		}, good},
		"a loss that is repaired in part": {func(w *world) {
			w.write("kubectl", roles(ci))
			after(2 * time.Second)
			w.write("kubectl", roles(admin))
		}, good},
		"a loss by EKS":           {func(w *world) { w.write("eks", roles(admin)) }, admin},
		"a loss with break-glass": {func(w *world) { w.write("kubectl", roles(admin), validate.BreakGlassAnnotation, "incident") }, admin},
		"break-glass in the next change": {func(w *world) {
			w.write("kubectl", roles(admin))
			after(2 * time.Second)
			w.write("kubectl", roles(admin), validate.BreakGlassAnnotation, "incident")
		}, admin},
		"break-glass before, and a loss": {func(w *world) {
			w.write("kubectl", roles(good), validate.BreakGlassAnnotation, "incident")
			w.write("kubectl", roles(admin), validate.BreakGlassAnnotation, "incident")
		}, good},
		"a loss with break-glass, and another loss": {func(w *world) {
			w.write("kubectl", roles(admin+ci), validate.BreakGlassAnnotation, "incident")
			w.write("kubectl", roles(ci))
		}, admin + ci},
		"a loss without a leader": {func(w *world) {
			w.replicas[0].stop()
			w.write("kubectl", roles(admin))
			after(30 * time.Second)
			w.replicas[1].lead()
		}, good},
		"a loss after a gap": {func(w *world) {
			w.interrupt(true, false)
			w.write("kubectl", roles(admin))
			w.interrupt(false, true)
			after(time.Minute)
		}, admin},
		"a loss during a short interruption": {func(w *world) {
			w.interrupt(true, false)
			w.write("kubectl", roles(admin))
			w.interrupt(false, false)
			after(time.Minute)
		}, good},
		"a loss, and a gap": {func(w *world) {
			w.write("kubectl", roles(admin))
			w.interrupt(true, false)
			w.write("kubectl", roles(admin+ci))
			w.interrupt(false, true)
			after(time.Minute)
		}, admin + ci},
		"in mode warn": {func(w *world) {
			for _, r := range w.replicas {
				r.reload(func() { r.policy.Mode = validate.WarnMode })
			}
			w.write("kubectl", roles(admin))
		}, admin},
		"in mode warn, and then enforced": {func(w *world) {
			for _, r := range w.replicas {
				r.reload(func() { r.policy.Mode = validate.WarnMode })
			}
			w.write("kubectl", roles(admin))
			after(time.Minute)
			for _, r := range w.replicas {
				r.reload(func() { r.policy.Mode = validate.Enforce })
			}
			after(time.Minute)
		}, admin},
		"while restores are off, and then on": {func(w *world) {
			for _, r := range w.replicas {
				r.reload(func() { r.settings.Enabled = false })
			}
			w.write("kubectl", roles(admin))
			after(time.Minute)
			for _, r := range w.replicas {
				r.reload(func() { r.settings.Enabled = true })
			}
			after(time.Minute)
		}, admin},
		"with a rule that is off": {func(w *world) {
			for _, r := range w.replicas {
				r.reload(func() { r.policy.Rules = map[string]validate.Severity{"node-role-removed": validate.Off} })
			}
			w.write("kubectl", roles(admin))
		}, admin},
		"without a history": {func(w *world) {
			w.change(func() { w.noHistory = apierrors.NewServiceUnavailable("down") })
			w.write("kubectl", roles(admin))
		}, good},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(good), func(w *world) {
				w.start()
				w.start()
				after(time.Minute)
				tt.do(w)
				after(15 * time.Second)
				w.wantStored(t, "stored", tt.want)
			})
		})
	}
}

// Continuous writes, however fast, don't prevent the restore, and cause only one restore.
func TestRestoreDuringWrites(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.MaxPerHour = 1 })
		begun := time.Now()
		for i := range 500 {
			w.write("mallory", roles(ci+strings.Repeat("\n", i)))
			after(29 * time.Millisecond)
			if r.count(restored) > 0 {
				break
			}
		}
		after(time.Second)
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("the restore took %s", took)
		}
		w.wantStored(t, "stored", admin+node)
		want(t, "restores", r.count(restored), 1)
		versions := w.versions()
		if newest := versions[len(versions)-1]; !strings.HasSuffix(newest, " restored") {
			t.Errorf("the newest version is %q", newest)
		}
	})
}

// Another client stores a version between the decision and the write. The guard reads this version from the API server and doesn't wait
// for the watch. It replaces the version only if this version has a loss, too.
func TestRestoreReadsNewestVersion(t *testing.T) {
	t.Parallel()
	const good = admin + node
	for name, tt := range map[string]struct {
		edits int            // the number of changes before do, 1.9 s apart, each with a loss
		do    func(w *world) // stores the version that the watch does not send
		want  string
	}{
		"another loss":            {4, func(w *world) { w.write("kubectl", roles(ci)) }, good},
		"a deletion":              {4, func(w *world) { w.write("kubectl", nil) }, good},
		"a repair":                {4, func(w *world) { w.write("kubectl", roles(good+ci)) }, good + ci},
		"a loss with break-glass": {4, func(w *world) { w.write("kubectl", roles(ci), validate.BreakGlassAnnotation, "incident 4711") }, ci},
		"a loss by EKS":           {4, func(w *world) { w.write("eks", roles(ci)) }, ci},
		"a first step of a repair, which may settle": {1, func(w *world) { w.write("kubectl", roles(admin+ci)) }, admin + ci},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(good), func(w *world) {
				r := w.start()
				for i := range tt.edits {
					w.write("kubectl", roles(admin+strings.Repeat("\n", i)))
					after(1900 * time.Millisecond)
				}
				w.change(func() { w.unshown = true })
				tt.do(w)
				after(2 * time.Second)
				w.wantStored(t, "stored", tt.want)
				want(t, "failed", r.count("failed"), 0)
			})
		})
	}
}

// The guard also restores after a loss that is stored before the API server has answered to a restore.
func TestRestoreOfALossDuringARestore(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		w.change(func() { w.afterOwn = func() { w.write("kubectl", roles(ci)) } })
		w.write("kubectl", roles(admin))
		after(12 * time.Second)
		w.wantStored(t, "stored", admin+node)
		want(t, "restores", r.count(restored), 2)
	})
}

// If another client stores the same content as an earlier restore, the history doesn't record this version as restored.
func TestRestoredContentIsRecordedOnce(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.start()
		w.write("kubectl", roles(admin))
		after(12 * time.Second)
		w.write("kubectl", roles(admin+node+ci))
		after(time.Second)
		w.write("kubectl", roles(admin+node))
		after(time.Second)
		versions := w.versions()
		if newest := versions[len(versions)-1]; strings.Contains(newest, "restored") {
			t.Errorf("the versions are %q", versions)
		}
	})
}

// The history has a restored version once, with the origin restored. A metric, an Event and the log report the restore.
func TestRestoreIsReported(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		w.start()
		want(t, "ready", []float64{r.value("ready"), w.replicas[1].value("ready")}, []float64{1, 0})
		w.write("kubectl", roles(admin))
		after(15 * time.Second)
		want(t, "history", w.versions(), []string{"1 found", "2 bypassed node-role-removed", "3 restored"})
		want(t, "restores and bypasses", []int{r.count(restored), r.count("bypassed"), r.event(kube.Restored, "node-role-removed")}, []int{1, 1, 1})
		if !strings.Contains(r.logged.String(), `msg="restored aws-auth" lost=[node-role-removed]`) {
			t.Errorf("the log has\n%s", &r.logged)
		}
		want(t, "those of the other replica", []int{w.replicas[1].count(restored), w.replicas[1].count("bypassed")}, []int{0, 0})
	})
}

// The guard restores at most MaxPerHour versions within an hour. The limit includes the restores by an earlier leader. After the hour
// the guard restores after the last loss.
func TestRestoreIsLimited(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.start(), w.start()
		for range 2 {
			w.write("kubectl", roles(admin))
			after(15 * time.Second)
		}
		first.stop()
		second.lead()
		for range 2 {
			w.write("kubectl", roles(admin))
			after(15 * time.Second)
		}
		want(t, "restores", []int{first.count(restored), second.count(restored), second.count("limited"), second.event(kube.NotRestored, "limit")}, []int{2, 1, 1, 1})
		w.wantStored(t, "stored", admin)
		want(t, "ready", second.value("ready"), 0.0)
		want(t, "the reason", second.String(), "restore: not ready: the limit of 3 restores an hour is reached")
		after(time.Hour)
		w.wantStored(t, "after an hour", admin+node)
		want(t, "results", []int{second.count(restored), second.count("limited")}, []int{2, 1})
	})
}

// If the API server refuses a restore, the guard reports this once and tries again every minute.
func TestRestoreIsRefused(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		w.change(func() {
			w.refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "aws-auth", nil)
		})
		w.write("kubectl", roles(admin))
		after(5 * time.Minute)
		want(t, "results", []int{r.count(restored), r.count("failed"), r.event(kube.NotRestored, "forbidden")}, []int{0, 1, 1})
		w.change(func() { w.refuse = nil })
		after(time.Minute)
		w.wantStored(t, "when it may", admin+node)
	})
}

// If the attempts to restore fail for two alternating reasons, the guard reports each reason once. It also limits the reports if each
// attempt has another reason.
func TestEachReasonOfARefusedRestoreIsReportedOnce(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		reasons, want int
	}{
		"one reason":                       {1, 1},
		"two alternating reasons":          {2, 2},
		"another reason with each attempt": {60, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				r := w.start()
				w.write("kubectl", roles(admin))
				for i := range 30 {
					w.change(func() {
						reason := errors.New("reason " + strconv.Itoa(i%tt.reasons))
						w.refuse = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "aws-auth", reason)
					})
					after(time.Minute)
				}
				want(t, "failed", r.count("failed"), tt.want)
				want(t, "lines of the log", strings.Count(r.logged.String(), "not restoring aws-auth"), tt.want)
				w.write("kubectl", roles(admin+"\n"))
				after(time.Minute)
				want(t, "failed after another version", r.count("failed"), tt.want+1)
			})
		})
	}
}

// No client can change an immutable aws-auth. The guard says so and makes no request. After a deletion it creates the last good version,
// which is not immutable.
func TestImmutableVersionIsRestoredAfterItsDeletion(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start(func(r *replica, _ *monitor.Options) { r.settings.MaxPerHour = 1 })
		w.change(func() { w.immutable = true })
		w.write("kubectl", roles(admin))
		after(5 * time.Minute)
		w.wantStored(t, "while it is immutable", admin)
		want(t, "results", []int{r.count(restored), r.count("failed"), r.event(kube.NotRestored, "the stored aws-auth is immutable")}, []int{0, 1, 1})
		w.change(func() { w.immutable = false })
		w.write("kubectl", nil)
		after(15 * time.Second)
		w.wantStored(t, "after the deletion", admin+node)
		want(t, "restores", r.count(restored), 1)
	})
}

// The only replica restarts between the good version and the loss. The guard restores the good version from the API server. It never
// restores a content of the history.
func TestRestoreAfterRestart(t *testing.T) {
	t.Parallel()
	const good = admin + node
	evil := roles(good + strings.ReplaceAll(ci, "deployers", "system:masters"))
	for name, tt := range map[string]struct {
		do   func(w *world)
		want string
	}{
		"the loss alone": {func(w *world) { w.write("kubectl", roles(admin)) }, good},
		"a change and the loss": {func(w *world) {
			w.write("kubectl", roles(good+ci))
			w.write("kubectl", roles(admin+ci))
		}, good + ci},
		"a deletion": {func(w *world) { w.write("kubectl", nil) }, good},
		"a loss with break-glass, and the removal of its annotation": {func(w *world) {
			w.write("kubectl", roles(admin), validate.BreakGlassAnnotation, "incident")
			w.write("kubectl", roles(admin))
		}, admin},
		"the API server has forgotten": {func(w *world) {
			w.write("kubectl", roles(admin))
			w.change(func() { w.compacted = w.version })
		}, admin},
		"the history is forged": {func(w *world) {
			w.forge(history.Version{ResourceVersion: w.stored().ResourceVersion, Data: evil, Hash: history.Hash(evil, nil), Origin: history.Changed})
			w.write("kubectl", roles(admin))
		}, good},
		"the history names an earlier version": {func(w *world) {
			old := w.stored()
			w.write("kubectl", roles(good+ci))
			w.forge(history.Version{ResourceVersion: old.ResourceVersion, Data: evil, Hash: history.Hash(evil, nil), Origin: history.Changed})
			w.write("kubectl", roles(admin))
		}, good + ci},
		"the history is lost": {func(w *world) {
			w.change(func() { w.history.Data, w.history.BinaryData = nil, nil })
			w.write("kubectl", roles(admin))
		}, admin},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(good), func(w *world) {
				r := w.start()
				after(time.Minute)
				r.stop()
				tt.do(w)
				w.start().lead()
				after(15 * time.Second)
				w.wantStored(t, "stored", tt.want)
			})
		})
	}
}

// The leader restarts after it has added the loss to the history but before it has restored. The new process restores.
func TestRestoreAfterRestartInTheWait(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.start()
		after(time.Minute)
		w.write("kubectl", roles(admin))
		after(2 * time.Second)
		want(t, "history", w.versions(), []string{"1 found", "2 bypassed node-role-removed"})
		r.stop()
		w.start().lead()
		after(15 * time.Second)
		w.wantStored(t, "stored", admin+node)
		want(t, "history", w.versions(), []string{"1 found", "2 bypassed node-role-removed", "3 restored"})
	})
}

// forge appends a version that the guard has not written.
func (w *world) forge(v history.Version) {
	w.mu.Lock()
	defer w.mu.Unlock()
	log := history.Read(w.history)
	log.Append(v)
	w.writes++
	w.history = w.history.DeepCopy()
	if err := log.Write(w.history, 10); err != nil {
		w.t.Error(err)
	}
}
