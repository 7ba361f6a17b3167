package entryplan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Rule is a check of a plan. A rule has no state.
type Rule struct {
	ID       string            // in kebab case; never renamed or reused, and different from the ids of the rules of aws-auth
	Severity validate.Severity // Deny or Warn
	Title    string            // the fault, in one line
	Doc      string            // the consequences of the fault and the correction
	Source   string            // the page of AWS, the code or the public report that proves the fault
	check    func(*pass)
}

// Rules returns all rules: first those about single access entries, then those about access policies, and then those about the whole plan.
func Rules() []*Rule {
	return []*Rule{
		entryPrincipal,
		entrySSOPath,
		entryUsername,
		entryGroup,
		entryType,
		entryAccount,
		entryMode,
		policyType,
		policyLost,
		lastAdminEntry,
		clusterReplaced,
		modeRefused,
		modeWithoutAdmin,
		modeDropsAWSAuth,
	}
}

// Policy configures the rules. In the zero Policy each rule has the severity that its [Rule] states, and system:masters is the only group
// of admins.
type Policy struct {
	// Rules maps the id of a rule to the severity that overrides the rule's own.
	Rules map[string]validate.Severity
	// AdminGroups are the groups whose members are admins. The rules ignore system:masters in access entries, because EKS refuses it
	// there.
	AdminGroups []string
	// AccessEntries are the ARNs of principals that have an access entry outside the plan. The rules ignore the path of a role.
	AccessEntries []string
	// WarnOnly turns every denial into a warning.
	WarnOnly bool
}

// Finding is a fault that a rule reports.
type Finding struct {
	Rule     string
	Severity validate.Severity
	// Resource is the address of the Terraform resource. It is empty for a template.
	Resource string
	awsauth.Position
	// Message is one sentence that names the value. It begins in lower case and has no full stop.
	Message string
	// Hint says how to correct the fault. It may be empty.
	Hint string
	// Exempt is the reason why a denial became a warning. It is empty for other findings.
	Exempt string
}

// Evaluate runs all rules over a plan. It returns first the denials and then the warnings, both sorted by position and rule.
func Evaluate(plan *Plan, policy Policy) []Finding {
	var findings []Finding
	if plan.Len() == 0 {
		return nil
	}
	shared := newIndex(plan, policy)
	for _, rule := range Rules() {
		severity := cmp.Or(policy.Rules[rule.ID], rule.Severity)
		if severity == validate.Off {
			continue
		}
		p := &pass{index: shared, rule: rule, severity: severity}
		rule.check(p)
		p.countRest()
		findings = append(findings, p.findings...)
	}
	for i := range findings {
		if f := &findings[i]; policy.WarnOnly && f.Severity == validate.Deny {
			f.Severity, f.Exempt = validate.Warn, "mode warn"
		}
	}
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(a.Severity, b.Severity), // "deny" before "warn"
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Resource, b.Resource),
			cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Path, b.Path),
			cmp.Compare(a.Rule, b.Rule),
		)
	})
	return findings
}

// pass is one run of one rule over a plan.
type pass struct {
	*index

	rule     *Rule
	severity validate.Severity
	findings []Finding
	more     int // number of findings beyond maxFindings
}

// maxFindings limits the number of findings of one rule. The rules of aws-auth have the same limit. The last finding says how many
// findings are missing.
const maxFindings = 1000

// maxValue limits the length of a value in a message, in bytes. The rules of aws-auth have the same limit.
const maxValue = 300

// report adds a finding about a field of a resource. The hint says how to correct the fault.
func report[T any](p *pass, r *Resource[T], field, hint, format string, args ...any) {
	if len(p.findings) >= maxFindings {
		p.more++
		return
	}
	textutil.ShortenArgs(args, maxValue)
	p.findings = append(p.findings, Finding{
		Rule: p.rule.ID, Severity: p.severity, Resource: r.Address, Position: r.at(field),
		Message: fmt.Sprintf(format, args...), Hint: textutil.Shorten(hint, 2*maxValue),
	})
}

// warn adds a finding like report. The finding is a warning even if the severity of the rule is deny.
func warn[T any](p *pass, r *Resource[T], field, hint, format string, args ...any) {
	severity := p.severity
	p.severity = validate.Warn
	report(p, r, field, hint, format, args...)
	p.severity = severity
}

// countRest replaces the text of the last finding if there were more findings than maxFindings. The new text says how many findings are
// missing.
func (p *pass) countRest() {
	if p.more == 0 {
		return
	}
	last := &p.findings[len(p.findings)-1]
	last.Message, last.Hint = fmt.Sprintf("%d more findings of this rule", p.more+1), ""
}
