package validate

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Action is what happens to a change.
type Action string

// Refuse stands for at least one denial, WarnOnly for findings without one, Allow for none.
const (
	Allow    Action = "allow"
	WarnOnly Action = "warn"
	Refuse   Action = "deny"
)

// Verdict is the answer to a change.
type Verdict struct {
	Action Action
	// Findings holds all findings in a stable order: denials first, faults of the
	// document before what follows from them, then by place.
	Findings []Finding
	// WouldDeny holds the rules whose denials became warnings because of who asks, sorted.
	WouldDeny []string
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

// Judge runs the rules over a change and decides. It alone decides what is new in a change:
//
//   - A fault of the document that stood in the old object becomes a warning. So does one of an
//     element that was edited to have fewer faults, and one that the old object's text held where
//     the authenticator could not read it: a broken map can be repaired step by step.
//   - A requester of EKS itself is never refused.
func Judge(c Change, policy Policy) Verdict {
	if c.Operation == Update && c.New.SameContent(c.Old) {
		return Verdict{Action: Allow}
	}
	before, after := awsauth.ParseChange(c.Old, c.New)
	pass := &Pass{Doc: after, Old: before, New: after.Map, Change: c, Policy: policy}
	var findings []Finding
	if c.Operation != Delete {
		findings = runRules(OfDocument, pass)
		if len(findings) > 0 && c.Old != nil {
			excuseOldFaults(findings, after, c.Old)
		}
	}
	findings = append(findings, runRules(OfChange, pass)...)
	verdict := Verdict{Action: Allow}
	if c.Requester.IsEKS() {
		verdict.WouldDeny = Verdict{Findings: findings}.Denied()
		for i := range findings {
			findings[i].Severity = Warn
		}
	}
	sortFindings(findings)
	verdict.Findings = findings
	switch {
	case len(verdict.Denied()) > 0:
		verdict.Action = Refuse
	case len(findings) > 0:
		verdict.Action = WarnOnly
	}
	return verdict
}

// runRules runs the rules of one scope, each with a Pass of its own.
func runRules(scope Scope, with *Pass) []Finding {
	var findings []Finding
	for _, rule := range Rules() {
		if rule.Scope != scope {
			continue
		}
		p := *with
		p.rule = rule
		rule.Check(&p)
		if p.more > 0 {
			more := p.more
			p.more, p.findings = 0, p.findings[:maxFindings-1]
			p.Reportf(wholeObject, "", "%d more findings of this rule", more+1)
		}
		findings = append(findings, p.findings...)
	}
	return findings
}
