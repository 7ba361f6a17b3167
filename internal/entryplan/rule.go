package entryplan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Rule is one check of a plan. Rules are values without state.
type Rule struct {
	ID       string            // kebab case; never renamed, never reused, and different from the rules of aws-auth
	Severity validate.Severity // Deny or Warn
	Title    string            // the fault, in one line
	Doc      string            // the consequences of the fault and the correction
	Source   string            // the page of AWS, the code or the public report that proves it
	check    func(*pass)
}

// Rules returns every rule: those about one access entry, about access policies, and about the whole plan.
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

// Policy is the part of the configuration that the rules need. The zero Policy enforces every rule at its own severity.
type Policy struct {
	// Rules maps rule ids to severities that replace the rules' own.
	Rules map[string]validate.Severity
	// AdminGroups are the groups whose members are admins, too. EKS refuses system:masters in an access entry.
	AdminGroups []string
	// AccessEntries are the ARNs of principals that have an access entry outside of the plan. A role's path is ignored.
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
	// Hint says how to correct the fault; it may be empty.
	Hint string
	// Exempt is the reason why a denial became a warning; else empty.
	Exempt string
}

// Evaluate runs the rules over a plan. It returns denials first, and then sorts by position and rule.
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

// pass is one run of one rule.
type pass struct {
	*index

	rule     *Rule
	severity validate.Severity
	findings []Finding
	more     int // number of findings past maxFindings
}

// maxFindings limits the findings of one rule, as for aws-auth. Further findings are only counted.
const maxFindings = 1000

// maxValue limits a value within a message, in bytes. It is the limit of the rules of aws-auth.
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

// warn is report for a finding that is a warning even if the rule's severity is deny.
func warn[T any](p *pass, r *Resource[T], field, hint, format string, args ...any) {
	severity := p.severity
	p.severity = validate.Warn
	report(p, r, field, hint, format, args...)
	p.severity = severity
}

// countRest replaces the last finding by a count of the findings past the limit.
func (p *pass) countRest() {
	if p.more == 0 {
		return
	}
	last := &p.findings[len(p.findings)-1]
	last.Message, last.Hint = fmt.Sprintf("%d more findings of this rule", p.more+1), ""
}
