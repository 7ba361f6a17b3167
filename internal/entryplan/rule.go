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
	ID       string            // kebab case; never renamed, never reused, and different from the rules of aws-auth
	Severity validate.Severity // Deny or Warn
	Title    string            // the fault, in one line
	Doc      string            // the consequences of the fault and the correction
	Source   string            // the page of AWS, the code or the public report that proves it
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
	// Rules maps the ids of rules to severities that override the rules' own.
	Rules map[string]validate.Severity
	// AdminGroups are the groups, besides system:masters, whose members are admins. EKS refuses system:masters in an access entry.
	AdminGroups []string
	// AccessEntries are the ARNs of principals that have an access entry that is not in the plan. The path of a role is ignored.
	AccessEntries []string
	// WarnOnly turns every denial into a warning.
	WarnOnly bool
}

// Finding is a fault that a rule reports.
type Finding struct {
	Rule     string
	Severity validate.Severity
	// Resource is the address of the Terraform resource; empty for a template.
	Resource string
	awsauth.Position
	// Message is one sentence, lower case, without a full stop, that names the value.
	Message string
	// Hint says how to correct the fault. It may be empty.
	Hint string
	// Exempt is the reason why a denial was turned into a warning, or empty.
	Exempt string
}

// Evaluate runs all rules over a plan. It returns the denials before the warnings, each sorted by position and rule.
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
	more     int // number of findings past maxFindings
}

// maxFindings limits the findings of one rule, as in the rules of aws-auth. Findings past the limit are only counted.
const maxFindings = 1000

// maxValue limits the length in bytes of a value in a message. The rules of aws-auth have the same limit.
const maxValue = 300

// report adds a finding about a field of a resource. The hint says how to correct the fault.
func report[T any](p *pass, r *Resource[T], field, hint, format string, args ...any) {
	if len(p.findings) >= maxFindings {
		p.more++
		return
	}
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = textutil.Shorten(s, maxValue)
		}
	}
	p.findings = append(p.findings, Finding{
		Rule: p.rule.ID, Severity: p.severity, Resource: r.Address, Position: r.at(field),
		Message: fmt.Sprintf(format, args...), Hint: textutil.Shorten(hint, 2*maxValue),
	})
}

// warn adds a finding like report, but as a warning even if the rule's severity is deny.
func warn[T any](p *pass, r *Resource[T], field, hint, format string, args ...any) {
	severity := p.severity
	p.severity = validate.Warn
	report(p, r, field, hint, format, args...)
	p.severity = severity
}

// countRest replaces the last finding with the number of findings that the limit leaves out, if there are any.
func (p *pass) countRest() {
	if p.more == 0 {
		return
	}
	last := &p.findings[len(p.findings)-1]
	last.Message, last.Hint = fmt.Sprintf("%d more findings of this rule", p.more+1), ""
}
