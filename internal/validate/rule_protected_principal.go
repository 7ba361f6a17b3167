package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var protectedPrincipal = &Rule{
	ID:       "protected-principal",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a protected principal does not get its groups",
	Doc: `
The configuration names principals that must keep their groups, such as the role of the cluster's
administrators. What counts is what the authenticator answers for them, not what the text shows: an
entry that is removed, commented out, shadowed by a later one, moved behind ---, or whose ARN, keys
or groups are written so that they are not read gives nothing.

The group system:authenticated, which every login has, stands for being able to log in at all. An account
in mapAccounts is enough for it, and for a node role an entry that makes nodes of EC2 instances.

Keep an entry that gives the principal all its groups, or change the configuration first.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/mapper.go, Map",
	Check:  checkProtectedPrincipal,
}

func checkProtectedPrincipal(p *Pass) {
	for _, protected := range p.Policy.Protected {
		if p.hasAccessEntry(protected.ARN) {
			continue
		}
		before, after := p.Old.Resolve(protected.ARN), p.New.Resolve(protected.ARN)
		var lost, missing []string
		for _, group := range protected.Groups {
			had, has := protected.Gets(before, group), protected.Gets(after, group)
			for _, m := range p.oldReadings() {
				had = max(had, protected.Gets(m.Resolve(protected.ARN), group))
			}
			for _, m := range p.newReadings() {
				if r := m.Resolve(protected.ARN); protected.Gets(r, group) < has {
					has, after = protected.Gets(r, group), r
				}
			}
			switch {
			case has < had, group == awsauth.AuthenticatedGroup && protected.LosesSessions(before, after):
				lost = append(lost, group)
			case has < access.Always:
				missing = append(missing, group)
			}
		}
		if p.Change.Operation == Delete {
			missing = nil // without an object no principal has a group that it lacked before
		}
		if len(lost)+len(missing) == 0 {
			continue
		}
		at, why := p.explain(after, protected.IsNode())
		hint := fmt.Sprintf("keep an entry for %s with the groups [%s]", protected.ARN, strings.Join(protected.Groups, ", "))
		if !slices.ContainsFunc(protected.Groups, func(g string) bool { return g != awsauth.AuthenticatedGroup }) {
			hint = "keep an entry for " + protected.ARN
		}
		if len(lost) > 0 && !after.Mapped {
			hint = p.remedy(hint, before.Source, protected.ARN)
		}
		if len(lost) > 0 {
			p.Reportf(at, hint, "the protected principal %q would lose %s: %s", protected.ARN, groupList(lost), why)
		}
		if len(missing) == 0 {
			continue
		}
		// Judged alone a document must hold every protected principal. A change is not at
		// fault for what was not there before, and the first node group creates aws-auth
		// before there is any entry for a person.
		report := p.Warnf
		if p.Change.Operation == Document {
			report = p.Reportf
		}
		report(at, hint, "the protected principal %q does not get %s: %s", protected.ARN, groupList(missing), why)
	}
}

// explain says where the answer for a principal, a node or a person, comes from.
func (p *Pass) explain(r awsauth.Resolution, node bool) (at locator, why string) {
	switch {
	case !r.Mapped:
		return sectionPlace(awsauth.MapRoles), "no entry that the authenticator loads matches it"
	case r.Ambiguous:
		return p.Doc.EntryAt(r), r.Reason
	case r.Source == awsauth.MapAccounts:
		return p.Doc.EntryAt(r), "only its account is mapped, which gives no groups"
	case !node && r.Matches[0].OnlyInstances():
		return p.Doc.EntryAt(r), r.Matches[0].Path() + " lets in EC2 instances only, because of {{EC2PrivateDNSName}}"
	case len(r.Groups) == 0:
		return p.Doc.EntryAt(r), r.Matches[0].Path() + " gives it no groups"
	}
	return p.Doc.EntryAt(r), fmt.Sprintf("%s gives it [%s]", r.Matches[0].Path(), strings.Join(r.Groups, ", "))
}

func groupList(groups []string) string {
	if len(groups) == 1 && groups[0] == awsauth.AuthenticatedGroup {
		return "its login"
	}
	if len(groups) == 1 {
		return "the group " + groups[0]
	}
	return "the groups " + strings.Join(groups, ", ")
}
