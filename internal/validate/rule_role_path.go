package validate

var rolePath = &Rule{
	ID:       "role-path",
	Severity: Deny,
	Title:    "a role's ARN has a path",
	Doc: `
STS leaves a role's path out of the ARN of its sessions, and the authenticator does not remove the path from the
entry. So an entry with a role's path never matches a caller, although IAM shows the ARN with the path. All roles of
IAM Identity Center have a path: role/aws-reserved/sso.amazonaws.com/REGION/AWSReservedSSO_NAME_SUFFIX.

Write the ARN without the path, arn:aws:iam::ACCOUNT:role/NAME. For a user, keep the path: it is part of the ARN
that userarn needs.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; aws-iam-authenticator#268",
	Exact:  true,
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
			p.correctValue(m.ARN, role.String(), false)
		}
	}
}
