package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var selfLockout = &Rule{
	ID:       "self-lockout",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "the requester would lose their own access",
	Doc: `
The person or tool that makes the change logs in through an entry of aws-auth, and after the change
that entry is gone or gives no admin group any more: they could not take the change back.

Let somebody else with access make this change, or keep your own entry. Whoever logs in another
way, such as the cluster's creator, through an access entry or with a certificate, is not
concerned.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/server/server.go, authenticateEndpoint and renderTemplates",
	Check:  checkSelfLockout,
}

func checkSelfLockout(p *Pass) {
	arn := p.Change.Requester.ARN()
	if arn == "" || p.hasAccessEntry(arn) {
		return // not logged in through the authenticator
	}
	before := p.Old.Resolve(arn)
	used := p.usedBy(before)
	if !before.Mapped || (len(before.Matches) > 0 && len(used) == 0) || (len(before.Matches) == 0 && !p.isAccountLogin(before)) {
		return // logged in another way: by an access entry, or as the cluster's creator
	}
	after := p.New.Resolve(arn)
	hint := "keep your own entry, or let somebody else make this change"
	if !after.Mapped || lostToInstances(before.Matches, after.Matches) {
		_, why := p.explain(after, false)
		if !after.Mapped && p.Change.Operation != Delete {
			hint = p.remedy(hint, before.Source, before.CanonicalARN)
		}
		p.Reportf(p.lockoutPlace(before, after), hint, "you are logged in as %q and could not log in again: %s", before.CanonicalARN, why)
		return
	}
	for _, group := range p.Policy.adminGroups() {
		gives := func(e *awsauth.Entry) bool { return e.Gives(group) }
		// Where the answer was random before, it may stay so.
		if had := min(certaintyOf(used, gives), certaintyOf(before.Matches, gives)); certaintyOf(after.Matches, gives) < had {
			p.Reportf(p.lockoutPlace(before, after), hint, "you are logged in as %q and would lose the group %s", before.CanonicalARN, group)
		}
	}
}

// usedBy returns the entries that give the requester the username and the groups they have.
func (p *Pass) usedBy(r awsauth.Resolution) []*awsauth.Entry {
	caller, groups := p.Change.Requester.caller(), p.Change.Requester.loginGroups()
	var used []*awsauth.Entry
	for _, e := range r.Matches {
		if e.GivesLogin(caller, p.Change.Requester.Username, groups) {
			used = append(used, e)
		}
	}
	return used
}

// isAccountLogin reports whether the requester logs in through mapAccounts.
func (p *Pass) isAccountLogin(r awsauth.Resolution) bool {
	return p.Change.Requester.Username == r.Username && len(p.Change.Requester.loginGroups()) == 0
}

// loginGroups are the groups that the login gave; the API server adds system:authenticated.
func (r Requester) loginGroups() []string {
	return slices.DeleteFunc(slices.Clone(r.Groups), func(g string) bool { return g == "system:authenticated" })
}

// lostToInstances reports whether entries that let in instances only, which refuses a person, answer
// more often than before.
func lostToInstances(before, after []*awsauth.Entry) bool {
	return certaintyOf(after, (*awsauth.Entry).OnlyInstances) > certaintyOf(before, (*awsauth.Entry).OnlyInstances)
}

func (p *Pass) lockoutPlace(before, after awsauth.Resolution) locator {
	if after.Mapped {
		return p.Doc.EntryAt(after)
	}
	return sectionPlace(before.Source)
}
