package awsauth

import (
	"fmt"
	"slices"
	"strings"
)

// index finds the entries that match a caller. Its keys are folded ARNs. More than one entry
// under a key means that the authenticator keeps them all and answers with any of them.
type index map[string][]*Entry

// newIndex stores the entries as the authenticator's saveMap does: of entries with equal keys
// the last one stays. Those that stay are found as its Matches does, by strings.EqualFold. The keys
// of mapRoles are in lower case, which is not the same: strings.ToLower makes an i of U+0130, which
// strings.EqualFold holds equal to itself alone. An entry that stays may so match no caller.
func newIndex(entries []Entry) index {
	stays := make(map[string]*Entry, len(entries)) // by key
	keys := make([]string, len(entries))
	for i := range entries {
		if e := &entries[i]; e.Dropped == "" {
			keys[i] = e.key()
			stays[keys[i]] = e
		}
	}
	kept := make(index, len(stays))
	single := make([]*Entry, 0, len(stays)) // most ARNs stand once: one allocation for all
	for i := range entries {
		e := &entries[i]
		if e.Dropped != "" {
			continue
		}
		if other := stays[keys[i]]; other != e {
			e.shadowedBy = other
			continue
		}
		if e.ARN == "" {
			continue // an sso element never matches, but takes the place of an entry with its key
		}
		arn := fold(e.ARN)
		if same := kept[arn]; len(same) > 0 {
			kept[arn] = append(same, e)
			continue
		}
		single = append(single, e)
		kept[arn] = single[len(single)-1 : len(single) : len(single)]
	}
	return kept
}

// Resolution is the authenticator's answer for one caller.
type Resolution struct {
	// CanonicalARN is what the entries are searched for, without case; empty when the
	// authenticator refuses the caller's ARN.
	CanonicalARN string
	Mapped       bool
	// Ambiguous means that entries with different usernames or groups match, and that the
	// authenticator picks one of them at random for each request.
	Ambiguous bool
	// Matches are the entries that the authenticator may answer with; empty when an account
	// of mapAccounts answers.
	Matches []*Entry
	// Source and Index name the first of Matches, or the element of mapAccounts.
	Source Section
	Index  int
	// Username and Groups are those of the first of Matches, templates unrendered.
	Username string
	Groups   []string
	// Reason says why the caller is not mapped, or what makes the answer ambiguous.
	Reason string
	// Unknown is why the answer is not certain: a section that is asked before the answer, or before
	// there is none, is too expensive to evaluate. The rest is the answer without that section.
	Unknown string
}

// Resolve answers whom the caller with this ARN maps to, as the authenticator does: mapRoles
// before mapUsers before mapAccounts (pkg/mapper/configmap/mapper.go, Map; pkg/server/server.go,
// doMapping). The ARN is the one that STS GetCallerIdentity gives. A template that cannot be
// rendered for the caller still refuses it, see [Entry.OnlyInstances].
func (m *Map) Resolve(arn string) Resolution {
	canonical, err := Canonicalize(arn)
	if err != nil {
		return Resolution{Reason: "the authenticator refuses the ARN: " + err.Error()}
	}
	r := m.resolveCanonical(canonical)
	for _, s := range Sections() {
		if err := m.Unknown(s); err != nil {
			r.Unknown = fmt.Sprintf("%s: %v", s, err)
		}
		if r.Unknown != "" || r.Mapped && s == r.Source {
			break
		}
	}
	return r
}

func (m *Map) resolveCanonical(canonical string) Resolution {
	if matches := m.matches(fold(strings.ToLower(canonical))); len(matches) > 0 {
		return resolved(canonical, matches)
	}
	if i, ok := m.sections[MapAccounts].ids[AccountOf(canonical)]; ok {
		return Resolution{
			CanonicalARN: canonical, Mapped: true, Source: MapAccounts, Index: i,
			Username: canonical, Groups: []string{},
		}
	}
	return Resolution{CanonicalARN: canonical, Reason: "no entry has the ARN " + canonical}
}

