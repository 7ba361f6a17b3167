package validate

var rolePath = &Rule{
	ID:       "role-path",
	Severity: Deny,
	Title:    "a role's ARN has a path",
	Doc: `
STS leaves a role's path out of the ARN of its sessions, and the authenticator does not take it out
of the entry. A role's ARN with a path, as IAM shows it, is never found. The roles of IAM Identity
Center all have one: role/aws-reserved/sso.amazonaws.com/REGION/AWSReservedSSO_NAME_SUFFIX.

Write the ARN without the path, arn:aws:iam::ACCOUNT:role/NAME. For users it is the other way
round: a user's path belongs into userarn.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; aws-iam-authenticator#268",
	Check:  checkRolePath,
}

func checkRolePath(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if err != nil || p.isLeftover(m.Entry.ARN, false) {
			continue // malformed-arn and leftover-template report these
		}
		if role, ok := arn.WithoutPath(); ok {
			p.Reportf(m.ARN, "write "+role.String(), "%q has a path, and STS leaves the path out, so it never matches a caller", m.ARN.Value)
		}
	}
}
