package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var shadowedByAccessEntry = &Rule{
	ID:       "shadowed-by-access-entry",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "the entry has no effect, because the principal has an access entry that gives less",
	Doc: `
A principal with an EKS access entry logs in through it, and the authenticator doesn't look at aws-auth. So an entry
of aws-auth has no effect for this principal, even if it gives more groups. The role of a managed node group has
both, and both give the same groups. So the rule reports an entry only if it gives a group that the access entry
doesn't give, and only if the change gives the principal access or a group. This rule runs only if the guard reads
the cluster's access entries (eks.enabled).

Remove the entry, and change the access entry if the principal needs more.`,
	Source: "EKS user guide, \"Grant IAM users access to Kubernetes with EKS access entries\"; aws-iam-authenticator v0.7.18, cmd/aws-iam-authenticator/server.go, backend-mode; containers-roadmap#185",
	Check:  checkShadowedByAccessEntry,
}

func checkShadowedByAccessEntry(p *Pass) {
	if p.Change.Operation == Document {
		for _, principal := range p.New.Principals() {
			p.checkShadowed(principal.ARN, principal.Matches)
		}
		return
	}
	for i := range p.Access {
		if c := &p.Access[i]; c.New || len(c.Gained) > 0 {
			p.checkShadowed(c.ARN, c.After)
		}
	}
}

// checkShadowed reports the groups in the first of a principal's entries that the principal's access entry doesn't give.
func (p *Pass) checkShadowed(arn string, matches []*awsauth.Entry) {
	entry := p.entries.Get(arn)
	if entry == nil || len(matches) == 0 {
		return
	}
	if lacks := entry.Lacks(matches[0].Groups); len(lacks) > 0 {
		p.Reportf(p.entryPlace(matches[0]), "leave out "+groupList(lacks)+" or change the access entry",
			"the entry of %q has no effect: EKS uses the access entry, which doesn't give [%s]", arn, strings.Join(lacks, ", "))
	}
}
