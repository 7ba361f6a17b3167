package validate

import (
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeRoleRemoved = &Rule{
	ID:       "node-role-removed",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "a node role is gone, or no longer makes nodes",
	Doc: `
Nodes log in through the entry of their role, with the group system:nodes and a username that begins
with system:node:. Without it running nodes turn NotReady and new ones do not join. Tools that
write the whole map remove the roles that EKS or another tool has added.

Keep the entry as it was: its username, such as system:node:{{EC2PrivateDNSName}} for EC2 and
system:node:{{SessionName}} for Fargate, and its groups. To retire a node role, delete its node group and set the
annotation awsauth-guard.io/allow-removal to the role's ARN in the same change.`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; terraform-aws-eks#624, #1786, #2289",
	Check:  checkNodeRoleRemoved,
}

func checkNodeRoleRemoved(p *Pass) {
	allowed, used := p.Change.allowedRemovals(), make(map[string]bool)
	for _, principal := range p.Old.Principals() {
		before := certaintyOf(principal.Matches, isNode)
		sameNode := func(e *awsauth.Entry) bool {
			return isNode(e) && slices.ContainsFunc(principal.Matches, func(was *awsauth.Entry) bool { return was.Username == e.Username })
		}
		if p.hasAccessEntry(principal.ARN) {
			continue
		}
		matches := p.New.MatchesOf(principal.ARN)
		if before == never || certaintyOf(matches, sameNode) >= before {
			continue
		}
		if _, ok := allowed[awsauth.PrincipalKey(principal.ARN)]; ok {
			p.override(AllowRemoval, principal.ARN)
			used[awsauth.PrincipalKey(principal.ARN)] = true
			continue
		}
		if len(matches) == 0 {
			section := principal.Matches[0].Section
			hint := "keep the entry of " + principal.ARN
			if p.Change.Operation != Delete {
				hint = p.remedy(hint, section, principal.ARN)
				if !p.newlyLost(section) {
					hint += ", or set the annotation " + AllowRemovalAnnotation + " to this ARN"
				}
			}
			p.Reportf(sectionPlace(section), hint,
				"the node role %q would no longer be mapped, and its nodes would turn NotReady", principal.ARN)
			continue
		}
		p.Reportf(p.Doc.EntryAt(p.New.Resolve(matches[0].ARN)),
			"keep username: "+principal.Matches[0].Username+" and the groups ["+strings.Join(principal.Matches[0].Groups, ", ")+"]",
			"the node role %q would keep an entry that does not make the same nodes, and they would turn NotReady", principal.ARN)
	}
	for _, key := range slices.Sorted(maps.Keys(allowed)) {
		if !used[key] {
			p.Warnf(annotations, "write the ARN of the node role that goes", "%s names %q, which is no node role that this change removes", AllowRemovalAnnotation, allowed[key])
		}
	}
	p.warnOfPathsRemoved()
}

// warnOfPathsRemoved reports entries of nodes that go and never matched, because of the path in their
// ARN. EKS writes the ARN as it was given, and looks for it when it judges the health of a node group.
func (p *Pass) warnOfPathsRemoved() {
	if p.Change.Operation == Delete {
		return // deleted reports it
	}
	for i := range p.Old.Roles {
		e := &p.Old.Roles[i]
		arn, err := e.Principal()
		role, path := arn.WithoutPath()
		if err != nil || !path || e.Dropped != "" || !isNode(e) || p.hasAccessEntry(e.ARN) {
			continue
		}
		kept := len(p.New.MatchesOf(e.ARN)) > 0
		repaired := len(p.New.MatchesOf(role.String())) > 0 && len(p.Old.MatchesOf(role.String())) == 0
		if !kept && !repaired && p.New.Lost(awsauth.MapRoles) == nil {
			p.Warnf(sectionPlace(awsauth.MapRoles), "keep it if EKS has written it, beside one without the path",
				"the entry of %q goes; it never matched, but EKS marks a node group degraded that misses its own", e.ARN)
		}
	}
}
