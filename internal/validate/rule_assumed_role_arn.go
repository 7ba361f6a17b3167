package validate

var assumedRoleARN = &Rule{
	ID:       "assumed-role-arn",
	Severity: Deny,
	Title:    "an entry names an STS session instead of an IAM role",
	Doc: `
The authenticator turns a caller's session ARN into the ARN of the role behind it, and only then
searches the entries. It never finds an entry that holds a session ARN, so the session can't log in
through it.

Write the role's own ARN, arn:aws:iam::ACCOUNT:role/NAME.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; aws-iam-authenticator#328",
	Exact:  true,
	Check:  checkAssumedRoleARN,
}

func checkAssumedRoleARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if err != nil {
			continue // malformed-arn reports it
		}
		if role, ok := arn.SessionRole(); ok {
			p.Reportf(m.ARN, hintInSection("write "+role.String(), m), "%q is an STS session and never matches a caller", m.ARN.Value)
			p.correctValue(m.ARN, role.String(), false)
		}
	}
}
