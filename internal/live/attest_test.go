package live_test

import (
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
	if err := vouches(func(*history.Replica) {}); err != nil {
		t.Errorf("one that was up all the time: %v", err)
	}
	for name, change := range map[string]func(*history.Replica){
		"it started since":                 func(r *history.Replica) { r.Started = at.Add(time.Second) },
		"it started a moment before":       func(r *history.Replica) { r.Started = at.Add(-time.Second) },
		"its watch was interrupted":        func(r *history.Replica) { r.Watching = at.Add(time.Second) },
		"it has dropped admissions":        func(r *history.Replica) { r.Lost = at },
		"it was asked and admitted it":     func(r *history.Replica) { r.Admissions = admissionsOf(at, history.Admitted) },
		"it was asked and refused it":      func(r *history.Replica) { r.Admissions = admissionsOf(at, history.Refused) },
		"it has said nothing":              func(r *history.Replica) { r.Doubts = nil },
		"it has said so of something else": func(r *history.Replica) { r.Doubts[0].ResourceVersion = "6" },
	} {
		if err := vouches(change); err == nil {
			t.Errorf("%s, and it vouches", name)
		}
	}
}

func admissionsOf(at time.Time, how history.How) []history.Admission {
	return []history.Admission{{Time: at, Old: "old", New: "new", How: how}}
}
