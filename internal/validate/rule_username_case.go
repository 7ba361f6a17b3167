package validate

import (
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var usernameCase = &Rule{
	ID:       "username-case",
	Severity: Warn,
	Title:    "a username in mapRoles has capital letters",
	Doc: `
Kubernetes compares usernames with case, and AWS asks for usernames in lower case in mapRoles, because logins
with capital letters have failed. The rule ignores the rendered text of a template, and ARNs as usernames.

Write the username in lower case, also in the RBAC bindings that name it.`,
	Source: "AWS re:Post knowledge center, \"How do I resolve the Unauthorized server error when I connect to the Amazon EKS API server\"",
	Check:  checkUsernameCase,
}

func checkUsernameCase(p *Pass) {
	for _, m := range p.Doc.Roles {
		username := m.Username.Value
		if strings.HasPrefix(username, "arn:") || strings.HasPrefix(username, "system:node:") || !strings.ContainsFunc(awsauth.WithoutTemplates(username), unicode.IsUpper) || p.isLeftover(username, true) {
			continue
		}
		p.Reportf(m.Username, "write it in lower case", "the username %q has capital letters", username)
	}
}
