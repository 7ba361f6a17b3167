package validate

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var malformedARN = &Rule{
	ID:       "malformed-arn",
	Severity: Deny,
	Title:    "no caller can have the entry's ARN",
	Doc: `
The authenticator compares the entry's whole ARN with the ARN of the caller, and ignores case. It has no wildcards
and does not trim spaces. If no IAM role, user, account root or federated user can have the ARN, the entry never
matches a caller, and the authenticator reports no error.

Two kinds of ARNs are well-formed but almost certainly wrong, so the rule only warns: a user whose path is another
ARN, and a role of IAM Identity Center without its suffix.

Write the principal's ARN as IAM shows it: arn:aws:iam::111122223333:role/NAME.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/arn/arn.go, Canonicalize; pkg/config/mapper.go, Matches; IAM API reference, CreateRole; IAM Identity Center user guide, \"Referencing permission sets in resource policies\"; terraform-aws-eks#1757, #2022",
	Exact:  true,
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
			p.warnSSOSuffix(m, principal)
		}
	}
}

// reportMalformed reports an ARN that no caller can have. If YAML folds another line into the ARN, the message names
// that line.
func (p *Pass) reportMalformed(m awsauth.Mapping, bad *awsauth.ARNError) {
	problem, hint := bad.Problem, bad.Hint
	folded := false
	if line, at, ok := m.ARN.Folded(); ok {
		first, _, _ := strings.Cut(m.ARN.Value, " ")
		if arn, err := awsauth.ParseARN(first); err == nil {
			at = p.Doc.Locate(at)
			problem = fmt.Sprintf("has line %d, %q, folded into it, because column %d is deeper than the key of the ARN", at.Line, line, at.Column)
			hint = fmt.Sprintf("write %s, and move %q below groups", arn, line)
			folded = strings.HasPrefix(line, "- ")
			if !strings.HasPrefix(line, "- ") {
				hint = fmt.Sprintf("write %s, and write %q as a comment", arn, line)
			}
		} else if arn, err := awsauth.ParseARN(awsauth.Squeeze(m.ARN.Value)); err == nil {
			problem, hint = "is split over two lines, which YAML joins with a space", "write "+arn.String()
		}
	}
	p.Reportf(m.ARN, hintInSection(hint, m), "%q %s, so the entry never matches a caller", m.ARN.Value, problem)
	if folded {
		p.correctFolded(m, m.ARN)
	} else if p.corrects {
		p.correctARN(m.ARN, hint)
	}
}

// correctARN adds the correction for a hint of the form "write ARN". It does nothing if the name in the ARN is NAME, because only a person
// knows the right name.
func (p *Pass) correctARN(f awsauth.Field, hint string) {
	text, ok := strings.CutPrefix(hint, "write ")
	if arn, err := awsauth.ParseARN(text); ok && err == nil && arn.Name() != "NAME" {
		p.correctValue(f, text, false)
	}
}

// warnSSOSuffix warns about a role of IAM Identity Center whose name lacks the suffix of such roles.
func (p *Pass) warnSSOSuffix(m awsauth.Mapping, role awsauth.ARN) {
	problem := "lacks the suffix that IAM Identity Center adds (_ and 16 hexadecimal digits)"
	name, digits, ok := role.SSODigits()
	if ok {
		problem = fmt.Sprintf("has %d digits at its end, and the suffix of IAM Identity Center has 16", len(digits))
	} else {
		name = role.Name()
	}
	role.Resource = "role/" + name + "_SUFFIX"
	p.Warnf(m.ARN, "write "+role.String()+" with the suffix that IAM shows", "%q %s, so no such role can exist", m.ARN.Value, problem)
}

// arnInHint matches the ARN of a role or user in the text of a hint.
var arnInHint = regexp.MustCompile(`\barn:\S+:(role|user)/\S+`)

// hintInSection adapts a hint to the section of the element. In mapUsers, a hint for roles and users becomes a hint for
// users only. If the ARN in the hint belongs in the other section, hintInSection adds the name of that section.
func hintInSection(hint string, m awsauth.Mapping) string {
	own, other := "role", "mapUsers"
	if m.Entry.Section == awsauth.MapUsers {
		own, other = "user", "mapRoles"
		hint = strings.Replace(hint, "an IAM role or user, such as arn:aws:iam::111122223333:role/", "an IAM user, such as arn:aws:iam::111122223333:user/", 1)
		if role, ok := strings.CutSuffix(hint, " with user/ instead of role/ if it is a user"); ok {
			hint = strings.Replace(role, ":role/", ":user/", 1)
		}
	}
	if at := arnInHint.FindStringSubmatchIndex(hint); len(at) > 0 && hint[at[2]:at[3]] != own {
		return hint[:at[1]] + " in " + other + hint[at[1]:]
	}
	return hint
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
