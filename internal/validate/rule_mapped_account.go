package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var mappedAccount = &Rule{
	ID:       "mapped-account",
	Severity: Warn,
	Title:    "every principal of an account may log in",
	Doc: `
An account in mapAccounts lets in every role, user and session of that account, under its ARN as
username and without groups. They get what system:authenticated may do, and whatever somebody binds
to an ARN. Whoever can create a role there can choose the name.

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
