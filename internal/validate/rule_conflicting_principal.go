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
	differs := make(map[*awsauth.Entry]*awsauth.Entry) // of those that may answer: the first, and one with other access
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped != "" || m.Entry.ARN == "" {
			continue
		}
		matches := p.Doc.Map.MatchesOf(m.Entry.ARN)
		if len(matches) == 0 {
			continue
		}
		first := matches[0]
		other, known := differs[first]
		if !known {
			if i := slices.IndexFunc(matches, func(e *awsauth.Entry) bool { return !e.SameAccess(first) }); i > 0 {
				other = matches[i]
			}
			differs[first] = other
		}
		if !m.Entry.SameAccess(first) {
			other = first
		}
		const hint = "keep one entry for the ARN, with all its groups"
		switch {
		case other == nil:
		case !m.Entry.Shadowed() && m.Entry.Section == first.Section:
			p.Reportf(m.ARN, hint, "%q is also the ARN of %s, which differs in case, and the authenticator picks one of the two at random", m.ARN.Value, other.Path())
		default:
			p.Reportf(m.ARN, hint, "%q is also the ARN of %s, which takes the place of this entry with other access", m.ARN.Value, other.Path())
		}
	}
}
