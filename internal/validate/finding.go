package validate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Finding is a problem that a rule reports, with its position and a hint.
type Finding struct {
	Rule     string
	Severity Severity
	awsauth.Position
	// Message is one sentence in lower case, without a full stop. It names the value.
	Message string
	// Hint says how to correct the problem; it may be empty.
	Hint string
	// Exempt is the reason why the guard admits the change in spite of this denial, for example "mode warn". It is
	// empty for every other finding, and if the requester broke the glass.
	Exempt string
	// Correction is the edit by which a person follows the hint. Only [Corrections] and [LoadWithCorrections] set it, and only if the hint
	// leaves no choice. Otherwise it is nil.
	Correction *Correction

	scope    Scope
	identity identity
	grants   bool // see Grantf
	isNew    bool // see Rule.AlwaysNew
}

// identity identifies the value that a finding is about, so that the guard can compare findings of the old and the new
// object. For a fault of an element, the guard compares the decoded element, and not its key and index, because elements
// move. For a fault of a whole key, which has no element, it compares the key and the kind. See presentInOld.
type identity struct {
	key   string // the name of the key, such as mapRoles
	index int    // the index of the element in its section; -1 for a fault of a whole key
	value string // the value at fault, or the kind of the fault of a key
	more  int    // the number of findings past maxFindings, if this finding counts them; otherwise 0
}

// element is a locator for an element of a section, or for a key or value in such an element.
type element interface {
	locator
	Element() (awsauth.Section, int)
	Text() string
}

// keyFault is a fault of a whole key. kind names the fault. kind is empty if the fault makes the authenticator load no
// entries from the key. A pre-existing fault with a kind does not make a fault of another kind pre-existing, because the
// other fault can take away more entries.
type keyFault struct {
	locator

	kind string
}

func identify(at locator) identity {
	if e, ok := at.(element); ok {
		section, index := e.Element()
		return identity{key: string(section), index: index, value: e.Text()}
	}
	key := strings.TrimPrefix(strings.TrimPrefix(at.At().Path, "data."), "binaryData.")
	if f, ok := at.(keyFault); ok {
		key, _, _ = strings.Cut(key, "[")
		return identity{key: key, index: -1, value: f.kind}
	}
	return identity{key: key, index: -1}
}

// sortFindings puts findings into their final order. Denials come first. Among findings of the same severity, the
// faults of the document come before the losses and gains that they cause. Findings of the same scope are sorted by
// position, and findings at the same position by rule.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(severityOrder(a.Severity), severityOrder(b.Severity)),
			cmp.Compare(a.scope, b.scope),
			cmp.Compare(sectionOrder(a.Path), sectionOrder(b.Path)),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
			strings.Compare(a.Path, b.Path),
			strings.Compare(a.Rule, b.Rule),
			strings.Compare(a.Message, b.Message),
		)
	})
}

func severityOrder(s Severity) int {
	if s == Deny {
		return 0
	}
	return 1
}

// sectionOrder returns a number by which findings are sorted: 0 for a path outside the sections, and 1, 2 and 3 for a
// path in one of the sections, in lookup order.
func sectionOrder(path string) int {
	for i, s := range awsauth.Sections() {
		if strings.HasPrefix(path, s.Path()) {
			return i + 1
		}
	}
	return 0
}
