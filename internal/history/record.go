package history

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

const (
	// admissionsKept is how long an admission is of interest: far longer than the 30 s after which a
	// change counts as bypassed, so that another leader can still look.
	admissionsKept = 10 * time.Minute
	// maxAdmissions bounds those of one replica: three a second over ten minutes.
	maxAdmissions = 2000
	// maxDoubts bounds a replica's doubts. Whoever asks for one asks within a minute.
	maxDoubts = 100
	// maxText bounds a text of a requester's, in bytes.
	maxText = 512
)

// Admission is a review that let a real change of the content pass.
type Admission struct {
	Time time.Time `json:"time"`
	// Old and New are the hashes of the contents, see [Hash]; empty where there was no object.
	Old       string `json:"old,omitempty"`
	New       string `json:"new,omitempty"`
	Requester string `json:"requester,omitempty"`
	// How is Admitted, Overridden or Observed; Verdict what the rules said of the change.
	How     How    `json:"how"`
	Verdict string `json:"verdict,omitempty"`
}

// Doubt is a stored version that a replica has seen and for which it has no admission. It is the
// replica's word that it was up and that no review of this version came to it.
type Doubt struct {
	Time            time.Time `json:"time"`
	ResourceVersion string    `json:"resourceVersion"`
}

// Replica is what one process of the webhook says of itself.
type Replica struct {
	Started time.Time `json:"started"`
	// Watching is since when its watch of aws-auth is unbroken; zero where it does not watch.
	Watching time.Time `json:"watching,omitzero"`
	// Renewed is when it has written this.
	Renewed    time.Time   `json:"renewed"`
	Admissions []Admission `json:"admissions,omitempty"` // oldest first
	Doubts     []Doubt     `json:"doubts,omitempty"`     // oldest first
	// Lost is the time of the newest admission that it has dropped for want of room, or that never got here.
	// Of changes up to then nothing follows from what it does not list.
	Lost time.Time `json:"lost,omitzero"`
}

// Add adds an admission and drops those that are of no interest any more. The same admission again makes
// the one that is there newer: a change that is patched may be reviewed several times.
func (r *Replica) Add(a Admission) {
	a.Requester, a.Verdict = cut(a.Requester), cut(a.Verdict)
	same := func(b Admission) bool { b.Time = a.Time; return a == b }
	stale := func(b Admission) bool { return b.Time.Before(a.Time.Add(-admissionsKept)) }
	r.Admissions = slices.DeleteFunc(r.Admissions, func(b Admission) bool { return same(b) || stale(b) })
	r.Admissions = append(r.Admissions, a)
	if over := len(r.Admissions) - maxAdmissions; over > 0 {
		r.Lost = later(r.Lost, r.Admissions[over-1].Time)
		r.Admissions = slices.Delete(r.Admissions, 0, over)
	}
}

// AddDoubt adds a version for which the replica has no admission, once.
func (r *Replica) AddDoubt(d Doubt) {
	if r.Doubted(d.ResourceVersion) {
		return
	}
	r.Doubts = append(r.Doubts, d)
	if over := len(r.Doubts) - maxDoubts; over > 0 {
		r.Doubts = slices.Delete(r.Doubts, 0, over)
	}
}

// Match finds the admission of a change that was stored, by the hashes of the contents before and after;
// empty stands for none. Where the watch had a gap, what is known to be before may not have been: then
// the content after decides alone. One that is older than since, where that is given, is another's: the same change
// was admitted before, or admitted and not stored. Of several the newest is the answer, and one that was refused only where
// there is no other: a change may be reviewed more than once, by replicas of which one knows a newer configuration.
func Match(replicas map[string]Replica, before, after string, gap bool, since time.Time) (Admission, bool) {
	var best Admission
	found := false
	for _, r := range replicas {
		for _, a := range r.Admissions {
			if a.New != after || !gap && a.Old != before || a.Time.Before(since) {
				continue
			}
			if !found || better(a, best) {
				best, found = a, true
			}
		}
	}
	return best, found
}

func better(a, b Admission) bool {
	if (a.How == Refused) != (b.How == Refused) {
		return b.How == Refused
	}
	return compareAdmissions(a, b) > 0
}

// compareAdmissions puts the newer one behind, and of two at one time always the same one: the order
// of a map is none.
func compareAdmissions(a, b Admission) int {
	return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Requester, b.Requester), cmp.Compare(a.How, b.How), cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Old, b.Old))
}

// Doubted reports whether the replica has said that it knows no admission of a version.
func (r *Replica) Doubted(resourceVersion string) bool {
	return slices.ContainsFunc(r.Doubts, func(d Doubt) bool { return d.ResourceVersion == resourceVersion })
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// cut bounds a text that others have chosen.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
