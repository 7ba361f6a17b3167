package validate

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
system:bootstrappers and system:nodes. Delete the node group before its role.`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; terraform-aws-eks#624, #2289",
	Check:  checkNodeRoleRemoved,
}

func checkNodeRoleRemoved(p *Pass) {
	for _, principal := range p.Old.Principals() {
		before := certaintyOf(principal.Matches, isNode)
		matches := p.New.MatchesOf(principal.ARN)
		if before == never || certaintyOf(matches, isNode) >= before {
			continue
		}
		if len(matches) == 0 {
			p.Reportf(sectionPlace(principal.Matches[0].Section),
				"keep the entry of "+principal.ARN+", or delete the node group first",
				"the node role %q would no longer be mapped, and its nodes would turn NotReady", principal.ARN)
			continue
		}
		p.Reportf(p.Doc.EntryAt(p.New.Resolve(matches[0].ARN)),
			"keep username: system:node:{{EC2PrivateDNSName}} and the groups system:bootstrappers and system:nodes",
			"the node role %q would keep an entry that makes no nodes, and its nodes would turn NotReady", principal.ARN)
	}
}
