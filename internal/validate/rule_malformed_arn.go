package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var malformedARN = &Rule{
	ID:       "malformed-arn",
	Severity: Deny,
	Title:    "no caller can have the entry's ARN",
	Doc: `
The authenticator compares the entry's whole ARN with the caller's, without case. It has no wildcards and
does not trim spaces. If no IAM role, user, account root or federated user can have the ARN, the entry never
matches a caller, and the authenticator reports no error.

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
