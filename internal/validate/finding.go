package validate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Finding is something wrong, with its place and its remedy.
type Finding struct {
	Rule     string
	Severity Severity
	awsauth.Place
	// Message is one sentence, lower case, without a full stop, that names the value.
	Message string
	// Hint says what to write instead; it may be empty.
	Hint string
	// Exempt says why a denial is only a warning: "mode warn", for example. It is empty for every other finding.
	Exempt string

	scope    Scope
	identity identity
	grants   bool // see Grantf
	isNew    bool // see Rule.AlwaysNew
}

// identity tells whether a fault of the new object stood in the old one: the rule, the key, and
// the element as decoded, never its index. For faults of a whole key there is no element.
type identity struct {
	key   string // mapRoles, …; for other keys their name
	index int    // of the element in its section; -1 for a fault of a whole key
	value string // what the finding is about: tells faults of one element apart
	more  int    // for the finding that counts those past maxFindings
}

// element is implemented by values of an element of a section.
type element interface {
	locator
	Element() (awsauth.Section, int)
	Text() string
}

func identify(at locator) identity {
	e, ok := at.(element)
	if !ok {
		return identity{key: strings.TrimPrefix(strings.TrimPrefix(at.At().Path, "data."), "binaryData."), index: -1}
	}
	section, index := e.Element()
	return identity{key: string(section), index: index, value: e.Text()}
}

// sortFindings puts findings into their final order: denials first; what is wrong with
// the document before what follows from it; then by place, then by rule.
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

// sectionOrder puts findings on the whole object first, then the sections in lookup order.
func sectionOrder(path string) int {
	for i, s := range awsauth.Sections() {
		if strings.HasPrefix(path, s.Path()) {
			return i + 1
		}
	}
	return 0
}
