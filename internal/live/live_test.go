package live_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

func want(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// Which replica has admitted a change makes no difference; a bypass is certain after 30 s and not before.
func TestHow(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(), w.join()
		after(40 * time.Second)
		want(t, "at first", first.log(t), []string{"1 found"})

		first.admits("alice", roles(admin+node+ci))
		after(500 * time.Millisecond)
		reads, _ := w.did()
		want(t, "by the leader", first.log(t)[1:], []string{"2 admitted by alice"})
		after(time.Minute)
		again, _ := w.did()
		want(t, "reads of the record", again, reads)

		second.admits("bob", roles(admin+node))
		after(500 * time.Millisecond)
		want(t, "by another, at once", first.log(t)[2:], []string{"3 pending"})
		after(time.Second)
		want(t, "by another", first.log(t)[2:], []string{"3 admitted by bob"})
		second.reviews("eks:node-manager", history.Observed, roles(node))
		w.write("vpcLambda", roles(node))
		after(2 * time.Second)
		want(t, "observed", first.log(t)[3:], []string{"4 observed by eks:node-manager"})
		want(t, "Events", first.event(live.ProtectedPrincipalLost)+second.event(live.ProtectedPrincipalLost), 1)

		w.write("kubectl-edit", roles(ci))
		after(29 * time.Second)
		want(t, "before it is certain", first.log(t)[4:], []string{"5 pending"})
		want(t, "counted", first.count("bypassed"), 0)
		reads, _ = w.did()
		after(2 * time.Second)
		want(t, "when it is", first.log(t)[4:], []string{"5 bypassed"})
		want(t, "counted", []int{first.count("bypassed"), second.count("bypassed")}, []int{1, 0})
		want(t, "Events", []int{first.event(live.Bypassed), first.said(live.Bypassed, "is not known of")}, []int{1, 0})
		if again, _ := w.did(); again > reads+1 {
			t.Errorf("the record was read %d times", again-reads)
		}
		after(20 * time.Minute)
		want(t, "still", []int{first.count("bypassed"), second.count("bypassed")}, []int{1, 0})

		w.write("kubectl", nil)
		after(35 * time.Second)
		want(t, "deleted", first.log(t)[5:], []string{"6 bypassed absent"})
		want(t, "errors", first.count("errors")+second.count("errors"), 0)
	})
}

// A change that only annotates is no version, and what is reviewed twice is stored once.
func TestNoVersion(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join()
		after(40 * time.Second)
		w.mu.Lock()
		w.put("kubectl", roles(admin+node), map[string]string{"a": "b"})
		w.mu.Unlock()
		r.reviews("alice", history.Admitted, roles(ci)) // refused by somebody else later
		r.reviews("alice", history.Admitted, roles(admin))
		r.admits("alice", roles(admin))
		after(time.Minute)
		want(t, "history", r.log(t), []string{"1 found", "2 admitted by alice"})
		want(t, "bypassed", r.count("bypassed"), 0)
	})
}

// The next leader goes on where the last one was, whatever that one has written.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(), w.join()
		after(40 * time.Second)
		first.admits("alice", roles(admin))
		w.write("kubectl-edit", roles(node))
		after(5 * time.Second)
		want(t, "by the first", first.log(t), []string{"1 found", "2 admitted by alice", "3 pending"})
		first.stop() // hands over its record
		second.admits("bob", roles(admin+node))
		w.write("kubectl-edit", roles(ci))
		after(5 * time.Second)
		second.lead()
		after(5 * time.Second)
		want(t, "by the second", second.log(t)[1:], []string{"2 admitted by alice", "3 pending", "4 admitted by bob", "5 pending"})
		after(120 * time.Second)
		want(t, "at last", second.log(t)[1:], []string{"2 admitted by alice", "3 bypassed", "4 admitted by bob", "5 bypassed"})
		want(t, "counted", second.count("bypassed"), 2)

		third := w.join()
		second.stop()
		third.lead()
		after(time.Minute)
		want(t, "who begins now adds nothing", third.log(t), second.log(t))
		want(t, "and counts nothing", third.count("bypassed"), 0)
		want(t, "errors", third.count("errors")+second.count("errors"), 0)
	})
}

// What nobody has watched is found.
func TestFound(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first := w.join()
		after(40 * time.Second)
		first.stop()
		w.write("kubectl-edit", roles(ci))
		second := w.join()
		second.lead()
		after(time.Minute)
		want(t, "after a restart", second.log(t)[1:], []string{"2 found"})
		w.interrupt(true)
		w.write("kubectl-edit", roles(admin))
		w.write("kubectl-edit", roles(node))
		w.interrupt(false)
		after(20 * time.Second)
		w.expire()
		after(2 * time.Minute)
		want(t, "after an interruption", second.log(t)[2:], []string{"3 bypassed"})
		w.expire()
		w.write("kubectl-edit", roles(ci))
		after(2 * time.Minute)
		want(t, "after a gap", second.log(t)[3:], []string{"4 found"})
	})
}

