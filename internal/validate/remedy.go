package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// maxSearched bounds the principals that one rule looks for in the new text.
const maxSearched = 20

// remedy is the hint for access that principals of a section would lose, or of any section: what to
// keep, or where the text of the entry is there and is not read, to repair it.
func (p *Pass) remedy(keep string, section awsauth.Section, arns ...string) string {
	if p.Change.Operation == Delete { // rule deleted says how to delete it all the same
		return "change aws-auth instead of deleting it"
	}
	sections := awsauth.Sections()
	if section != "" {
		sections = []awsauth.Section{section}
	}
	if slices.ContainsFunc(sections, p.newlyLost) {
		return "repair the text that does not parse; no entry has to be removed for it"
	}
	for _, arn := range arns {
		if len(p.New.MatchesOf(arn)) > 0 {
			continue // it is read, and gives something else
		}
		p.searched++
		if p.searched <= maxSearched && p.Doc.Names(arn) {
			return "the text still holds " + arn + ": repair its entry, which a mistake or a comment keeps from being read"
		}
	}
	return keep
}

// deletionHint says what to do instead of the deletion, and how to delete aws-auth all the same.
func (p *Pass) deletionHint() string {
	if p.Change.New != nil { // an update that completes a deletion
		return "keep a finalizer until every principal has an access entry, or break the glass and create aws-auth again at once"
	}
	return "change aws-auth instead of deleting it; if you mean to delete it, first set the annotation " +
		BreakGlassAnnotation + ` to "delete TIME REASON", with a time in RFC 3339 that is at most an hour ahead`
}

// newlyLost reports whether the change makes a section unreadable.
func (p *Pass) newlyLost(s awsauth.Section) bool { return p.New.Lost(s) != nil && p.Old.Lost(s) == nil }
