package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// RemovesEveryNodeRole reports whether the rule node-role-removed finds every node role of the old version removed,
// or mapped so that it doesn't make the same nodes. A node role with a declared access entry doesn't count. It returns
// false where there was no node role, or where the change acknowledges the removal of one.
func RemovesEveryNodeRole(c Change, policy Policy) bool {
	before, after := load(c.Old), load(c.New)
	p := Pass{entries: make(map[string]bool, len(policy.AccessEntries))}
	for _, arn := range policy.AccessEntries {
		p.entries[awsauth.PrincipalKey(arn)] = true
	}
	allowed, found := c.allowedRemovals(), false
	for _, principal := range before.Principals() {
		had := certaintyOf(principal.Matches, isNode)
		if had == never || p.hasAccessEntry(principal.ARN) {
			continue
		}
		found = true
		sameNode := func(e *awsauth.Entry) bool {
			return isNode(e) && slices.ContainsFunc(principal.Matches, func(was *awsauth.Entry) bool {
				return was.Username == e.Username && (was.OnlyInstances() || !e.OnlyInstances())
			})
		}
		if _, acknowledged := allowed[awsauth.PrincipalKey(principal.ARN)]; acknowledged || certaintyOf(after.MatchesOf(principal.ARN), sameNode) >= had {
			return false
		}
	}
	return found
}

func load(o *awsauth.Object) *awsauth.Map {
	if o == nil {
		return new(awsauth.Map)
	}
	return o.Load()
}
