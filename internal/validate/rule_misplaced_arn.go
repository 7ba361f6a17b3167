package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var misplacedARN = &Rule{
	ID:       "misplaced-arn",
	Severity: Warn,
	Title:    "a role stands in mapUsers, or a user in mapRoles",
	Doc: `
The authenticator looks for every caller in both lists and does not check what kind of principal an
ARN names, so the entry works. It misleads whoever looks for it: mapRoles is asked first, and tools
search a role in mapRoles only.

Move the entry to the list of its kind.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/mapper.go, Map",
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
			p.Reportf(m.ARN, "move the entry to mapRoles and write rolearn", "%q is a role, and stands in mapUsers", m.ARN.Value)
		case m.Entry.Section == awsauth.MapRoles && strings.HasPrefix(arn.Resource, "user/"):
			p.Reportf(m.ARN, "move the entry to mapUsers and write userarn", "%q is a user, and stands in mapRoles", m.ARN.Value)
		}
	}
}