// That a version is put back is written down for the other replicas at once, without any other cause to write.
func TestRestoredIsWritten(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.join(rescues)
		w.join(rescues)
		after(5 * time.Minute)
		w.write("kubectl-edit", roles(node))
		var at time.Time
		for range 60 {
			after(time.Second)
			if w.object().Data["mapRoles"] == admin+node {
				at = time.Now()
				break
			}
		}
		if at.IsZero() {
			t.Fatal("nothing was put back")
		}
		after(time.Second)
		r, _ := w.says("replica-1")
		if !slices.ContainsFunc(r.Admissions, func(a history.Admission) bool { return a.How == history.Restored }) {
			t.Errorf("after %s the record has %+v", time.Since(at), r.Admissions)
		}
	})
}

// noHistory is a history that cannot be read or written.
type noHistory struct{}

func (noHistory) Read(context.Context) (*history.Log, error) { return nil, errors.New("forbidden") }
func (noHistory) Change(context.Context, func(*history.Log) error) (*history.Log, error) {
	return nil, errors.New("forbidden")
}

// unwritable is a history that can only be read.
type unwritable struct {
	noHistory
	live.History
}

func (u unwritable) Read(ctx context.Context) (*history.Log, error) { return u.History.Read(ctx) }
func (u unwritable) Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error) {
	return u.noHistory.Change(ctx, change)
}

// A bypass is told where there is no history to write it down, and an admitted change is none.
func TestBypassWithoutHistory(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		history func(live.History) live.History
	}{
		{"nothing", func(live.History) live.History { return noHistory{} }},
		{"no writing", func(h live.History) live.History { return unwritable{History: h} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				change := func(_ *replica, o *live.Options) { o.History = test.history(o.History) }
				first, second := w.join(change), w.join(change)
				after(2 * time.Minute)
				second.admits("alice", roles(admin+node+ci))
				after(2 * time.Minute)
				want(t, "admitted", []int{first.count("bypassed"), first.event(live.Bypassed)}, []int{0, 0})
				w.write("kubectl-edit", roles(admin))
				after(29 * time.Second)
				want(t, "before it is certain", first.count("bypassed"), 0)
				after(20 * time.Minute)
				want(t, "bypassed", []int{first.count("bypassed"), first.event(live.Bypassed), second.count("bypassed")}, []int{1, 1, 0})
				if first.count("errors") == 0 {
					t.Error("no error is counted")
				}
			})
		})
	}
}

// While nothing happens, nothing is asked and next to nothing written.
func TestIdle(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.join()
		w.join()
		after(5 * time.Minute)
		reads, writes := w.did()
		before, _ := w.says("replica-2")
		after(time.Hour)
		readsNow, writesNow := w.did()
		want(t, "reads and writes", []int{readsNow, writesNow}, []int{reads, writes})
		now, _ := w.says("replica-2")
		if got := now.Renewed.Sub(before.Renewed); got < 50*time.Minute || got > time.Hour {
			t.Errorf("renewed after %s", got)
		}
	})
}

// A replica that is killed takes the word for its last admissions with it: what comes alone is told at once,
// and only what follows soon after is collected.
func TestToldAtOnce(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join()
		after(40 * time.Second)
		told := func(d time.Duration) int {
			after(d)
			says, _ := w.says("replica-1")
			return len(says.Admissions)
		}
		r.admits("alice", roles(admin))
		want(t, "the first", told(time.Millisecond), 1)
		r.admits("alice", roles(admin+node))
		r.admits("alice", roles(admin+ci))
		want(t, "more", []int{told(100 * time.Millisecond), told(200 * time.Millisecond)}, []int{1, 3})
	})
}

// What a replica says is gone with it, unless somebody may still look for it.
func TestLeave(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.join()
		second, third := w.join(), w.join()
		after(40 * time.Second)
		third.stop()
		second.admits("alice", roles(admin))
		second.stop()
		if _, ok := w.says("replica-3"); ok {
			t.Error("the third is still there")
		}
		after(2 * time.Second)
		want(t, "history", second.log(t)[1:], []string{"2 admitted by alice"})
		if r, ok := w.says("replica-2"); !ok || !r.Watching.IsZero() {
			t.Errorf("the second: %+v", r)
		}
		after(40 * time.Minute)
		if _, ok := w.says("replica-2"); ok {
			t.Error("the second is still remembered")
		}
	})
}

// More admissions than fit are counted as lost.
func TestOverflow(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join()
		begun := time.Now()
		for i := range 10_000 {
			r.Admitted(history.Admission{Time: time.Now(), New: strings.Repeat("x", 1+i%7), How: history.Admitted, Requester: strings.Repeat("y", i%501)}, nil)
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("a review waited for %s", took)
		}
		after(2 * time.Second)
		got, _ := w.says("replica-1")
		if len(got.Admissions) > 2000 || got.Lost.IsZero() {
			t.Errorf("%d admissions, lost %s", len(got.Admissions), got.Lost)
		}
	})
}
