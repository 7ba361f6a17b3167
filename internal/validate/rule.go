// Package validate holds the rules of aws-auth and computes the verdict on a change.
//
// The package is pure: it takes documents and a description of the request, and returns findings. Rules report faults.
// Only [Evaluate] decides which faults are new in a change, and whether the guard refuses the change.
package validate

import (
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Severity is the effect that a rule's findings have on a change.
type Severity string

// Deny refuses the change. A rule has this severity if its fault certainly locks principals out, or gives a principal access
// that it must not get, such as the bypass group (bypass-grant). Warn admits the change with a warning. Off disables the
// rule, and only a configuration can set it.
const (
	Deny Severity = "deny"
	Warn Severity = "warn"
	Off  Severity = "off"
)

// Scope is the part of a change that a rule checks.
type Scope int

// A rule of the document checks one version of the object alone. A rule of the change compares effective access before
// and after. A rule of the request checks the request itself, and runs even if the content of the object stays the
// same.
const (
	OfDocument Scope = iota
	OfChange
	OfRequest
)

// Rule is one check of the guard. Rules are values without state.
type Rule struct {
	ID       string // kebab case; never renamed, never reused
	Severity Severity
	Scope    Scope
	Title    string // the fault, in one line
	Doc      string // the consequences of the fault, and how to correct it
	Source   string // the code or page of the authenticator, AWS or Kubernetes that proves the fault
	Check    func(*Pass)
	// NeverDenies reports that the rule's findings are warnings even at severity deny.
	NeverDenies bool
	// AlwaysNew reports that the rule's findings always count as new, because the guard cannot tell whether the
	// old object had the same fault.
	AlwaysNew bool
	// Exact reports that some hints of the rule leave no choice. Their findings get a correction from [Corrections].
	Exact bool
}

// Pass holds the input and the findings of one run of one rule.
type Pass struct {
	// Doc is the document that the rule checks. A rule of the change gets the new document.
	Doc *awsauth.Document
	// Old and New are the maps that the authenticator loads before and after the change. They are never nil. A map is empty if
	// its object does not exist. Both are empty if the guard did not decode the objects, because an update keeps the content.
	// If the new text may hide bytes, New is the worst of the possible maps.
	Old, New *awsauth.Map
	// Access lists the principals whose effective access differs before and after the change.
	Access []awsauth.AccessChange
	Change Change
	Policy Policy

	entries   access.Entries
	rule      *Rule
	severity  Severity
	findings  []Finding
	overrides []Override
	searched  int  // number of lost principals for which lossHint has searched the new version; see maxSearched
	limit     int  // limit of findings if it is higher than maxFindings; otherwise 0
	more      int  // number of findings past the limit
	corrects  bool // whether rules add corrections to their findings
}

// maxFindings limits the findings of one rule. Further findings are only counted, so a hostile megabyte of short
// elements costs a limited amount of memory.
const maxFindings = 1000

// locator is a value with a position, such as a Field, a Mapping, a Scalar, a Fault or a Position.
type locator interface{ At() awsauth.Position }

// wholeObject is the position of findings on the whole object.
var wholeObject = awsauth.Position{Path: "data"}

// annotations is the position of findings on the guard's own annotations.
var annotations = awsauth.Position{Path: "metadata.annotations"}

// sectionPlace returns the position of findings on a whole section.
func sectionPlace(s awsauth.Section) awsauth.Position { return awsauth.Position{Path: s.Path()} }

// Reportf reports a finding at a value. The message is one sentence in lower case without a full stop. The hint says
// how to correct the fault. Reportf leaves out the middle of values in args that are longer than maxValue.
func (p *Pass) Reportf(at locator, hint, format string, args ...any) {
	p.report(p.severity, at, hint, format, args...)
}

// Warnf reports a finding as a warning, even if the rule's severity is deny.
func (p *Pass) Warnf(at locator, hint, format string, args ...any) {
	p.report(Warn, at, hint, format, args...)
}

// Grantf reports a finding about the access that an element gives. The finding is pre-existing only if the same
// principal had at least the same access before. An equal element of the old object doesn't count if the authenticator did not
// load it.
func (p *Pass) Grantf(at locator, hint, format string, args ...any) {
	n := len(p.findings)
	p.Reportf(at, hint, format, args...)
	if len(p.findings) > n {
		p.findings[n].grants = true
	}
}

// runs reports whether another rule runs and is at least as severe as this one. If so, this rule need not report a
// fault that the other one reports.
func (p *Pass) runs(r *Rule) bool {
	severity := p.Policy.severity(r)
	return severity == Deny || severity == p.severity
}

func (p *Pass) report(severity Severity, at locator, hint, format string, args ...any) {
	if len(p.findings) >= max(p.limit, maxFindings) {
		p.more++
		return
	}
	textutil.ShortenArgs(args, maxValue)
	p.findings = append(p.findings, Finding{
		Rule:     p.rule.ID,
		Severity: severity,
		Position: p.Doc.Locate(at.At()),
		Message:  fmt.Sprintf(format, args...),
		Hint:     textutil.Shorten(hint, 2*maxValue),
		scope:    p.rule.Scope,
		identity: identify(at),
		isNew:    p.rule.AlwaysNew,
	})
}

// countRest replaces the last finding by one that counts the findings past the limit. It does nothing if there are none.
func (p *Pass) countRest() {
	if p.more == 0 {
		return
	}
	last := len(p.findings) - 1
	p.more++ // the count replaces the last finding
	p.findings[last] = Finding{
		Rule: p.rule.ID, Severity: p.severity, Position: p.Doc.Locate(wholeObject),
		Message: fmt.Sprintf("%d more findings of this rule", p.more),
		scope:   p.rule.Scope, identity: identity{index: -1, more: p.more},
	}
}

// maxValue limits a value within a message, in bytes. Almost every ARN is shorter: the path of a role or user has at
// most 512 characters, and rarely more than 50.
const maxValue = 300
