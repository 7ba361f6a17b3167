package validate

import (
	"maps"
	"slices"

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

Keep the entry as it was, with username: system:node:{{EC2PrivateDNSName}} and the groups
system:bootstrappers and system:nodes. To retire a node role, delete its node group and set the
annotation awsauth-guard.io/allow-removal to the role's ARN in the same change.`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; terraform-aws-eks#624, #2289",
	Check:  checkNodeRoleRemoved,
}

func checkNodeRoleRemoved(p *Pass) {
	allowed, used := p.Change.allowedRemovals(), make(map[string]bool)
	for _, principal := range p.Old.Principals() {
		before := certaintyOf(principal.Matches, isNode)
		if p.hasAccessEntry(principal.ARN) {
			continue
		}
		matches := p.New.MatchesOf(principal.ARN)
		if before == never || certaintyOf(matches, isNode) >= before {
			continue
		}
		if _, ok := allowed[awsauth.PrincipalKey(principal.ARN)]; ok {
			p.override(AllowRemoval, principal.ARN)
			used[awsauth.PrincipalKey(principal.ARN)] = true
			continue
		}
		if len(matches) == 0 {
			hint := "keep the entry of " + principal.ARN
			if p.Change.Operation != Delete {
				hint += ", or set the annotation " + AllowRemovalAnnotation + " to this ARN"
			}
			p.Reportf(sectionPlace(principal.Matches[0].Section), hint,
				"the node role %q would no longer be mapped, and its nodes would turn NotReady", principal.ARN)
			continue
		}
		p.Reportf(p.Doc.EntryAt(p.New.Resolve(matches[0].ARN)),
			"keep username: system:node:{{EC2PrivateDNSName}} and the groups system:bootstrappers and system:nodes",
			"the node role %q would keep an entry that makes no nodes, and its nodes would turn NotReady", principal.ARN)
	}
	for _, key := range slices.Sorted(maps.Keys(allowed)) {
		if !used[key] {
			p.Warnf(annotations, "write the ARN of the node role that goes", "%s names %q, which is no node role that this change removes", AllowRemovalAnnotation, allowed[key])
		}
	}
}
