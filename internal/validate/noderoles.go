package validate

import (
	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// RemovesEveryNodeRole reports whether every node role of the old version would lose its nodes. A node role loses them
// if the change removes its entry, or if the new entry doesn't make the same nodes. Node roles with an access entry
// don't count. RemovesEveryNodeRole returns false if the old version has no node role, or if the change acknowledges
// the removal of one.
func RemovesEveryNodeRole(c Change, policy Policy) bool {
	before, after := load(c.Old), load(c.New)
	entries, allowed, found := policy.entries(), c.allowedRemovals(), false
	for _, role := range before.Principals() {
		if access.CertaintyOf(role.Matches, access.IsNode) == access.Never || entries.Has(role.ARN) {
			continue
		}
		found = true
		if _, acknowledged := allowed[awsauth.PrincipalKey(role.ARN)]; acknowledged || keepsNodes(role, after) {
			return false
		}
	}
	return found
}

// keepsNodes reports whether a node role makes the same nodes after a change, with at least the same
// [access.Certainty].
func keepsNodes(role awsauth.Principal, after *awsauth.Map) bool {
	return access.CertaintyOf(after.MatchesOf(role.ARN), access.SameNodes(role.Matches)) >= access.CertaintyOf(role.Matches, access.IsNode)
}

func load(o *awsauth.Object) *awsauth.Map {
	if o == nil {
		return new(awsauth.Map)
	}
	return o.Load()
}
