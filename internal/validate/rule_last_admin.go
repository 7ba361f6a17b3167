package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var lastAdmin = &Rule{
	ID:       "last-admin",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "no entry gives an admin group any more",
	Doc: `
Before the change at least one person could log in through aws-auth with an admin group, by default
system:masters, and after it nobody can. Then only the cluster's creator, an access entry or AWS
support can repair aws-auth.

Keep one entry with an admin group, or create an access entry for an administrator first.`,
	Source: "EKS user guide, \"Grant IAM users access to Kubernetes with a ConfigMap\"; containers-roadmap#1209",
	Check:  checkLastAdmin,
}

func checkLastAdmin(p *Pass) {
	before := p.admins(p.Old)
	if len(before) == 0 || len(p.admins(p.New)) > 0 || slices.ContainsFunc(before, p.hasAccessEntry) {
		return
	}
	p.Reportf(wholeObject,
		"keep an entry with the group "+p.Policy.adminGroups()[0],
		"nobody would have an admin group any more (%s); before it was %s",
		strings.Join(p.Policy.adminGroups(), ", "), listed(before))
}

// admins returns the ARNs of the principals that get an admin group, if only at random.
func (p *Pass) admins(m *awsauth.Map) []string {
	var arns []string
	for _, principal := range m.Principals() {
		if certaintyOf(principal.Matches, p.Policy.isAdmin) > never {
			arns = append(arns, principal.ARN)
		}
	}
	return arns
}

// listed names the first few of a list and counts the rest.
func listed(arns []string) string {
	const most = 3
	if len(arns) <= most {
		return strings.Join(arns, ", ")
	}
	return strings.Join(arns[:most], ", ") + ", …"
}
