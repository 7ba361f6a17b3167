package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var shadowedByAccessEntry = &Rule{
	ID:       "shadowed-by-access-entry",
	Severity: Warn,
	Title:    "the entry has no effect, because the principal has an access entry that gives less",
	Doc: `
A principal with an EKS access entry logs in through it, and the authenticator doesn't look at aws-auth. So an
entry of aws-auth has no effect for this principal, even if it gives more groups. Managed node groups have an
access entry and an entry of aws-auth that give the same; the rule reports only an entry that gives a group that
the access entry doesn't give. This rule runs only if the guard reads the cluster's access entries (eks.enabled).

Remove the entry, and change the access entry if the principal needs more.`,
	Source: "EKS user guide, \"Grant IAM users access to Kubernetes with EKS access entries\"; aws-iam-authenticator v0.7.18, cmd/aws-iam-authenticator/server.go, backend-mode; containers-roadmap#185",
	Check:  checkShadowedByAccessEntry,
}

func checkShadowedByAccessEntry(p *Pass) {
	if p.entries.IgnoreAWSAuth() {
		return // ignored-by-mode reports it
	}
	for _, list := range [][]awsauth.Entry{p.Doc.Map.Roles, p.Doc.Map.Users} {
		for i := range list {
			e := &list[i]
			if e.Dropped != "" || e.Shadowed() {
				continue // it has no effect even without the access entry
			}
			entry := p.entries.Get(e.ARN)
			if entry == nil {
				continue
			}
			if lacks := entry.Lacks(e.Groups); len(lacks) > 0 {
				p.Reportf(p.entryPlace(e), "remove the entry, or change the access entry",
					"%q has an access entry, which wins: the entry has no effect and doesn't give [%s]", e.ARN, strings.Join(lacks, ", "))
			}
		}
	}
}
