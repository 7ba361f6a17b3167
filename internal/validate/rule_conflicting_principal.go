package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var conflictingPrincipal = &Rule{
	ID:       "conflicting-principal",
	Severity: Deny,
	Title:    "one ARN has entries that give different access",
	Doc: `
Of entries of mapRoles with the same ARN, in any case, the last one counts: groups are not merged,
and a later entry with fewer groups takes the others away. mapRoles is asked before mapUsers. Of
entries of mapUsers whose ARNs differ in case only, the authenticator picks one at random for each
request.

Keep one entry for each ARN, with all its groups.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap and UserMapping; pkg/config/mapper.go, Key",
	Check:  checkConflictingPrincipal,
}

func checkConflictingPrincipal(p *Pass) {
	for _, list := range [][]awsauth.Mapping{p.Doc.Roles, p.Doc.Users} {
		for _, m := range list {
			if m.Entry.Dropped != "" || m.Entry.ARN == "" {
				continue
			}
			matches := p.Doc.Map.MatchesOf(m.Entry.ARN)
			i := slices.IndexFunc(matches, func(e *awsauth.Entry) bool { return !e.SameAccess(m.Entry) })
			switch {
			case i < 0:
			case slices.Contains(matches, m.Entry):
				p.Reportf(m.ARN, "keep one entry for the ARN, with all its groups", "%q is also the ARN of %s, which differs in case, and the authenticator picks one of the two at random", m.ARN.Value, matches[i].Path())
			default:
				p.Reportf(m.ARN, "keep one entry for the ARN, with all its groups", "%q is also the ARN of %s, which takes the place of this entry with other access", m.ARN.Value, matches[i].Path())
			}
		}
	}
}