func resolved(canonical string, matches []*Entry) Resolution {
	first := matches[0]
	r := Resolution{
		CanonicalARN: canonical, Mapped: true, Matches: matches,
		Source: first.Section, Index: first.Index, Username: first.Username, Groups: first.Groups,
	}
	for _, other := range matches[1:] {
		if !first.SameAccess(other) {
			r.Ambiguous = true
			r.Reason = fmt.Sprintf("%s and %s have the same ARN but for case, and the authenticator picks one at random for each request", first.Path(), other.Path())
			break
		}
	}
	return r
}

// SameAccess reports whether two entries give the same username and the same set of groups.
func (e *Entry) SameAccess(other *Entry) bool {
	return e.Username == other.Username &&
		(slices.Equal(e.Groups, other.Groups) || slices.Equal(e.groupSet(), other.groupSet()))
}

// groupSet returns the groups sorted, each once. Those of a decoded entry are known.
func (e *Entry) groupSet() []string {
	if e.set == nil {
		return groupSet(e.Groups)
	}
	return e.set
}

// groupSet returns the groups sorted, each once. The result may be the input, which stays as it is.
func groupSet(groups []string) []string {
	for i := 1; i < len(groups); i++ {
		if groups[i-1] >= groups[i] {
			return slices.Compact(slices.Sorted(slices.Values(groups)))
		}
	}
	return groups
}

// Shadowed reports whether an entry that is loaded is never asked, because another one of its
// section has taken its place.
func (e *Entry) Shadowed() bool { return e.ARN != "" && e.shadowedBy != nil }

// ShadowedBy returns the entry that has taken the entry's place, or nil. It need not match the same
// callers, see [Map.MatchesOf].
func (e *Entry) ShadowedBy() *Entry { return e.shadowedBy }

// Principal is a caller that entries of mapRoles or mapUsers let in.
type Principal struct {
	// ARN is the caller's canonical ARN, written as the entry writes it.
	ARN string
	// Matches are the entries that the authenticator may answer with, at least one.
	Matches []*Entry
}

// Principals returns everyone whom an entry lets in, in the order of the entries: those callers
// whose ARN STS can give, each once. An entry that is dropped, shadowed, or whose ARN no caller
// can have is not among them. Principals of accounts in mapAccounts are not listed.
func (m *Map) Principals() []Principal { return m.principals }

func (m *Map) listPrincipals() []Principal {
	var list []Principal
	for _, entries := range [][]Entry{m.Roles, m.Users} {
		for i := range entries {
			e := &entries[i]
			if e.Dropped != "" || e.ARN == "" {
				continue
			}
			matches := m.matches(fold(e.ARN))
			if len(matches) > 0 && matches[0] == e && e.reachable() {
				list = append(list, Principal{ARN: e.ARN, Matches: matches})
			}
		}
	}
	return list
}

// MatchesOf returns the entries that the authenticator may answer with for a caller whose
// canonical ARN is this one but for case, as strings.EqualFold compares. It is Resolve for an ARN
// that an entry holds.
func (m *Map) MatchesOf(arn string) []*Entry { return m.matches(fold(arn)) }

// matches asks mapRoles first, then mapUsers; key is a folded ARN.
func (m *Map) matches(key string) []*Entry {
	if matches := m.sections[MapRoles].keys[key]; len(matches) > 0 {
		return matches
	}
	return m.sections[MapUsers].keys[key]
}

// reachable reports whether a caller can arrive with the entry's ARN: it is well-formed, no
// session, and a role in it has no path.
func (e *Entry) reachable() bool {
	arn, err := e.Principal()
	if err != nil {
		return false
	}
	_, session := arn.SessionRole()
	_, path := arn.WithoutPath()
	return !session && !path
}

// AllowedAccounts returns the elements of mapAccounts that are account ids, each once, in order:
// every principal of these accounts may log in.
func (m *Map) AllowedAccounts() []string {
	var ids []string
	for i, account := range m.Accounts {
		if IsAccountID(account) && m.sections[MapAccounts].ids[account] == i {
			ids = append(ids, account)
		}
	}
	return ids
}
