package awsauth

import (
	"maps"
	"slices"
	"strings"
)

// AccessChange describes how the effective access of one principal, or of one account of mapAccounts, differs between
// two versions of an object.
type AccessChange struct {
	// ARN is the ARN of the principal in an entry of the old version, or of the new version if the principal is new.
	// For an account it is the account id.
	ARN string
	// Before and After are the entries that match the principal before and after the change. If several entries match,
	// the authenticator picks one at random. Both are empty for an account.
	Before, After []*Entry
	// Gained and Lost are sorted lists of groups. Gained holds the groups that a larger share of the entries gives
	// after the change than before. Lost holds the groups that a smaller share gives. For a new principal, Gained holds
	// all its groups. For a principal without an entry after the change, Lost holds all its groups.
	Gained, Lost []string
	// New reports that the principal has no entry before the change, and Gone that it has no entry after the change.
	// For an account, New means that the change adds it to mapAccounts, and Gone that the change removes it. ByAccount
	// reports that the principal can log in even in the version without an entry, because mapAccounts has its account.
	New, Gone, ByAccount bool
	// InstancesOnly reports that the principal still has entries after the change, but they admit only EC2 instances.
	// Before the change at least one entry also admitted other callers.
	InstancesOnly bool
}

// DiffAccess compares the effective access of two versions. First come the principals of the old version, in its order.
// Then come the principals that only the new version has, in its order, the accounts that the change removes, and the
// accounts that the change adds. DiffAccess leaves out a principal if both versions have the same number of entries for
// it, with the same usernames and sets of groups in the same order.
func DiffAccess(before, after *Map) []AccessChange {
	var changes []AccessChange
	for _, p := range before.Principals() {
		if c, differs := compareAccess(p.ARN, p.Matches, after.MatchesOf(p.ARN)); differs {
			c.ByAccount = c.Gone && after.allowsAccountOf(p.ARN)
			changes = append(changes, c)
		}
	}
	for _, p := range after.Principals() {
		if len(before.MatchesOf(p.ARN)) == 0 {
			c, _ := compareAccess(p.ARN, nil, p.Matches)
			c.ByAccount = before.allowsAccountOf(p.ARN)
			changes = append(changes, c)
		}
	}
	for _, account := range before.AllowedAccounts() {
		if !after.allows(account) {
			changes = append(changes, AccessChange{ARN: account, Gone: true})
		}
	}
	for _, account := range after.AllowedAccounts() {
		if !before.allows(account) {
			changes = append(changes, AccessChange{ARN: account, New: true})
		}
	}
	return changes
}

// allowsAccountOf reports whether mapAccounts has the account of an ARN.
func (m *Map) allowsAccountOf(arn string) bool { return m.allows(AccountOf(arn)) }

func (m *Map) allows(account string) bool {
	_, ok := m.sections[MapAccounts].ids[account]
	return ok
}

func compareAccess(arn string, before, after []*Entry) (c AccessChange, differs bool) {
	c = AccessChange{ARN: arn, Before: before, After: after, New: len(before) == 0, Gone: len(after) == 0}
	c.InstancesOnly = len(after) > 0 && slices.ContainsFunc(before, admitsAll) && !slices.ContainsFunc(after, admitsAll)
	if len(before) == 1 && len(after) == 1 && before[0].SameAccess(after[0]) {
		return c, false
	}
	had, has := shares(before), shares(after)
	groups := maps.Clone(had)
	maps.Copy(groups, has)
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		switch {
		case has[group] > had[group]:
			c.Gained = append(c.Gained, group)
		case has[group] < had[group]:
			c.Lost = append(c.Lost, group)
		}
	}
	same := len(before) == len(after) && slices.EqualFunc(before, after, (*Entry).SameAccess)
	return c, !same
}

func admitsAll(e *Entry) bool { return !e.OnlyInstances() }

// shares maps each group to the fraction of the entries that give the group: more than 0, and at most 1.
func shares(entries []*Entry) map[string]float64 {
	counts := make(map[string]int)
	for _, e := range entries {
		for _, group := range e.groupSet() {
			counts[group]++
		}
	}
	parts := make(map[string]float64, len(counts))
	for group, n := range counts {
		parts[group] = float64(n) / float64(len(entries))
	}
	return parts
}

// PrincipalKey returns a key that is equal for all spellings of a principal's ARN. It ignores case and white space at
// the ends. It also ignores the path of a role, because STS leaves the path out of a caller's ARN. The ARN of a session
// has another key than the ARN of its role.
func PrincipalKey(arn string) string {
	arn = strings.TrimSpace(arn)
	if strings.Count(arn, "/") < 2 {
		return fold(arn) // without a path
	}
	if parsed, err := ParseARN(arn); err == nil {
		if role, ok := parsed.WithoutPath(); ok {
			return fold(role.String())
		}
	}
	return fold(arn)
}
