// Package validate holds the rules of aws-auth and the verdict over a change.
//
// The package is pure: documents and facts in, findings out. Rules say what is wrong; what is
// new in a change, and whether it is refused, is decided in [Judge] alone.
package validate

import (
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Severity is what a finding of a rule does to a change.
type Severity string

// Deny refuses the change; it is for what certainly locks people out or lets people in.
// Warn lets the change pass with a warning. Off is for configurations alone: the rule is not run.
const (
	Deny Severity = "deny"
	Warn Severity = "warn"
	Off  Severity = "off"
)

// Scope is what a rule looks at.
type Scope int

// A rule of the document judges one version of the object by itself. A rule of the change
// compares who could get in before and after. A rule of the request is about the request itself
// and is asked even where the content stays the same.
const (
	OfDocument Scope = iota
	OfChange
	OfRequest
)

// Rule is one promise of the guard. Rules are values; they hold no state.
type Rule struct {
	ID       string // kebab case; never renamed, never reused
	Severity Severity
	Scope    Scope
	Title    string // one line: what is wrong
	Doc      string // why it hurts and what to write instead
	Source   string // where the authenticator, AWS or Kubernetes says so
	Check    func(*Pass)
	// NeverDenies: its findings warn, whatever severity it is given.
	NeverDenies bool
	// AlwaysNew: nobody can tell whether a fault stood in the old object, and so it never counts as one that did.
	AlwaysNew bool
}

// Pass is one run of one rule.
type Pass struct {
	// Doc is the document that is judged; in a rule of the change, the new one.
	Doc *awsauth.Document
	// Old and New are what the authenticator loads before and after the change.
	// They are never nil, and empty where there is no object.
	Old, New *awsauth.Map
	// Access is who gains and who loses what.
	Access []awsauth.AccessChange
	Change Change
	Policy Policy

	entries   access.Entries // those of Policy.AccessEntries
	rule      *Rule
	severity  Severity
	findings  []Finding
	overrides []Override
	searched  int // principals that remedy has looked for
	limit     int // of findings, where it is not maxFindings
	more      int // findings past maxFindings, counted only
}

// maxFindings bounds the findings of one rule: past it they are counted, so that a hostile
// megabyte of short elements costs a bounded amount of memory. People read fewer.
const maxFindings = 1000

// locator is a value with a place: a Field, a Mapping, a Scalar, a Fault or a Place.
type locator interface{ At() awsauth.Place }

// wholeObject is where findings on the whole of the object stand.
var wholeObject = awsauth.Place{Path: "data"}

// annotations is where findings on the guard's own annotations stand.
var annotations = awsauth.Place{Path: "metadata.annotations"}

// sectionPlace is where findings on a section as a whole stand.
func sectionPlace(s awsauth.Section) awsauth.Place { return awsauth.Place{Path: s.Path()} }

// Reportf reports a finding at a value. The message is one sentence, lower case, without a full
// stop; the hint says what to write instead. Long values are shortened in the middle.
func (p *Pass) Reportf(at locator, hint, format string, args ...any) {
	p.report(p.severity, at, hint, format, args...)
}

// Warnf reports a finding that does not refuse the change although the rule's findings usually do.
func (p *Pass) Warnf(at locator, hint, format string, args ...any) {
	p.report(Warn, at, hint, format, args...)
}

// Grantf reports a finding about what an element gives somebody. It is old only where the same
// principal had the same before, not where an element that gave nobody anything was there.
func (p *Pass) Grantf(at locator, hint, format string, args ...any) {
	n := len(p.findings)
	p.Reportf(at, hint, format, args...)
	if len(p.findings) > n {
		p.findings[n].grants = true
	}
}

// runs reports whether another rule is run and is no more lenient than this one, so that it can be
// left what it reports.
func (p *Pass) runs(r *Rule) bool {
	severity := p.Policy.severity(r)
	return severity == Deny || severity == p.severity
}

func (p *Pass) report(severity Severity, at locator, hint, format string, args ...any) {
	if len(p.findings) >= max(p.limit, maxFindings) {
		p.more++
		return
	}
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = textutil.Shorten(s, maxValue)
		}
	}
	p.findings = append(p.findings, Finding{
		Rule:     p.rule.ID,
		Severity: severity,
		Place:    p.Doc.Locate(at.At()),
		Message:  fmt.Sprintf(format, args...),
		Hint:     textutil.Shorten(hint, 2*maxValue),
		scope:    p.rule.Scope,
		identity: identify(at),
		isNew:    p.rule.AlwaysNew,
	})
}

// countRest puts a count in place of the findings past the bound.
func (p *Pass) countRest() {
	if p.more == 0 {
		return
	}
	last := len(p.findings) - 1
	p.more++ // the last one gives its place to the count
	p.findings[last] = Finding{
		Rule: p.rule.ID, Severity: p.severity, Place: p.Doc.Locate(wholeObject),
		Message: fmt.Sprintf("%d more findings of this rule", p.more),
		scope:   p.rule.Scope, identity: identity{index: -1, more: p.more},
	}
}

// maxValue bounds a value within a message, in bytes. The longest ARN of a role with a path and
// of most users' is shorter: a path has at most 512 characters, seldom more than 50.
const maxValue = 300
