package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var conflictingPrincipal = &Rule{
	ID:       "conflicting-principal",
	Severity: Deny,
	Title:    "one ARN has entries that give different access",
	Doc: `
If several entries of mapRoles have the same ARN, or ARNs that differ only in case, the authenticator uses the last
one. It does not merge groups, so a later entry with fewer groups takes the other groups away. It searches mapRoles
before mapUsers. If entries of mapUsers have ARNs that differ only in case, it picks one at random for each request.
An entry of mapRoles can also replace another entry although it matches no caller itself. This happens if its ARN
has the letter İ (capital I with a dot). To find entries with the same ARN, the authenticator turns İ into i. To
match a caller, it does not treat İ and i as equal.

If the entry that the authenticator uses gives the same username and all groups of the other entry, no principal
loses access, and the rule only warns. Still, a later edit of one of the entries can take access away.

Keep one entry for each ARN, with the groups of all its entries.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap and UserMapping; pkg/config/mapper.go, Key",
	Exact:  true,
	Check:  checkConflictingPrincipal,
}

func checkConflictingPrincipal(p *Pass) {
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped != "" || m.Entry.ARN == "" {
			continue
		}
		matches := p.Doc.Map.MatchesOf(m.Entry.ARN)
		if len(matches) == 0 {
			_, err := m.Entry.Principal()
			if other := m.Entry.ShadowedBy(); other != nil && err == nil { // otherwise malformed-arn reports it
				p.Reportf(m.ARN, oneEntryHint(m.Entry, other), "the authenticator replaces the entry of %q by %s, whose ARN matches no caller", m.ARN.Value, other.Path())
			}
			continue
		}
		switch other := conflictOf(m.Entry, matches); {
		case other == nil:
		case atRandom(m.Entry, matches):
			p.Reportf(m.ARN, oneEntryHint(m.Entry, other), "%q is also the ARN of %s, which differs in case, and the authenticator picks one of the two at random", m.ARN.Value, other.Path())
		case replacedWithMore(m.Entry, matches):
			p.Warnf(m.ARN, "remove this entry; "+other.Path()+" has all its groups",
				"%q is also the ARN of %s, which replaces this entry and gives more groups", m.ARN.Value, other.Path())
			p.correct(Correction{Section: m.Entry.Section, Index: m.Entry.Index, Remove: true})
		default:
			p.Reportf(m.ARN, oneEntryHint(m.Entry, other), "%q is also the ARN of %s, which replaces this entry with other access", m.ARN.Value, other.Path())
		}
	}
}

// maxHintGroups limits the groups in a hint, and the elements that one element is compared with.
const maxHintGroups = 20

// oneEntryHint returns the hint to merge two entries.
func oneEntryHint(e, other *awsauth.Entry) string {
	if len(e.Groups)+len(other.Groups) > maxHintGroups {
		return "keep one entry for the ARN, with the groups of all its entries"
	}
	groups := slices.Concat(e.Groups, other.Groups)
	slices.Sort(groups)
	return fmt.Sprintf("keep one entry for the ARN, with the groups [%s]", strings.Join(slices.Compact(groups), ", "))
}

// replacedWithMore reports whether the principal of an entry gets at least the access of this entry, regardless of the
// one of matches that the authenticator uses. It returns false if there are more than maxHintGroups matches.
func replacedWithMore(e *awsauth.Entry, matches []*awsauth.Entry) bool {
	return len(matches) <= maxHintGroups && !slices.ContainsFunc(matches, func(other *awsauth.Entry) bool { return !replacesWithMore(e, other) })
}

// replacesWithMore reports whether another entry, which the authenticator uses instead of this one, gives a principal at
// least the same access: the same username, all groups of this one, and a login for the same sessions.
func replacesWithMore(e, other *awsauth.Entry) bool {
	return e.Username == other.Username && (e.OnlyInstances() || !other.OnlyInstances()) && other.HasGroupsOf(e)
}

// conflictOf returns the entry that an entry conflicts with, or nil. matches are the entries with which the authenticator
// may answer for the same ARN; there is at least one. Entries of mapUsers from which the authenticator picks one at random
// always conflict, even if they give the same access: after the next edit of one of them, their access differs.
func conflictOf(e *awsauth.Entry, matches []*awsauth.Entry) *awsauth.Entry {
	first := matches[0]
	switch {
	case atRandom(e, matches) && e == first:
		return matches[1]
	case atRandom(e, matches) || !e.SameAccess(first):
		return first
	}
	return nil
}

// atRandom reports whether the authenticator picks at random between this entry and the others of matches.
func atRandom(e *awsauth.Entry, matches []*awsauth.Entry) bool {
	return len(matches) > 1 && e.Section == matches[0].Section && !e.Shadowed()
}
