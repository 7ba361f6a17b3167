package awsauth

import (
	"maps"
	"slices"
	"strings"
)

// AccessChange is a principal whose effective access differs between two versions of an object.
type AccessChange struct {
	// ARN is the principal's canonical ARN as an entry writes it, or an account id of mapAccounts.
	ARN string
	// Before and After are the entries that the authenticator may answer with. Both are empty for
	// an account; Gained and Lost then tell.
	Before, After []*Entry
	// Gained and Lost are the groups that the principal gets more or less often than before,
	// sorted. A principal that is new or gone has its groups there, if it has any.
	Gained, Lost []string
	// New and Gone: the principal had no entry before, or has none any more. It could not log in then, or can
	// no longer, unless ByAccount: an account in mapAccounts lets it in without an entry.
	New, Gone, ByAccount bool
	// InstancesOnly: the principal's callers could log in before, and now the authenticator can render the
	// entries for EC2 instances only.
	InstancesOnly bool
}

// DiffAccess compares who gets in: principals in the order of the old version, then those that are
// new in theirs, then accounts. Principals whose answer is the same are left out.
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

// allowsAccountOf reports whether mapAccounts lets in the principals of an ARN's account.
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

// shares are the parts of the entries that give each group, above 0 and up to 1.
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

// PrincipalKey maps the ARNs of one principal to one text: ARNs are compared without case, and a
// role's path, which its callers arrive without, makes no difference.
func PrincipalKey(arn string) string {
	arn = strings.TrimSpace(arn)
	if parsed, err := ParseARN(arn); err == nil {
		if role, ok := parsed.WithoutPath(); ok {
			return fold(role.String())
		}
	}
	return fold(arn)
}
