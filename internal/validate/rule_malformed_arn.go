package validate

import (
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var malformedARN = &Rule{
	ID:       "malformed-arn",
	Severity: Deny,
	Title:    "no caller can have the entry's ARN",
	Doc: `
The authenticator compares the entry's whole ARN with the caller's, without case. It has no wildcards and
does not trim spaces. If no IAM role, user, account root or federated user can have the ARN, the entry never
matches a caller, and the authenticator reports no error.

Two ARNs are well-formed and almost certainly wrong, so the rule warns: a user whose path is another ARN, and a role of
IAM Identity Center without its suffix.

Write the principal's ARN as IAM shows it: arn:aws:iam::111122223333:role/NAME.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; pkg/config/mapper.go, Matches; IAM API reference, CreateRole; IAM Identity Center user guide, \"Referencing permission sets in resource policies\"; terraform-aws-eks#1757, #2022",
	Check:  checkMalformedARN,
}

func checkMalformedARN(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn := m.Entry.ARN
		if arn == "" || p.isLeftover(arn, false) || fargateProfile.MatchString(arn) && p.runs(fargateProfileARN) {
			continue // missing-arn, leftover-template and fargate-profile-arn report these
		}
		principal, err := m.Entry.Principal()
		switch inner, nested := awsauth.NestedARN(arn); {
		case err != nil:
			p.reportMalformed(m, awsauth.AsARNError(err))
		case nested: // IAM allows a user such a path
			p.Warnf(m.ARN, innerHint(inner), "%q has an ARN inside an ARN, so the entry matches only a user with this path", m.ARN.Value)
		case principal.LacksSSOSuffix():
			right := principal
			right.Resource = "role/" + principal.Name() + "_SUFFIX"
			p.Warnf(m.ARN, "write "+right.String()+" with the suffix that IAM shows",
				"%q lacks the suffix of IAM Identity Center, an underscore and 16 hexadecimal digits, and such a role can't exist", m.ARN.Value)
		}
	}
}

// reportMalformed reports an ARN that no caller can have. If YAML folds another line into the ARN, it names that line.
func (p *Pass) reportMalformed(m awsauth.Mapping, bad *awsauth.ARNError) {
	problem, hint := bad.Problem, bad.Hint
	if line, at, ok := m.ARN.Folded(); ok {
		first, _, _ := strings.Cut(m.ARN.Value, " ")
		if arn, err := awsauth.ParseARN(first); err == nil {
			at = p.Doc.Locate(at)
			problem = fmt.Sprintf("has line %d, %q, folded into it, because column %d is deeper than the key of the ARN", at.Line, line, at.Column)
			hint = fmt.Sprintf("write %s, and move %q below groups", arn, line)
			if !strings.HasPrefix(line, "- ") {
				hint = fmt.Sprintf("write %s, and write %q as a comment", arn, line)
			}
		} else if arn, err := awsauth.ParseARN(awsauth.Squeeze(m.ARN.Value)); err == nil {
			problem, hint = "is on two lines, between which YAML writes a space", "write "+arn.String()
		}
	}
	p.Reportf(m.ARN, hint, "%q %s, so the entry never matches a caller", m.ARN.Value, problem)
}

// innerHint returns the hint for an ARN inside the ARN of a user.
func innerHint(inner string) string {
	arn, err := awsauth.ParseARN(inner)
	switch {
	case err != nil:
		return "write the ARN of one role or user"
	case arn.IsRole():
		return "write " + inner + " in mapRoles"
	}
	return "write " + inner
}
