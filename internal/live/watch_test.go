package live_test

import (
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// A watch that ends when it was agreed to is not interrupted: what is shown next was not stored unseen. One that
// ends much sooner is.
func TestEndsAsAgreed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		early time.Duration
		want  bool // that it is unbroken
	}{
		{"as agreed", 0, true},
		{"too early", 5 * time.Second, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				w.agreed, w.early = true, test.early
				w.join()
				after(time.Minute)
				before, _ := w.says("replica-1")
				after(time.Hour)
				now, _ := w.says("replica-1")
				want(t, "unbroken", now.Watching.Equal(before.Watching), test.want)
			})
		})
	}
}

// A replica does not say that it was not asked about what it has not seen coming.
func TestNoDoubtAfterGap(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		w.join()
		after(time.Minute)
		w.change(func() {
			watches := w.watches
			w.watches = nil
			w.put("kubectl-edit", roles(admin), nil)
			w.watches = watches
		})
		w.expire()
		after(time.Minute)
		w.write("kubectl-edit", roles(node))
		after(time.Minute)
		r, _ := w.says("replica-1")
		var versions []string
		for _, d := range r.Doubts {
			versions = append(versions, d.ResourceVersion)
		}
		want(t, "doubts", versions, []string{w.object().ResourceVersion})
	})
}

// named gives a replica the name of another one.
func named(name string) func(*replica, *live.Options) {
	return func(_ *replica, o *live.Options) { o.Replica = name }
}

// A process that is started again under its name keeps the word of the one before, as far as somebody may still
// look for it, and its own of the time in which the record could not be read.
func TestRemember(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name             string
		age              time.Duration // of what alice was admitted
		bob              bool          // was admitted before the record could be read
		unreadable, read []string
	}{
		{"of late", time.Minute, true, []string{"alice"}, []string{"alice", "bob"}},
		{"long ago", 11 * time.Minute, false, []string{"alice"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				w.join()
				after(time.Minute)
				now := time.Now()
				admission := func(age time.Duration, who string) history.Admission {
					return history.Admission{Time: now.Add(-age), Requester: who, Old: "x", New: who, How: history.Admitted}
				}
				w.change(func() {
					w.unreadable = true
					w.replicas["replica-2"] = history.Replica{
						Started: now.Add(-time.Hour), Watching: now.Add(-time.Hour), Renewed: now, Admissions: []history.Admission{admission(test.age, "alice")},
					}
				})
				second := w.join(named("replica-2"))
				if test.bob {
					second.Admitted(admission(0, "bob"), nil)
				}
				w.write("kubectl-edit", roles(admin)) // is compared with what was taken in
				after(5 * time.Second)
				said := func() (names []string) {
					r, _ := w.says("replica-2")
					for _, a := range r.Admissions {
						names = append(names, a.Requester)
					}
					return names
				}
				want(t, "while it cannot be read", said(), test.unreadable)
				w.change(func() { w.unreadable = false })
				after(20 * time.Second)
				want(t, "then", said(), test.read)
			})
		})
	}
}

// A replica to which more comes than it can hold says that it has lost count, of what it has admitted and of what it
// has refused.
func TestLost(t *testing.T) {
	t.Parallel()
	a := history.Admission{Old: "x", New: "y", Requester: "alice", How: history.Admitted}
	for _, test := range []struct {
		name  string
		takes func(r *replica, a history.Admission)
		n     int
		lost  bool
	}{
		{"admitted", func(r *replica, a history.Admission) { r.Admitted(a, nil) }, 4096, false},
		{"too many admitted", func(r *replica, a history.Admission) { r.Admitted(a, nil) }, 4097, true},
		{"refused", func(r *replica, a history.Admission) { r.Refused(a, nil) }, 4096, false},
		{"too many refused", func(r *replica, a history.Admission) { r.Refused(a, nil) }, 4097, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				r := w.join()
				after(time.Minute)
				w.change(func() { w.hang = time.Second })
				a := a
				a.Time = time.Now()
				r.Admitted(w.someAdmission("bob"), nil)
				after(time.Millisecond) // while it is written nothing is taken in
				for range test.n {
					test.takes(r, a)
				}
				after(5 * time.Second)
				got, _ := w.says("replica-1")
				want(t, "lost count", got.Lost.Equal(a.Time), test.lost)
			})
		})
	}
}

// What was left pending by another process, or for too long to be remembered, is found: who knows has gone.
func TestFoundPending(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		first := w.join()
		after(time.Minute)
		w.write("kubectl-edit", roles(admin))
		after(5 * time.Second)
		want(t, "at first", first.log(t)[1:], []string{"2 pending"})
		first.stop()
		w.write("kubectl-edit", roles(admin+node))
		second := w.join()
		second.lead()
		after(2 * time.Minute)
		want(t, "by another process", second.log(t)[1:], []string{"2 found", "3 found"})

		w.change(func() { w.unreadable = true })
		w.write("kubectl-edit", roles(admin))
		after(10 * time.Minute)
		want(t, "while the record cannot be read", second.log(t)[3:], []string{"4 pending"})
		w.change(func() { w.unreadable = false })
		after(time.Minute)
		want(t, "too long", second.log(t)[3:], []string{"4 found"})
		want(t, "bypassed", second.count("bypassed"), 0)
	})
}
