package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var bypassGrant = &Rule{
	ID:       "bypass-grant",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a principal gains a group whose members can overrule or bypass the guard",
	Doc: `
For changes by members of the bypass group, by default awsauth-guard:bypass, the API server calls only the observing
webhook, which refuses nothing. The group is for emergencies, and admins impersonate it. An entry that gives the
group switches the guard off for everyone who logs in through that entry. Members of the groups in overrides.groups
may overrule every denial. A group with a session template also counts if some session name turns it into one of
these groups, because the caller who assumes a role chooses the session name.

If an override group is also an admin group, such as system:masters, the rule admin-grant reports it instead.

Remove the group from the entry. If you intend to grant an override group, set awsauth-guard.io/break-glass in the
same change.`,
	Source: "awsauth-guard: an entry must not switch the guard off; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplates",
	Check:  checkBypassGrant,
}

func checkBypassGrant(p *Pass) {
	bypass := p.Policy.bypassGroup()
	if p.Change.Operation == Document {
		// If a version is evaluated alone, nothing in it is new, so only the bypass group counts.
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

// checkGrant reports a principal that gains the bypass group or an override group, or that can gain it with a chosen
// session name.
func (p *Pass) checkGrant(arn string, before, after []*awsauth.Entry, group string) {
	verb, effect := "gains", "overrule the guard"
	if p.Change.Operation == Document {
		verb = "has"
	}
	if group == p.Policy.bypassGroup() {
		effect = "change aws-auth without the guard"
	}
	switch {
	case gains(before, after, group):
		p.Reportf(p.entryPlace(after[0]), "leave out the group "+group, "%q %s the group %s, whose members %s", arn, verb, group, effect)
	case slices.ContainsFunc(before, func(e *awsauth.Entry) bool { return e.Gives(group) }):
	default:
		for _, e := range after {
			if session := newSession(before, e, group); session != "" {
				p.Reportf(p.entryPlace(e), "write the group without a template of the session",
					"%q %s the group %s for a session named %q, and members of this group %s", arn, verb, group, session, effect)
				return
			}
		}
	}
}
