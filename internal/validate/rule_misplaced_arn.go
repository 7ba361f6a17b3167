package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var misplacedARN = &Rule{
	ID:       "misplaced-arn",
	Severity: Warn,
	Title:    "mapUsers has an entry for a role, or mapRoles has an entry for a user",
	Doc: `
The authenticator searches mapRoles and then mapUsers, and does not check the kind of principal in an ARN. So the
entry works. But people and tools look for a role in mapRoles only, and an entry of mapRoles takes precedence over
one of mapUsers.

Move a role to mapRoles, and a user to mapUsers.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/mapper.go, Map",
	Exact:  true,
	Check:  checkMisplacedARN,
}

func checkMisplacedARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if err != nil || m.Entry.ARN == "" || m.Entry.Dropped != "" {
			continue // malformed-arn and missing-arn report it
		}
		switch {
		case m.Entry.Section == awsauth.MapUsers && arn.IsRole():
			p.Reportf(m.ARN, "move the entry to mapRoles and write rolearn", "%q is a role, but its entry is in mapUsers", m.ARN.Value)
			p.correctSection(m, awsauth.MapRoles, m.Entry.ARN)
		case m.Entry.Section == awsauth.MapRoles && strings.HasPrefix(arn.Resource, "user/"):
			p.Reportf(m.ARN, "move the entry to mapUsers and write userarn", "%q is a user, but its entry is in mapRoles", m.ARN.Value)
			p.correctSection(m, awsauth.MapUsers, m.Entry.ARN)
		}
	}
}
