package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// editedToFewerFaults returns a predicate that holds for the findings of an edited element if the edit removed a fault
// and added none. An element counts as edited if only the new object has it, and if it can be the edited form of an
// element that only the old object has; see editOf.
func editedToFewerFaults(old, after *version) func(*Finding) bool {
	excused, used := make(map[place]bool), make(map[place]bool)
	before := old.faultyWithout(after)
	for _, now := range after.faultyWithout(old) {
		for _, was := range before[:min(len(before), maxCompared)] {
			if !used[was.at] && now.fewerThan(was) && now.editOf(was) {
				excused[now.at], used[was.at] = true, true
				break
			}
		}
	}
	return func(f *Finding) bool { return excused[f.identity.place()] }
}

// faultyElement is an element of mapRoles or mapUsers with at least one denial. faults counts how often each fault
// occurs in it, and total is the sum of these counts.
type faultyElement struct {
	at     place
	entry  *awsauth.Entry
	faults map[fault]int
	total  int
}

type fault struct{ rule, value string }

// faultyWithout returns the faulty elements of this version that the other version lacks, in the order of the
// findings. If this version holds n equal elements and the other one m, the result has n-m of them.
func (v *version) faultyWithout(other *version) []*faultyElement {
	held := make(map[elementKey]int)
	for _, key := range other.keys {
		held[key]++
	}
	entries := make(map[place]*awsauth.Entry)
	for _, list := range v.entries() {
		for i := range list {
			at := place{string(list[i].Section), i}
			if key := v.keys[at]; held[key] > 0 {
				held[key]--
				continue
			}
			entries[at] = &list[i]
		}
	}
	var faulty []*faultyElement
	byPlace := make(map[place]*faultyElement)
	for _, f := range v.faults {
		at := f.identity.place()
		if entries[at] == nil || f.identity.more > 0 || f.Severity != Deny {
			continue
		}
		if byPlace[at] == nil {
			byPlace[at] = &faultyElement{at: at, entry: entries[at], faults: make(map[fault]int)}
			faulty = append(faulty, byPlace[at])
		}
		byPlace[at].faults[fault{f.Rule, f.identity.value}]++
		byPlace[at].total++
	}
	return faulty
}

// fewerThan reports whether the faults of this element are a proper subset of the other element's faults.
func (e *faultyElement) fewerThan(other *faultyElement) bool {
	for f, n := range e.faults {
		if n > other.faults[f] {
			return false
		}
	}
	return e.total < other.total
}

// editOf reports whether this element can be the edited form of the other one. Both must be in the same section and, as
// far as their ARNs show, of the same account. In addition, their ARNs must end with the same name, or they must give
// the same username and groups.
func (e *faultyElement) editOf(other *faultyElement) bool {
	if e.at.section != other.at.section || !sameAccount(e.entry, other.entry) {
		return false
	}
	name := lastPart(e.entry.ARN)
	return name != "" && strings.EqualFold(name, lastPart(other.entry.ARN)) ||
		e.entry.Username != "" && e.entry.SameAccess(other.entry)
}

// sameAccount reports whether the ARNs of two entries can be of one account and partition. An ARN that does not parse
// can be of any account and partition.
func sameAccount(a, b *awsauth.Entry) bool {
	left, err1 := a.Principal()
	right, err2 := b.Principal()
	return a.ARN == "" || b.ARN == "" || err1 != nil || err2 != nil || left.Account == right.Account && left.Partition == right.Partition
}

// lastPart returns the name at the end of a possibly malformed ARN.
func lastPart(arn string) string {
	arn = awsauth.Squeeze(arn)
	return arn[strings.LastIndexAny(arn, ":/")+1:]
}
