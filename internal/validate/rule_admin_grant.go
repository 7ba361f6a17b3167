package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var adminGrant = &Rule{
	ID:       "admin-grant",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "a principal gains an admin group",
	Doc: `
After the change a principal has an admin group, by default system:masters, that it did not have
before. RBAC can't limit the members of system:masters. A group with a session template also counts if
some session name turns it into an admin group, because the caller who assumes a role chooses the
session name.

If you don't intend this, leave the group out of the entry.`,
	Source: "Kubernetes documentation, \"Role Based Access Control Good Practices\"; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplates",
	Check:  checkAdminGrant,
}

func checkAdminGrant(p *Pass) {
	if p.Change.Operation == Document {
		return // nothing is new
	}
	for _, c := range p.Access {
		entry := p.entries.Get(c.ARN)
		if entry != nil && p.runs(shadowedByAccessEntry) {
			continue // the entry of aws-auth has no effect; shadowed-by-access-entry reports it
		}
		for _, group := range p.Policy.adminGroups() {
			if entry != nil && len(entry.Lacks([]string{group})) == 0 {
				continue
			}
			switch {
			case gains(c.Before, c.After, group):
				p.Reportf(p.entryPlace(c.After[0]), AdminGrantHint(group), "%q gains the admin group %s", c.ARN, group)
			case slices.ContainsFunc(c.After, func(e *awsauth.Entry) bool { return newSession(c.Before, e, group) != "" }):
				p.Reportf(p.entryPlace(c.After[0]), "write the group without a template of the session", "%q gains the admin group %s for sessions whose name turns a template into this group", c.ARN, group)
			}
		}
	}
}

// AdminGrantHint returns the hint of the rule admin-grant for a principal that gains an admin group.
func AdminGrantHint(group string) string {
	return "leave out the group " + group + " if you don't intend this"
}

// gains reports whether a principal gets a group with more certainty after the change; see [access.Certainty]. It
// compares twice: once with all entries, and once without the entries that admit only EC2 instances. It returns true
// if one of the two comparisons shows a gain.
func gains(before, after []*awsauth.Entry, group string) bool {
	gives := func(e *awsauth.Entry) bool { return e.Gives(group) }
	givesPeople := func(e *awsauth.Entry) bool { return !e.OnlyInstances() && e.Gives(group) }
	more := func(holds func(*awsauth.Entry) bool) bool {
		return access.CertaintyOf(after, holds) > access.CertaintyOf(before, holds)
	}
	return more(gives) || more(givesPeople)
}

func (p *Pass) entryPlace(e *awsauth.Entry) awsauth.Position {
	return p.Doc.EntryAt(awsauth.Resolution{Source: e.Section, Index: e.Index})
}

// newSession returns the name of a session to which an entry gives a group after the change, although no entry in
// before gave the group to this session. It returns "" if there is no such session.
func newSession(before []*awsauth.Entry, e *awsauth.Entry, group string) string {
	arn, err := e.Principal()
	if err != nil || !arn.IsRole() {
		return ""
	}
	for _, g := range e.Groups {
		session, ok := sessionMaking(strings.ReplaceAll(g, "{{AccountID}}", arn.Account), group)
		caller := awsauth.Caller{AccountID: arn.Account, SessionName: session}
		gave := func(was *awsauth.Entry) bool { return was.Admits(caller) && was.GivesTo(caller, group) }
		if ok && e.Admits(caller) && !slices.ContainsFunc(before, gave) {
			return session
		}
	}
	return ""
}
