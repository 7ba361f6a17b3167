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
	before, was := p.admins(p.Old)
	_, is := p.admins(p.New)
	if is >= was || slices.ContainsFunc(before, p.hasAccessEntry) {
		return
	}
	how := ""
	if is == sometimes {
		how = " for certain"
	}
	hint := "keep an entry with the group " + p.Policy.adminGroups()[0]
	if p.Change.Operation != Delete {
		hint = p.remedy(hint, "", before...)
	}
	p.Reportf(wholeObject, hint,
		"nobody would have an admin group%s any more (%s); before it was %s", how,
		strings.Join(p.Policy.adminGroups(), ", "), listed(before))
}

// admins returns the ARNs of the principals that get an admin group, if only at random, and how
// certain that is for the most certain of them.
func (p *Pass) admins(m *awsauth.Map) (arns []string, most certainty) {
	for _, principal := range m.Principals() {
		if c := certaintyOf(principal.Matches, p.Policy.isAdmin); c > never {
			arns = append(arns, principal.ARN)
			most = max(most, c)
		}
	}
	return arns, most
}

// listed names the first few of a list and counts the rest.
func listed(arns []string) string {
	const most = 3
	if len(arns) <= most {
		return strings.Join(arns, ", ")
	}
	return strings.Join(arns[:most], ", ") + ", …"
}
