package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// Correction is the exact correction of a finding: the change of aws-auth that a person makes who follows the hint. A finding has none if the
// hint leaves a choice. Only one of the fields from Replace on is set.
type Correction struct {
	// Section and Index are the element that the correction changes. Index is -1 if it changes the text as a whole.
	Section awsauth.Section
	Index   int
	// Values reports that the correction changes the username or the groups of the element. Otherwise no principal that could log in before
	// may get other access, except that a principal may gain the groups and the username that the text already held.
	Values bool
	// Replace are changes within the text of the section.
	Replace []awsauth.Replacement
	// Set is the new value of a key of the element, if the text has it on several lines.
	Set *awsauth.Scalar
	// Groups are the new groups of the element, if the text has a value on several lines in place of the list.
	Groups []string
	// Remove reports that the element is removed.
	Remove bool
	// MoveTo is the section to which the element moves, with the ARN.
	MoveTo awsauth.Section
	ARN    string
	// Rename is a key under data, and To its new name.
	Rename, To string
	// Literal is a key under data whose value is a list instead of a text. Only a file can have it.
	Literal string
	// Repairs returns the texts of the sections after the correction of a fault in the layout of the text. There are several if the layout has
	// several probable meanings; then the correction is exact only if all of them give the same access.
	Repairs func() []awsauth.Texts
}

// Corrections evaluates an object alone, as [Evaluate] does for [Document], and adds to each finding its exact correction, if it has one. The
// findings are otherwise those of Evaluate.
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

// maxCorrected limits the findings of one rule that have corrections. It is more than the elements that fit into an object of 1 MiB, if each
// has an ARN.
const maxCorrected = 20 * maxFindings

// correct adds a correction to the last finding. It does nothing if the caller doesn't need corrections, or if the finding is over the limit.
func (p *Pass) correct(c Correction) {
	if p.corrects && p.more == 0 && len(p.findings) > 0 {
		kept := c // only a kept correction costs memory
		p.findings[len(p.findings)-1].Correction = &kept
	}
}

// correctText adds the correction of a fault of a whole text.
func (p *Pass) correctText(s awsauth.Section, repairs func() []awsauth.Texts) {
	if p.corrects && len(repairs()) > 0 {
		p.correct(Correction{Section: s, Index: -1, Repairs: repairs})
	}
}

// correctValue adds the correction that writes another value. values reports that the value is a username or group, and not an ARN or account.
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

// correctKey adds the correction that renames a key of an element.
func (p *Pass) correctKey(key awsauth.Field, name string) {
	if !p.corrects {
		return
	}
	s, index := key.Element()
	if r, ok := key.Write(name); ok {
		p.correct(Correction{Section: s, Index: index, Values: name == "username" || name == "groups", Replace: []awsauth.Replacement{r}})
	}
}
