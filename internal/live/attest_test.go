package live_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// A replica vouches for a change that no webhook has seen only where it was up for all of it and says so.
func TestAttests(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	long := at.Add(-time.Hour)
	vouches := func(change func(*history.Replica)) error {
		r := history.Replica{Started: long, Watching: long, Renewed: at, Doubts: []history.Doubt{{Time: at, ResourceVersion: "7"}}}
		change(&r)
		return live.Attests(&r, at, "7", "old", "new")
	}
	for name, change := range map[string]func(*history.Replica){
		"it was up all the time":   func(*history.Replica) {},
		"it had ended long before": func(r *history.Replica) { *r = history.Replica{Started: long, Renewed: at.Add(-time.Minute)} },
		"it was asked about another": func(r *history.Replica) {
			r.Admissions = admissionsOf(at, history.Admitted)
			r.Admissions[0].New = "other"
		},
		"it was asked with another before": func(r *history.Replica) {
			r.Admissions = admissionsOf(at, history.Admitted)
			r.Admissions[0].Old = "other"
		},
		"it was asked long before": func(r *history.Replica) { r.Admissions = admissionsOf(at.Add(-5*time.Minute), history.Admitted) },
	} {
		if err := vouches(change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*history.Replica){
		"it started since":                     func(r *history.Replica) { r.Started = at.Add(time.Second) },
		"it started a moment before":           func(r *history.Replica) { r.Started = at.Add(-time.Second) },
		"its watch was interrupted":            func(r *history.Replica) { r.Watching = at.Add(time.Second) },
		"it does not watch, and has not ended": func(r *history.Replica) { r.Watching = time.Time{} },
		"it ended a moment before": func(r *history.Replica) {
			r.Watching, r.Renewed = time.Time{}, at.Add(-3*time.Second)
		},
		"it has dropped one a moment before": func(r *history.Replica) { r.Lost = at.Add(-time.Second) },
		"it may have dropped it":             func(r *history.Replica) { r.Lost = at.Add(-time.Minute) },
		"it has dropped admissions":          func(r *history.Replica) { r.Lost = at },
		"it was asked and admitted it":       func(r *history.Replica) { r.Admissions = admissionsOf(at, history.Admitted) },
		"it was asked and refused it":        func(r *history.Replica) { r.Admissions = admissionsOf(at, history.Refused) },
		"it has said nothing":                func(r *history.Replica) { r.Doubts = nil },
		"it has said so of something else":   func(r *history.Replica) { r.Doubts[0].ResourceVersion = "6" },
	} {
		if err := vouches(change); err == nil {
			t.Errorf("%s, and it vouches", name)
		}
	}
}

func admissionsOf(at time.Time, how history.How) []history.Admission {
	return []history.Admission{{Time: at, Old: "old", New: "new", How: how}}
}

// A bypass is told at once where every replica has said something of it, and else with the names of those of which
// nothing is heard, after a time.
func TestSilent(t *testing.T) {
	t.Parallel()
	long := -time.Hour
	for _, test := range []struct {
		name              string
		watching, renewed time.Duration // before or after the change; 0 watching is not at all
		doubts            bool
		silent            bool
	}{
		{"it has written since", long, 10 * time.Second, false, false},
		{"it may have written before", long, 3 * time.Second, false, true},
		{"it has written long before", long, long, false, true},
		{"it has said that it was not asked", long, long, true, false},
		{"it had ended", 0, -time.Minute, false, false},
		{"it may have ended since", 0, -3 * time.Second, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				first := w.join()
				after(time.Minute)
				other := history.Replica{Started: time.Now().Add(long), Renewed: time.Now().Add(test.renewed)}
				if test.watching != 0 {
					other.Watching = time.Now().Add(test.watching)
				}
				w.write("kubectl-edit", roles(admin))
				if test.doubts {
					other.Doubts = []history.Doubt{{Time: time.Now(), ResourceVersion: w.object().ResourceVersion}}
				}
				w.change(func() { w.replicas["replica-9"] = other })
				told := 1
				if test.silent {
					told = 0
				}
				after(35 * time.Second)
				want(t, "told", first.event(live.Bypassed), told)
				after(2 * time.Minute)
				want(t, "Events, and with its name", []int{first.event(live.Bypassed), first.said(live.Bypassed, "is not known of replica-9")}, []int{1, 1 - told})
			})
		})
	}
}

// The leader itself is never silent, also where more has bypassed the guard than it can say one by one.
func TestManyBypasses(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join()
		after(time.Minute)
		for i := range 150 {
			w.write("kubectl-edit", with(admin, strconv.Itoa(i)))
			after(time.Millisecond)
		}
		after(5 * time.Minute)
		want(t, "Events", []int{r.event(live.Bypassed), r.said(live.Bypassed, "is not known of")}, []int{150, 0})
	})
}
