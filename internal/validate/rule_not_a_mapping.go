package validate

import (
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var notAMapping = &Rule{
	ID:       "not-a-mapping",
	Severity: Deny,
	Title:    "an element is not a mapping",
	Doc: `
The authenticator drops an element of mapRoles or mapUsers that is a text, is empty, or is itself a list, because it
has no ARN. In mapAccounts it drops every element that is not a text.

Write rolearn, username and groups below one dash. A list within the list often comes from a
template that wraps a list in brackets.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/mapper.go, Validate",
	Exact:  true,
	Check:  checkNotAMapping,
}

// elementHint returns the hint for an element that is not a mapping. If the mapping above it has the key groups without
// any group, the element is probably a group whose dash is in the wrong column.
func (p *Pass) elementHint(m awsauth.Mapping) string {
	if above, ok := p.groupsAbove(m); ok {
		return fmt.Sprintf("move this dash from column %d to column %d, below groups", p.Doc.Locate(m.At()).Column-2, p.Doc.Locate(above.At()).Column)
	}
	return "write " + m.Entry.ARNKey() + ", username and groups below one dash"
}

// groupsAbove returns the nearest mapping above an element. ok reports whether the element is probably a group of this
// mapping, because the mapping has the key groups but no group.
func (p *Pass) groupsAbove(m awsauth.Mapping) (above awsauth.Mapping, ok bool) {
	list := p.Doc.Roles
	if m.Entry.Section == awsauth.MapUsers {
		list = p.Doc.Users
	}
	for i := m.Entry.Index - 1; i >= max(0, m.Entry.Index-maxHintGroups); i-- {
		above := list[i]
		if !above.IsMapping() {
			continue
		}
		return above, len(above.Entry.Groups) == 0 && above.HasKey("groups") && p.Doc.Locate(m.At()).Column >= 3 && m.Kind() != "a list"
	}
	return awsauth.Mapping{}, false
}

func checkNotAMapping(p *Pass) {
	for m := range p.Doc.Mappings() {
		if !m.IsMapping() {
			p.Reportf(m, p.elementHint(m), "the element is %s, and the authenticator drops it", m.Kind())
			if above, ok := p.groupsAbove(m); ok {
				p.correctText(m.Entry.Section, func() []awsauth.Texts { return m.MoveBelowGroups(above) })
			}
		}
	}
	for _, f := range p.Doc.BadAccounts {
		p.Reportf(f, "write an account id in quotes", "the element is not a text, and the authenticator drops it")
	}
}
