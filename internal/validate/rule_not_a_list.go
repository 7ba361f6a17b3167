package validate

var notAList = &Rule{
	ID:       "not-a-list",
	Severity: Deny,
	Title:    "a key's text is not a list",
	Doc: `
The authenticator reads mapRoles, mapUsers and mapAccounts as lists. It loads nothing from any other text, such as a
mapping, a list in quotes, or a list with a second | in the line above it.

Write each element with a dash.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap",
	Exact:  true,
	Check:  checkNotAList,
}

func checkNotAList(p *Pass) {
	for _, t := range p.Doc.Texts {
		if f := t.NotAList; f != nil {
			p.Reportf(f, f.Hint, "%s is %s, and the authenticator loads nothing from it", string(t.Section), f.Problem)
			p.correctText(t.Section, f.Repairs)
		}
	}
}
