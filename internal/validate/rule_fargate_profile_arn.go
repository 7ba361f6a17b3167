package validate

import "regexp"

var fargateProfileARN = &Rule{
	ID:       "fargate-profile-arn",
	Severity: Deny,
	Title:    "the ARN names a Fargate profile instead of its pod execution role",
	Doc: `
Fargate nodes log in as the pod execution role of their profile. The profile itself is not a principal, and
an entry with its ARN never matches. So the pods of the profile stay pending.

Write the role's ARN, which aws eks describe-fargate-profile shows as podExecutionRoleArn.`,
	Source: "EKS user guide, \"Amazon EKS Pod execution IAM role\"; terraform-aws-eks#1819",
	Check:  checkFargateProfileARN,
}

var fargateProfile = regexp.MustCompile(`(?i)^[\s\p{Z}\p{Cf}]*arn:[^:]*:eks:[^:]*:[^:]*:fargateprofile/`)

func checkFargateProfileARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		if fargateProfile.MatchString(m.ARN.Value) {
			p.Reportf(m.ARN, "write the profile's podExecutionRoleArn, arn:aws:iam::ACCOUNT:role/NAME",
				"%q is a Fargate profile and not a principal, so the entry never matches a caller", m.ARN.Value)
		}
	}
}
