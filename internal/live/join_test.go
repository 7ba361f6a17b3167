package live_test

import (
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// A change that a webhook has refused and that is stored all the same is a bypass.
func TestRefusedAndStored(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		_, second := w.join(), w.join()
		after(40 * time.Second)
		second.Refused(history.Admission{
			Time: time.Now(), Requester: "mallory", Verdict: "deny",
			Old: history.Hash(roles(admin+node), nil), New: history.Hash(roles(ci), nil),
		}, []string{"protected-principal"})
		w.write("kubectl", roles(ci))
		after(35 * time.Second)
		want(t, "history", second.log(t)[1:], []string{"2 bypassed by mallory"})
		want(t, "Events", second.event(live.Rejected), 1)
	})
}

// An admission is of the change that follows it, and not of the same change by somebody else long after.
func TestAdmittedBefore(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(), w.join()
		after(40 * time.Second)
		first.admits("alice", roles(admin))
		after(time.Second)
		first.admits("alice", roles(admin+node))
		second.reviews("bob", history.Admitted, roles(admin+ci)) // another webhook has refused it
		after(7 * time.Minute)
		w.write("kubectl-edit", roles(admin))
		after(2 * time.Minute)
		w.write("kubectl-edit", roles(admin+node))
		after(time.Second)
		w.write("kubectl-edit", roles(admin+ci))
		after(2 * time.Minute)
		want(t, "history", first.log(t)[3:], []string{"4 bypassed", "5 bypassed", "6 bypassed"})

		w.interrupt(true) // the watch shows late what was admitted in time
		second.admits("bob", roles(admin))
		after(3 * time.Minute)
		w.interrupt(false)
		after(2 * time.Minute)
		want(t, "shown late", first.log(t)[6:], []string{"7 admitted by bob"})
	})
}

// The same change again is that of whoever has made it again, also where it was the leader that admitted the first one.
func TestSameChangeAgain(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(), w.join()
		after(40 * time.Second)
		first.admits("alice", roles(admin))
		after(100 * time.Millisecond)
		second.admits("bob", roles(admin+node))
		after(100 * time.Millisecond)
		second.admits("carol", roles(admin))
		after(2 * time.Second)
		want(t, "by another replica", first.log(t)[1:], []string{"2 admitted by alice", "3 admitted by bob", "4 admitted by carol"})
		first.admits("dave", roles(admin+node))
		after(100 * time.Millisecond)
		first.admits("eve", roles(admin))
		after(500 * time.Millisecond)
		want(t, "by the leader, at once", first.log(t)[4:], []string{"5 admitted by dave", "6 admitted by eve"})
	})
}

// Whose replica has lost count may have been asked: that is told with the bypass.
func TestLostCount(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first, second := w.join(), w.join()
		after(40 * time.Second)
		for range 5000 {
			second.Admitted(w.someAdmission("alice"), nil)
		}
		after(2 * time.Second)
		w.write("kubectl-edit", roles(admin))
		after(3 * time.Minute)
		want(t, "Events", []int{first.event(live.Bypassed), first.said(live.Bypassed, "is not known of replica-2")}, []int{1, 1})
	})
}

// Whose container was killed and started again may have been asked before: that is told with the bypass, too.
func TestStartedAgain(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first := w.join()
		after(40 * time.Second)
		long := time.Now().Add(-time.Hour)
		w.change(func() {
			w.replicas["replica-2"] = history.Replica{Started: long, Watching: long, Renewed: long}
			w.replicas["replica-3"] = history.Replica{Started: long, Renewed: long} // has ended
		})
		w.write("kubectl-edit", roles(admin))
		after(10 * time.Second)
		w.join(named("replica-2"))
		w.join(named("replica-3"))
		after(3 * time.Minute)
		want(t, "Events", []int{first.event(live.Bypassed), first.said(live.Bypassed, "is not known of replica-2")}, []int{1, 1})
		want(t, "of those that had ended", first.said(live.Bypassed, "replica-3"), 0)
	})
}

// A replica that is slow to write is waited for; one that never writes is not waited for without end.
func TestSlowReplica(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		hang   time.Duration
		want   []string
		events int // that say whose word is missing
	}{
		{"slow", 50 * time.Second, []string{"2 admitted by alice"}, 0},
		{"silent", 24 * time.Hour, []string{"2 bypassed"}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				first, second := w.join(), w.join()
				after(40 * time.Second)
				w.mu.Lock()
				w.hang = test.hang
				w.mu.Unlock()
				second.admits("alice", roles(admin))
				after(40 * time.Second)
				want(t, "too early", second.log(t)[1:], []string{"2 pending"})
				after(80 * time.Second)
				want(t, "history", second.log(t)[1:], test.want)
				want(t, "Events", first.event(live.Bypassed), test.events)
				want(t, "Events that name it", first.said(live.Bypassed, "whether they were is not known of replica-2"), test.events)
			})
		})
	}
}
