package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var malformedARN = &Rule{
	ID:       "malformed-arn",
	Severity: Deny,
	Title:    "an ARN can never be a caller's",
	Doc: `
The authenticator compares the entry's ARN with the caller's as a whole, without case: it knows no
wildcards and trims nothing. An entry whose ARN no IAM role, user or root and no federated user can
have is kept and never found.

Write the principal's ARN as IAM shows it: arn:aws:iam::111122223333:role/NAME.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; pkg/config/mapper.go, Matches; IAM API reference, CreateRole",
	Check:  checkMalformedARN,
}

func checkMalformedARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn := m.Entry.ARN
		if arn == "" || p.isLeftover(arn, false) || fargateProfile.MatchString(arn) && p.runs(fargateProfileARN) {
			continue // missing-arn, leftover-template and fargate-profile-arn report these
		}
		if _, err := m.Entry.Principal(); err != nil {
			bad := awsauth.AsARNError(err)
			p.Reportf(m.ARN, bad.Hint, "%q %s, so the entry never matches a caller", m.ARN.Value, bad.Problem)
		}
	}
}
