package validate

var notAMapping = &Rule{
	ID:       "not-a-mapping",
	Severity: Deny,
	Title:    "an element is not a mapping",
	Doc: `
The authenticator drops an element of mapRoles or mapUsers that is a text, empty, or a list within the list,
because it has no ARN. In mapAccounts it drops every element that is not a text.

Write rolearn, username and groups below one dash. A list within the list often comes from a
template that wraps a list in brackets.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/config/mapper.go, Validate",
	Check:  checkNotAMapping,
}

func checkNotAMapping(p *Pass) {
	for m := range p.Doc.Mappings() {
		if !m.IsMapping() {
			p.Reportf(m, "write "+m.Entry.ARNKey()+", username and groups below one dash", "the element is %s, and the authenticator drops it", m.Kind())
		}
	}
	for _, f := range p.Doc.BadAccounts {
		p.Reportf(f, "write an account id in quotes", "the element is not a text, and the authenticator drops it")
	}
}
