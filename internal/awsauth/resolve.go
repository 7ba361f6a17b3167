package awsauth

import (
	"fmt"
	"slices"
	"strings"
)

// index maps folded ARNs to the entries that match a caller with this ARN. If several entries match, the authenticator
// answers with any of them.
type index map[string][]*Entry

// newIndex indexes the entries that the authenticator keeps. Of several entries with the same key, the authenticator keeps
// only the last one (see Entry.key). newIndex sets shadowedBy of the others. Entries with the same key need not match the
// same callers, because the authenticator makes the keys of mapRoles with strings.ToLower, but matches ARNs with
// strings.EqualFold (pkg/config/mapper.go, Key and Matches). For example, strings.ToLower turns U+0130 into i, but
// strings.EqualFold treats U+0130 as equal only to itself.
func newIndex(entries []Entry) index {
	stays := make(map[string]*Entry, len(entries)) // the last entry with each key
	keys := make([]string, len(entries))
	for i := range entries {
		if e := &entries[i]; e.Dropped == "" {
			keys[i] = e.key()
			stays[keys[i]] = e
		}
	}
	kept := make(index, len(stays))
	single := make([]*Entry, 0, len(stays)) // one allocation for all ARNs with a single entry, because most ARNs have only one
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
			continue // an sso element never matches, but replaces an entry with the same key
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
	// CanonicalARN is the ARN that the authenticator searches for, ignoring case; see [Canonicalize]. It is empty if
	// the authenticator refuses the caller's ARN.
	CanonicalARN string
	Mapped       bool
	// Ambiguous means that entries with different usernames or groups match. The authenticator picks one of them at
	// random for each request.
	Ambiguous bool
	// Matches are the entries that the authenticator may answer with. They are empty if the caller is not mapped, or if
	// it is mapped by an account of mapAccounts.
	Matches []*Entry
	// Source and Index name the first of Matches, or the element of mapAccounts.
	Source Section
	Index  int
	// Username and Groups are those of the first of Matches, and may hold templates. For an account of mapAccounts,
	// Username is CanonicalARN, and Groups is empty.
	Username string
	Groups   []string
	// Reason says why the caller is not mapped, or why the answer is ambiguous. It is empty for other answers.
	Reason string
	// Unknown is empty if the answer is certain. Otherwise the answer also depends on a section that is too expensive
	// to evaluate. Then Unknown names this section and the reason, and the other fields are the answer without it.
	Unknown string
}

// Resolve returns the authenticator's answer for a caller. arn is the caller's ARN as STS GetCallerIdentity returns it.
// The authenticator searches mapRoles, then mapUsers, then mapAccounts (pkg/mapper/configmap/mapper.go, Map;
// pkg/server/server.go, doMapping). It still refuses a mapped caller if it can't render a template for the caller, see
// [Entry.Admits].
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
			r.Reason = fmt.Sprintf("the ARNs of %s and %s differ only in case, and the authenticator picks one at random for each request", first.Path(), other.Path())
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

// HasGroupsOf reports whether the entry has all groups of another entry.
func (e *Entry) HasGroupsOf(other *Entry) bool {
	set := e.groupSet()
	return !slices.ContainsFunc(other.Groups, func(g string) bool {
		_, found := slices.BinarySearch(set, g)
		return !found
	})
}

// groupSet returns the groups, sorted and without duplicates. It uses the stored result of a decoded entry.
func (e *Entry) groupSet() []string {
	if e.set == nil {
		return groupSet(e.Groups)
	}
	return e.set
}

// groupSet returns the groups, sorted and without duplicates. It does not change the input, but may return it.
func groupSet(groups []string) []string {
	for i := 1; i < len(groups); i++ {
		if groups[i-1] >= groups[i] {
			return slices.Compact(slices.Sorted(slices.Values(groups)))
		}
	}
	return groups
}

// Shadowed reports whether the authenticator never uses this entry, because another entry of the section replaces it.
// It returns false for an entry without an ARN, such as an sso element.
func (e *Entry) Shadowed() bool { return e.ARN != "" && e.shadowedBy != nil }

// ShadowedBy returns the entry that replaces this entry, or nil. The two entries have the same key, but may match
// different callers.
func (e *Entry) ShadowedBy() *Entry { return e.shadowedBy }

// Principal is a principal that entries of mapRoles or mapUsers let in.
type Principal struct {
	// ARN is the principal's canonical ARN, with upper and lower case as in the first entry.
	ARN string
	// Matches are the entries that the authenticator may answer with. There is at least one.
	Matches []*Entry
}

// Principals returns the principals with an entry that a caller can match, without duplicates, in the order of the
// entries. It ignores entries that are dropped or shadowed, and entries with an ARN that no caller can have. It does
// not list the principals of accounts in mapAccounts.
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

// MatchesOf returns the entries of mapRoles or mapUsers that the authenticator may answer with for a canonical ARN.
// MatchesOf compares ARNs with strings.EqualFold. Unlike Resolve, it does not turn a session's ARN into that of its
// role.
func (m *Map) MatchesOf(arn string) []*Entry { return m.matches(fold(arn)) }

// matches searches mapRoles, and then mapUsers if mapRoles has no match. key is a folded ARN.
func (m *Map) matches(key string) []*Entry {
	if matches := m.sections[MapRoles].keys[key]; len(matches) > 0 {
		return matches
	}
	return m.sections[MapUsers].keys[key]
}

// reachable reports whether a caller can have the entry's ARN as canonical ARN. Such an ARN is well-formed. The ARN of
// a session and the ARN of a role with its path are not reachable.
func (e *Entry) reachable() bool {
	arn, err := e.Principal()
	if err != nil {
		return false
	}
	_, session := arn.SessionRole()
	_, path := arn.WithoutPath()
	return !session && !path
}

// AllowedAccounts returns the elements of mapAccounts that are account ids, without duplicates, in order. Every
// principal of these accounts can log in.
func (m *Map) AllowedAccounts() []string {
	var ids []string
	for i, account := range m.Accounts {
		if IsAccountID(account) && m.sections[MapAccounts].ids[account] == i {
			ids = append(ids, account)
		}
	}
	return ids
}
