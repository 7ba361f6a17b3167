package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var bypassGrant = &Rule{
	ID:       "bypass-grant",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a principal gains a group that overrules or bypasses the guard",
	Doc: `
The API server does not ask the guard about changes by members of the bypass group, by default
awsauth-guard:bypass. It is for an emergency, and reached by impersonation: an entry that gives the group
switches the guard off for everyone who logs in by it. Members of the groups in overrides.groups may
overrule every denial. A group that is made of a session's name counts where a name would make one of these
groups of it, because the caller who assumes a role chooses the name.

Groups that are also admin groups, such as system:masters, are left to admin-grant.

Remove the group from the entry. If the grant of an override group is meant, set
awsauth-guard.io/break-glass in the same change.`,
	Source: "awsauth-guard: a guard that an entry can switch off protects nothing; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplates",
	Check:  checkBypassGrant,
}

func checkBypassGrant(p *Pass) {
	bypass := p.Policy.bypassGroup()
	if p.Change.Operation == Document {
		// Override groups are no news in a version that is evaluated by itself.
		for _, principal := range p.New.Principals() {
			p.checkGrant(principal.ARN, nil, principal.Matches, bypass)
		}
		return
	}
	groups := []string{bypass}
	for _, group := range p.Policy.overrideGroups() {
		if !slices.Contains(p.Policy.adminGroups(), group) && group != bypass {
			groups = append(groups, group)
		}
	}
	for _, c := range p.Access {
		for _, group := range groups {
			p.checkGrant(c.ARN, c.Before, c.After, group)
		}
	}
}

// checkGrant reports that a principal gains one of the two kinds of groups, or can gain it by a session's
// name.
func (p *Pass) checkGrant(arn string, before, after []*awsauth.Entry, group string) {
	verb, effect := "gains", "members overrule the guard"
	if p.Change.Operation == Document {
		verb = "has"
	}
	if group == p.Policy.bypassGroup() {
		effect = "members change aws-auth without the guard"
	}
	gives := func(e *awsauth.Entry) bool { return e.Gives(group) }
	switch {
	case access.CertaintyOf(after, gives) > access.CertaintyOf(before, gives):
		p.Reportf(p.entryPlace(after[0]), "remove the group "+group, "%q %s the group %s, whose %s", arn, verb, group, effect)
	case slices.ContainsFunc(before, gives):
	default:
		for _, e := range after {
			session, could := sessionGiving(e, group)
			if could && !slices.ContainsFunc(before, func(e *awsauth.Entry) bool { return couldGive(e, group) }) {
				p.Reportf(p.entryPlace(e), "write the group without a session's name",
					"%q %s the group %s for a session named %q, and its %s", arn, verb, group, session, effect)
				return
			}
		}
	}
}
