package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// Correction is the edit of aws-auth by which a person follows the hint of a finding. A finding has a correction only if its hint leaves no
// choice. The fields from Replace on describe one kind of edit each: MoveTo with ARN, Rename with To, and every other field alone. Only the
// fields of one kind are set.
type Correction struct {
	// Section and Index name the element that the correction changes. Index is -1 if the correction changes a whole text or a key under data.
	Section awsauth.Section
	Index   int
	// Values reports that the correction changes the username or the groups of the element. A correction without Values may change the access
	// of a principal in one way only: the principal gains a username and groups that the text already held.
	Values bool
	// Replace are changes within the text of the section.
	Replace []awsauth.Replacement
	// Set replaces a value that stands on several lines: its Path is the key of the element, and its Value is the new value.
	Set *awsauth.Scalar
	// Groups are the new groups of the element. They replace a value that stands on several lines and is not a list.
	Groups []string
	// Remove reports that the correction removes the element.
	Remove bool
	// MoveTo is the section to which the correction moves the element. ARN is the ARN that the element has there.
	MoveTo awsauth.Section
	ARN    string
	// Rename is a key under data, and To is its new name.
	Rename, To string
	// Literal is a key under data whose value is a list. The correction turns the list into a text. Only a file can have such a value, because
	// the API server refuses it.
	Literal string
	// Repairs returns the possible texts of the sections after the correction of a wrong layout, such as a wrong indentation. It returns
	// several if the layout has several probable meanings. Then the correction is exact only if all of them give the same access.
	Repairs func() []awsauth.Texts
}

// Corrections returns the findings that [Evaluate] returns for the object with the operation [Document], but up to maxCorrected of each rule.
// A finding of a rule with [Rule.Exact] also has its correction, if its hint leaves no choice.
func Corrections(o *awsauth.Object, policy Policy) []Finding {
	_, findings := LoadWithCorrections(o, policy, nil)
	return findings
}

// LoadWithCorrections returns the map that the authenticator loads from an object, and the findings of [Corrections]. If cache is not nil, it
// decodes a section only if the cache doesn't have the text.
func LoadWithCorrections(o *awsauth.Object, policy Policy, cache *awsauth.Cache) (*awsauth.Map, []Finding) {
	e := NewEvaluation(Change{Operation: Document, New: o, Cache: cache}, policy)
	e.pass.corrects, e.pass.limit = true, maxCorrected
	return e.pass.Doc.Map, e.Verdict(Answers{}).Findings
}

// maxCorrected limits the findings of one rule for a caller that needs corrections. 20,000 elements of 52 bytes fill an object of 1 MiB, and
// an element with an ARN and a username is rarely shorter.
const maxCorrected = 20 * maxFindings

// correct adds a correction to the last finding. It does nothing if the caller doesn't need corrections, or if the finding is over the limit.
func (p *Pass) correct(c Correction) {
	if p.corrects && p.more == 0 && len(p.findings) > 0 {
		kept := c // a copy, so that c itself stays off the heap if it isn't kept
		p.findings[len(p.findings)-1].Correction = &kept
	}
}

// correctText adds the correction of a wrong layout to the last finding; see Correction.Repairs. It does nothing if repairs returns no texts.
func (p *Pass) correctText(s awsauth.Section, repairs func() []awsauth.Texts) {
	if p.corrects && len(repairs()) > 0 {
		p.correct(Correction{Section: s, Index: -1, Repairs: repairs})
	}
}

// correctValue adds the correction that writes another value in place of a field. values reports that the field is a username or a group, and
// not an ARN or an account. correctValue does nothing if the field's text has a form that can't be replaced, such as an alias in a list.
func (p *Pass) correctValue(f awsauth.Field, value string, values bool) {
	if !p.corrects {
		return
	}
	s, index := f.Element()
	if r, ok := f.Write(value); ok {
		p.correct(Correction{Section: s, Index: index, Values: values, Replace: []awsauth.Replacement{r}})
	} else if key, ok := f.Key(); ok {
		p.correct(Correction{Section: s, Index: index, Values: values, Set: &awsauth.Scalar{Value: value, Position: awsauth.Position{Path: key}}})
	}
}

// correctKey adds the correction that renames a key of an element. It does nothing if the key stands on several lines or is an alias.
func (p *Pass) correctKey(key awsauth.Field, name string) {
	if !p.corrects {
		return
	}
	s, index := key.Element()
	if r, ok := key.Write(name); ok {
		p.correct(Correction{Section: s, Index: index, Values: name == "username" || name == "groups", Replace: []awsauth.Replacement{r}})
	}
}
