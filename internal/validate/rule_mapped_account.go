package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var mappedAccount = &Rule{
	ID:       "mapped-account",
	Severity: Warn,
	Title:    "every principal of an account may log in",
	Doc: `
An account in mapAccounts lets in every role, user and session of that account. The username of such a principal is
its ARN (for a session, the ARN of its role), and it gets no groups. It has the rights of system:authenticated, and
the rights that RBAC binds to its ARN as a username. A person who can create a role in that account chooses the
role's name, and with it the username.

Map the roles that need access, and remove the account.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/server/server.go, doMapping",
	Check:  checkMappedAccount,
}

func checkMappedAccount(p *Pass) {
	for _, f := range p.Doc.Accounts {
		if awsauth.IsAccountID(f.Value) {
			p.Reportf(f, "map the roles that need access instead", "every principal of the account %s may log in", f.Value)
		}
	}
}
