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
	Check:  checkNotAMapping,
}

// elementHint returns the hint for an element that is not a mapping. If the mapping above it has the key groups without
// any group, the element is probably a group whose dash is in the wrong column.
func (p *Pass) elementHint(m awsauth.Mapping) string {
	list := p.Doc.Roles
	if m.Entry.Section == awsauth.MapUsers {
		list = p.Doc.Users
	}
	for i := m.Entry.Index - 1; i >= max(0, m.Entry.Index-maxHintGroups); i-- {
		above := list[i]
		if !above.IsMapping() {
			continue
		}
		from, to := p.Doc.Locate(m.At()), p.Doc.Locate(above.At())
		if len(above.Entry.Groups) > 0 || !above.HasKey("groups") || from.Column < 3 || m.Kind() == "a list" {
			break
		}
		return fmt.Sprintf("move this dash from column %d to column %d, below groups", from.Column-2, to.Column)
	}
	return "write " + m.Entry.ARNKey() + ", username and groups below one dash"
}

func checkNotAMapping(p *Pass) {
	for m := range p.Doc.Mappings() {
		if !m.IsMapping() {
			p.Reportf(m, p.elementHint(m), "the element is %s, and the authenticator drops it", m.Kind())
		}
	}
	for _, f := range p.Doc.BadAccounts {
		p.Reportf(f, "write an account id in quotes", "the element is not a text, and the authenticator drops it")
	}
}
