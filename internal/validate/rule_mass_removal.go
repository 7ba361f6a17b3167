package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var massRemoval = &Rule{
	ID:       "mass-removal",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "more than half of the principals lose their access",
	Doc: `
Tools that write the whole map from their own list remove the entries that other tools have added. A change
that takes away the access of more than half of all mapped principals and accounts is rarely intended.

Compare with kubectl awsauth diff OLD NEW, and keep the entries that are in use.`,
	Source: "terraform-aws-eks#2873; aws-eks-iam-auth-controller#2",
	Check:  checkMassRemoval,
}

func checkMassRemoval(p *Pass) {
	if p.Change.Operation == Delete || slices.ContainsFunc(awsauth.Sections(), p.newlyLost) {
		return // deleted, yaml-syntax and not-a-list report these
	}
	before, _ := p.effective(p.Old)
	allowed := p.Change.allowedRemovals()
	gone := 0
	for _, c := range p.Access {
		if _, meant := allowed[awsauth.PrincipalKey(c.ARN)]; (c.Gone && !c.ByAccount || c.InstancesOnly) && !meant && !p.hasAccessEntry(c.ARN) {
			gone++
		}
	}
	if 2*gone > before && !p.leftToEmptied() {
		p.Reportf(wholeObject, "keep the entries that are in use", "the change takes away the access of %d of %s", gone, counted(before))
	}
}
