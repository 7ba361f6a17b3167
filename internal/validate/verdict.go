package validate

import (
	"maps"
	"runtime/debug"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Action is the guard's decision on a change.
type Action string

// ActionDeny means that there is at least one denial. ActionWarn means that there is no denial, but a finding or an
// override. ActionAllow means that there is none of these.
const (
	ActionAllow Action = "allow"
	ActionWarn  Action = "warn"
	ActionDeny  Action = "deny"
)

// InternalError is used in place of a rule id if the guard fails outside a rule.
const InternalError = "internal-error"

// Verdict is the result of evaluating a change.
type Verdict struct {
	Action Action
	// Findings holds all findings in a stable order. Denials come first. Among findings of the same severity, the faults of
	// the document come before the losses and gains that they cause, and the faults of the request come last. Findings of
	// rules of the same scope are sorted by position.
	Findings []Finding
	// WouldDeny holds the sorted ids of the rules whose denials became warnings because the change is exempt: EKS makes
	// it, the guard restores a version, the change is only observed, or the mode is warn.
	WouldDeny []string
	// Changed reports whether the effective access may differ after the change. It is false for an update that keeps the
	// content of aws-auth, and also if the guard failed while it decoded the change.
	Changed bool
	// Overrides holds the overrides that the request used. It is empty if the guard refuses the change.
	Overrides []Override
	// Access lists the principals whose effective access differs before and after the change.
	Access []awsauth.AccessChange
	// Failed holds the panics of rules, and of the guard outside of the rules. Each of them has a finding, too.
	Failed []RuleFailure
}

// RuleFailure is a panic of a rule, or of the guard outside of the rules.
type RuleFailure struct {
	Rule  string // its id, or InternalError
	Panic any
	Stack []byte
}

// Rules returns the ids of the rules that have findings, sorted.
func (v Verdict) Rules() []string { return v.rules(func(Finding) bool { return true }) }

// Denied returns the ids of the rules that refuse the change, sorted.
func (v Verdict) Denied() []string {
	return v.rules(func(f Finding) bool { return f.Severity == Deny })
}

func (v Verdict) rules(keep func(Finding) bool) []string {
	set := make(map[string]bool)
	for _, f := range v.Findings {
		if keep(f) {
			set[f.Rule] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// Evaluate runs the rules over a change and decides:
//
//   - A denial of a pre-existing document fault becomes a warning, and a pre-existing warning is dropped. So users can
//     repair a broken map step by step.
//   - A denial becomes a warning if a requester with the right to do so breaks the glass, if EKS makes the request, if
//     the guard restores a version, if the request came on the observing path, or if the mode is warn.
//   - In the authentication mode API, the rules only warn, and the rules about lost or gained access don't run.
//
// A fault is pre-existing in these cases. The last two apply only to denials:
//
//   - The old object had it.
//   - The change edited the element, removed a fault and added none.
//   - The old object held the text in a place where the authenticator did not read it.
//
// The access that an element gives is pre-existing only if the same principal had it before. The faults of a rule with
// [Rule.AlwaysNew] are never pre-existing.
//
// A panic of a rule counts as a denial.
func Evaluate(c Change, policy Policy) Verdict {
	return NewEvaluation(c, policy).Verdict(Answers{IAM: c.IAM, BreakGlass: c.Requester.BreakGlass})
}

// ruleRun holds a change, and collects the findings of the rules that run over it.
type ruleRun struct {
	change    Change
	policy    Policy
	findings  []Finding
	overrides []Override
	access    []awsauth.AccessChange
	failed    []RuleFailure
}

func (j *ruleRun) verdict(r *Evaluation) Verdict {
	j.run(r)
	c := circumstancesOf(j.change, j.policy)
	d := decide(c, j.findings, len(j.overrides) > 0)
	v := Verdict{Action: d.action, Findings: j.findings, WouldDeny: d.wouldDeny, Changed: r.decoded, Access: j.access, Failed: j.failed}
	if v.Action != ActionDeny { // an override has no effect on a change that is refused
		v.Overrides = j.overrides
	}
	if d.brokeGlass {
		v.Overrides = append(v.Overrides, Override{BreakGlass, c.breakGlass})
	}
	return v
}

func (j *ruleRun) run(r *Evaluation) {
	c, pass := j.change, r.pass
	pass.entries = j.policy.entries()
	j.findings = append(j.findings, j.runRules(OfRequest, pass)...)
	if !r.decoded {
		return
	}
	if c.Operation != Delete {
		findings := j.runRules(OfDocument, pass)
		if len(findings) > 0 && c.Old != nil {
			j.guard(InternalError, func() { findings = j.softenPreexisting(findings, pass) })
		}
		j.findings = append(j.findings, findings...)
	}
	j.findings = append(j.findings, j.runRules(OfChange, pass)...)
}

// runRules runs the rules of one scope, each with a Pass of its own. In the authentication mode API, aws-auth has no
// effect. Then rules of the document and of the request only warn, and ignored-by-mode is the only rule of the change
// that runs.
func (j *ruleRun) runRules(scope Scope, with *Pass) []Finding {
	var findings []Finding
	ignored := with.entries.IgnoreAWSAuth()
	for _, rule := range Rules() {
		severity := j.policy.severity(rule)
		if rule.Scope != scope || severity == Off || scope == OfChange && ignored && rule != ignoredByMode {
			continue
		}
		if ignored {
			severity = Warn
		}
		p := *with
		p.rule, p.severity = rule, severity
		j.guard(rule.ID, func() { rule.Check(&p) })
		p.countRest()
		findings = append(findings, p.findings...)
		for _, o := range p.overrides {
			if !slices.Contains(j.overrides, o) {
				j.overrides = append(j.overrides, o)
			}
		}
	}
	return findings
}

// guard runs a function. If the function panics, guard records a denial with the id of the rule and returns false. The
// denial counts like that of a rule: it refuses the change, unless the change is exempt or the requester breaks the
// glass.
func (j *ruleRun) guard(rule string, run func()) (ok bool) {
	defer func() {
		panicked := recover()
		if panicked == nil {
			return
		}
		ok = false
		j.failed = append(j.failed, RuleFailure{rule, panicked, debug.Stack()})
		j.findings = append(j.findings, Finding{
			Rule: rule, Severity: Deny, Position: wholeObject,
			Message: "the guard failed while it evaluated this change",
			Hint:    "report this as a bug of awsauth-guard; its log has the details",
		})
	}()
	run()
	return true
}

// hasAccessEntry reports whether the principal has an access entry. If so, aws-auth has no effect on the principal.
func (p *Pass) hasAccessEntry(arn string) bool { return p.entries.Has(arn) }

// override records that the request overruled a finding. The rule does not report this finding.
func (p *Pass) override(kind, detail string) {
	p.overrides = append(p.overrides, Override{kind, detail})
}
