package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// maxSearched bounds the principals that one rule looks for in the new text.
const maxSearched = 20

// remedy is the hint for access that would be lost: what to keep, or where the text of the entry is
// there and is not read, to repair it. The other finding says how.
func (p *Pass) remedy(keep string, arns ...string) string {
	unread := func(s awsauth.Section) bool { return p.New.Lost(s) != nil }
	if slices.ContainsFunc(awsauth.Sections(), unread) {
		return "repair the text that does not parse; no entry has to be removed for it"
	}
	for _, arn := range arns {
		p.searched++
		if p.searched <= maxSearched && p.Doc.Names(arn) {
			return "the text still holds " + arn + ": repair its entry, which a mistake or a comment keeps from being read"
		}
	}
	return keep
}
