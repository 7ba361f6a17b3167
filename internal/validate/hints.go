package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// maxSearched limits the principals for which lossHint searches the new text, for each rule.
const maxSearched = 20

// lossHint returns the hint for principals that would lose access. section is the section of the principals, or "" for
// all sections.
//   - If the change deletes aws-auth, the hint is not to delete it.
//   - If the authenticator could no longer load the section, or if the new text still names one of the principals but gives
//     it no entry, the hint is to repair the text.
//   - Otherwise lossHint returns keep.
func (p *Pass) lossHint(keep string, section awsauth.Section, arns ...string) string {
	if p.Change.Operation == Delete { // the rule deleted says how to delete aws-auth on purpose
		return "change aws-auth instead of deleting it"
	}
	sections := awsauth.Sections()
	if section != "" {
		sections = []awsauth.Section{section}
	}
	if slices.ContainsFunc(sections, p.newlyLost) {
		return "correct the text that the authenticator can't load; you don't have to remove an entry"
	}
	for _, arn := range arns {
		if len(p.New.MatchesOf(arn)) > 0 {
			continue // the authenticator reads the entry, which gives other access
		}
		p.searched++
		if p.searched <= maxSearched && p.Doc.Names(arn) {
			return "the text still holds " + arn + ": repair its entry, which the authenticator can't read because of a mistake or a comment"
		}
	}
	return keep
}

// deletionHint returns a hint on how to avoid the deletion of aws-auth, and on how to delete it on purpose.
func (p *Pass) deletionHint() string {
	if p.Change.New != nil { // an update that completes a deletion
		return "keep a finalizer until every principal has an access entry, or break the glass and create aws-auth again at once"
	}
	return "change aws-auth instead of deleting it; if you mean to delete it, first set the annotation " +
		BreakGlassAnnotation + ` to "delete TIME REASON", with a time in RFC 3339 that is at most an hour ahead`
}

// newlyLost reports whether the authenticator loads nothing from a section because of this change.
func (p *Pass) newlyLost(s awsauth.Section) bool {
	return p.New.LoadError(s) != nil && p.Old.LoadError(s) == nil
}
