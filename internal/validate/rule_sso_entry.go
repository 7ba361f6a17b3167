package validate

import "cmp"

var ssoEntry = &Rule{
	ID:       "sso-entry",
	Severity: Warn,
	Title:    "an entry uses sso, which is off by default",
	Doc: `
The authenticator matches sso entries only with its feature gate SSORoleMatch, which is alpha and off by default.
AWS doesn't document whether EKS turns the gate on. With the gate off the entry matches no caller. With the gate on,
an entry that names its partition, even aws, still matches no caller.

Write rolearn with the ARN of the role AWSReservedSSO_NAME_SUFFIX, without its path.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/features.go; pkg/config/mapper.go, SSOArnLike",
	Check:  checkSSOEntry,
}

func checkSSOEntry(p *Pass) {
	for m := range p.Doc.Mappings() {
		sso := m.Entry.SSO
		if sso == nil || m.Entry.Dropped != "" {
			continue // missing-arn reports dropped entries
		}
		why := "needs the feature gate SSORoleMatch, which is off by default"
		if sso.Partition != "" {
			why = "names its partition and never matches"
		}
		p.Reportf(m, "write rolearn: arn:"+cmp.Or(sso.Partition, "aws")+":iam::"+sso.AccountID+":role/AWSReservedSSO_"+sso.PermissionSetName+"_SUFFIX",
			"the sso entry for %q "+why, sso.PermissionSetName)
	}
}
