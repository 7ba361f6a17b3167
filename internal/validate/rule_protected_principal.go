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
	Title:    "a protected principal does not get its groups, or is not an admin",
	Doc: `
The configuration names principals that must keep their groups, such as the role of the cluster's administrators.
The rule checks the groups that the authenticator would give them, not the text. An entry gives nothing if it is
removed, commented out, replaced by a later entry or moved below ---, or if the authenticator can't read its ARN,
keys or groups.

A principal with admin: true must be an admin: it must get one of the configuration's adminGroups, or have an access
entry that makes it an admin.

With groups: [system:authenticated] the principal only has to be able to log in, because every login has this group.
It can also log in if its account is in mapAccounts. For a node role it is enough that EC2 instances with the role
can log in as nodes.

If the guard reads the cluster's access entries (eks.enabled), a principal with an access entry must get its groups
from there. AmazonEKSClusterAdminPolicy for the whole cluster counts as the group system:masters, because EKS
doesn't allow this group in an access entry.

Keep an entry that gives the principal all its groups, or change the configuration first.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/mapper.go, Map",
	Check:  checkProtectedPrincipal,
}

func checkProtectedPrincipal(p *Pass) {
	oldMaps := p.oldMaps()
	for _, protected := range p.Policy.Protected {
		if p.hasAccessEntry(protected.ARN) {
			p.checkAccessEntryOf(protected)
			continue
		}
		before, after := p.Old.Resolve(protected.ARN), p.New.Resolve(protected.ARN)
		var lost, missing []requirement
		for _, required := range requirements(protected) {
			had, has := p.fulfils(protected, before, required), p.fulfils(protected, after, required)
			for _, m := range oldMaps {
				had = max(had, p.fulfils(protected, m.Resolve(protected.ARN), required))
			}
			for _, m := range p.newMaps() {
				if r := m.Resolve(protected.ARN); p.fulfils(protected, r, required) < has {
					has, after = p.fulfils(protected, r, required), r
				}
			}
			loses := has < had
			if required.group == awsauth.AuthenticatedGroup && !loses {
				if r, lost := p.losesSessions(protected, oldMaps); lost {
					loses, after = true, r
				}
			}
			switch {
			case loses:
				lost = append(lost, required)
			case has < access.Always:
				missing = append(missing, required)
			}
		}
		if p.Change.Operation == Delete {
			missing = nil // a deletion can't give a principal a group that it lacked before
		}
		if len(lost)+len(missing) == 0 {
			continue
		}
		at, why := p.explain(after, protected.IsNode())
		groups := p.groupsOf(protected)
		hint := fmt.Sprintf("keep an entry for %s with the groups [%s]", protected.ARN, strings.Join(groups, ", "))
		if !slices.ContainsFunc(groups, func(g string) bool { return g != awsauth.AuthenticatedGroup }) {
			hint = "keep an entry for " + protected.ARN
		}
		if len(lost) > 0 && !after.Mapped {
			hint = p.lossHint(hint, before.Source, protected.ARN)
		}
		if len(lost) > 0 {
			p.Reportf(at, hint, "the protected principal %q would lose %s: %s", protected.ARN, requirementList(lost), why)
		}
		if len(missing) == 0 {
			continue
		}
		// A document that is evaluated alone must give every protected principal its groups. A change gets only a
		// warning for a group that was missing before: with the first node group, EKS creates an aws-auth without entries
		// for people.
		report := p.Warnf
		if p.Change.Operation == Document {
			report = p.Reportf
		}
		report(at, hint, "the protected principal %q does not get %s: %s", protected.ARN, requirementList(missing), why)
	}
}

// losesSessions reports whether the change may leave the login of a protected principal only to sessions of EC2 instances.
// This is so if one of the old maps lets in all sessions, and one of the new maps only those of EC2 instances. after is the
// authenticator's answer with that new map.
func (p *Pass) losesSessions(protected access.Protected, oldMaps []*awsauth.Map) (after awsauth.Resolution, loses bool) {
	for _, before := range oldMaps {
		for _, m := range p.newMaps() {
			if after := m.Resolve(protected.ARN); protected.LosesSessions(before.Resolve(protected.ARN), after) {
				return after, true
			}
		}
	}
	return after, false
}

// requirement is a group that a protected principal must get. If beAdmin is true, it is the rights of an admin instead.
type requirement struct {
	group   string
	beAdmin bool
}

// requirements returns the requirements of a protected principal.
func requirements(protected access.Protected) []requirement {
	list := groupRequirements(protected.Groups)
	if protected.Admin {
		list = append(list, requirement{beAdmin: true})
	}
	return list
}

func groupRequirements(groups []string) []requirement {
	list := make([]requirement, len(groups), len(groups)+1)
	for i, group := range groups {
		list[i].group = group
	}
	return list
}

// fulfils returns how many logins of a protected principal fulfil a requirement: all, some or none. r holds the entries
// that may answer these logins.
func (p *Pass) fulfils(protected access.Protected, r awsauth.Resolution, required requirement) access.Certainty {
	if required.beAdmin {
		return access.AdminBy(r.Matches, p.Policy.AdminGroups)
	}
	return protected.Gets(r, required.group)
}

// groupsOf returns the groups that an entry must have to fulfil all requirements of a protected principal.
func (p *Pass) groupsOf(protected access.Protected) []string {
	admins := p.Policy.adminGroups()
	if !protected.Admin || slices.ContainsFunc(protected.Groups, func(g string) bool { return slices.Contains(admins, g) }) {
		return protected.Groups
	}
	return append(slices.Clip(protected.Groups), admins[0])
}

// checkAccessEntryOf reports the groups and the rights of an admin that a protected principal lacks because its access
// entry doesn't give them. The access entry wins over aws-auth, so no change of aws-auth causes or repairs this. For a
// change, the finding is only a warning. In a document that is evaluated alone, it has the rule's severity.
func (p *Pass) checkAccessEntryOf(protected access.Protected) {
	entry := p.entries.Get(protected.ARN)
	if entry == nil || p.Change.Operation == Delete {
		return // for a declared access entry, the guard doesn't know the groups
	}
	missing := groupRequirements(entry.Lacks(protected.Groups))
	if protected.Admin && !entry.IsAdmin(p.Policy.AdminGroups) {
		missing = append(missing, requirement{beAdmin: true})
	}
	if len(missing) == 0 {
		return
	}
	report := p.Warnf
	if p.Change.Operation == Document {
		report = p.Reportf
	}
	report(wholeObject, "change the access entry of "+protected.ARN,
		"the protected principal %q does not get %s: its access entry wins over aws-auth and doesn't give it", protected.ARN, requirementList(missing))
}

// explain returns the position of the entry that answers for a principal, and the effect of that entry as part of a
// sentence. If no entry answers, the position is that of mapRoles. node tells whether the callers are nodes.
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

// requirementList returns requirements of a protected principal as part of a sentence.
func requirementList(list []requirement) string {
	var groups []string
	for _, r := range list {
		if !r.beAdmin {
			groups = append(groups, r.group)
		}
	}
	switch {
	case len(groups) == 0:
		return "the rights of an admin"
	case len(groups) < len(list):
		return groupList(groups) + " and the rights of an admin"
	}
	return groupList(groups)
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
