package validate

import (
	"maps"
	"runtime/debug"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Action is what happens to a change.
type Action string

// Refuse stands for at least one denial, WarnOnly for findings or overrides without one, Allow
// for none.
const (
	Allow    Action = "allow"
	WarnOnly Action = "warn"
	Refuse   Action = "deny"
)

// InternalError stands in place of a rule's id where the guard itself failed outside of a rule.
const InternalError = "internal-error"

// Verdict is the answer to a change.
type Verdict struct {
	Action Action
	// Findings holds all findings in a stable order: denials first, faults of the
	// document before what follows from them, then by place.
	Findings []Finding
	// WouldDeny holds the rules whose denials became warnings because of who asks or because of
	// mode warn, sorted.
	WouldDeny []string
	// Changed reports whether the authenticator may load something else after the change.
	Changed bool
	// Overrides are what the request overruled.
	Overrides []Override
	// Access is who gains and loses what.
	Access []awsauth.AccessChange
	// Failed are the rules that panicked. Each has a finding, too.
	Failed []RuleFailure
}

// RuleFailure is a rule that panicked.
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

// Judge runs the rules over a change and decides. It alone decides what is new in a change, and
// what becomes of a denial:
//
//   - A fault of the document that stood in the old object becomes a warning, and a warning that stood
//     there is left out. So does a fault of an element that was edited to have fewer, and one that
//     the old object's text held where the authenticator could not read it: a broken map can be
//     repaired step by step. What an element gives somebody is old only where they had it before.
//     Faults of a rule that is [Rule.AlwaysNew] are never old.
//   - A denial becomes a warning where the requester may break the glass and does, where EKS or the guard itself
//     asks, on the path that only observes, and in mode warn.
//
// A panic in a rule is a denial by that rule.
func Judge(c Change, policy Policy) Verdict { return Read(c, policy).Judge(c.IAM) }

// judgement collects what the rules say about one change.
type judgement struct {
	change    Change
	policy    Policy
	findings  []Finding
	overrides []Override
	access    []awsauth.AccessChange
	failed    []RuleFailure
}

func (j *judgement) judge(r *Reading) Verdict {
	j.run(r)
	c := circumstancesOf(j.change, j.policy)
	d := decide(c, j.findings, len(j.overrides) > 0)
	v := Verdict{Action: d.action, Findings: j.findings, WouldDeny: d.wouldDeny, Changed: r.decoded, Access: j.access, Failed: j.failed}
	if v.Action != Refuse { // otherwise the request overruled nothing after all
		v.Overrides = j.overrides
	}
	if d.brokeGlass {
		v.Overrides = append(v.Overrides, Override{BreakGlass, c.breakGlass})
	}
	return v
}

func (j *judgement) run(r *Reading) {
	c, pass := j.change, r.pass
	j.findings = append(j.findings, j.runRules(OfRequest, pass)...)
	if !r.decoded {
		return
	}
	pass.entries = access.NewEntries(j.policy.AccessEntries)
	if c.Operation != Delete {
		findings := j.runRules(OfDocument, pass)
		if len(findings) > 0 && c.Old != nil {
			j.guard(InternalError, func() { findings = j.excuseOldFaults(findings, pass) })
		}
		j.findings = append(j.findings, findings...)
	}
	j.findings = append(j.findings, j.runRules(OfChange, pass)...)
}

// runRules runs the rules of one scope, each with a Pass of its own.
func (j *judgement) runRules(scope Scope, with *Pass) []Finding {
	var findings []Finding
	for _, rule := range Rules() {
		severity := j.policy.severity(rule)
		if rule.Scope != scope || severity == Off {
			continue
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

// guard runs a function and turns a panic into a denial under a rule's id: what could not be
// judged never looks like fine.
func (j *judgement) guard(rule string, run func()) (ok bool) {
	defer func() {
		panicked := recover()
		if panicked == nil {
			return
		}
		ok = false
		j.failed = append(j.failed, RuleFailure{rule, panicked, debug.Stack()})
		j.findings = append(j.findings, Finding{
			Rule: rule, Severity: Deny, Place: wholeObject,
			Message: "the guard failed while it judged this change, and refuses what it cannot judge",
			Hint:    "report this as a bug of awsauth-guard; its log has the details",
		})
	}()
	run()
	return true
}

// hasAccessEntry reports whether the operator has declared that an access entry lets the
// principal in.
func (p *Pass) hasAccessEntry(arn string) bool { return p.entries.Has(arn) }

// override records that the request overruled what the rule would have reported.
func (p *Pass) override(kind, detail string) {
	p.overrides = append(p.overrides, Override{kind, detail})
}
