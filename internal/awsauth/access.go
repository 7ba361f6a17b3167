package awsauth

import (
	"maps"
	"slices"
	"strings"
)

// AccessChange describes how the effective access of one principal differs between two versions of an object.
type AccessChange struct {
	// ARN is the principal's canonical ARN, in the upper and lower case of an entry. For an account of mapAccounts it
	// is the account id.
	ARN string
	// Before and After are the entries that the authenticator may answer with for the principal before and after the
	// change. Both are empty for an account.
	Before, After []*Entry
	// Gained holds the groups that a larger share of the entries gives after the change than before, and Lost the
	// groups that a smaller share gives. Both are sorted. For a new principal, Gained holds all its groups. For a
	// principal that is gone, Lost holds them.
	Gained, Lost []string
	// New reports that the principal had no entry before the change, and Gone that it has none after the change.
	// ByAccount reports that the principal can log in even in the version without an entry, because mapAccounts has
	// its account.
	New, Gone, ByAccount bool
	// InstancesOnly reports that an entry admitted callers other than EC2 instances before the change, and that no
	// entry does so after the change.
	InstancesOnly bool
}

// DiffAccess compares the effective access of two versions. It returns the principals in the order of the old
// version, then the new principals in the order of the new version, then accounts. It leaves out principals for
// which the authenticator gives the same answer in both versions.
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

// shares returns, for each group, the fraction of the entries that give the group: more than 0, and at most 1.
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

// PrincipalKey returns a key that is equal for all ARNs of one principal. It ignores case and the path of a role,
// because STS leaves the path out of a caller's ARN.
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
