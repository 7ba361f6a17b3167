package validate

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var yamlSyntax = &Rule{
	ID:       "yaml-syntax",
	Severity: Deny,
	Title:    "a key's text does not parse",
	Doc: `
A syntax error anywhere in mapRoles, mapUsers or mapAccounts makes the authenticator load nothing from that
key. It does not load the entries above the error, and does not keep the last good version. A tab in mapRoles
takes away the access of every role and every node.

The frequent mistakes are tabs and no-break spaces as indentation, and a template that begins a
value without quotes: write "{{SessionName}}".

A value of mapAccounts that contradicts its tag, such as !!int x, ends the list: the authenticator keeps
only the accounts before it.

The guard reads the text with two YAML parsers. It also refuses a text that the two parsers read differently,
because it can't be certain of the text's meaning.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap and saveMap",
	Exact:  true,
	Check:  checkYAMLSyntax,
}

// givesNoAccess reports whether the authenticator loads no entry from a section.
func givesNoAccess(m *awsauth.Map, s awsauth.Section) bool {
	loads := func(e awsauth.Entry) bool { return e.Dropped == "" }
	switch s {
	case awsauth.MapRoles:
		return !slices.ContainsFunc(m.Roles, loads)
	case awsauth.MapUsers:
		return !slices.ContainsFunc(m.Users, loads)
	case awsauth.MapAccounts:
	}
	return len(m.Accounts) == 0
}

func checkYAMLSyntax(p *Pass) {
	for _, t := range p.Doc.Texts {
		if f := t.Syntax; f != nil {
			p.Reportf(f, f.Hint, "%s does not parse, and the authenticator loads nothing from it: %s", string(t.Section), f.Problem)
			p.correctText(t.Section, f.Repairs)
		}
		if f := t.Stop; f != nil {
			// At another element, the same fault takes away other accounts. So the path is part of the kind.
			p.Reportf(keyFault{f, "stop at " + f.Path}, f.Hint, "the authenticator reads %s only up to this element: %s", string(t.Section), f.Problem)
		}
		if f := t.Disagreement; f != nil {
			kind := "disagreement"
			if givesNoAccess(p.Doc.Map, t.Section) {
				kind = ""
			}
			p.Reportf(keyFault{f, kind}, f.Hint, "the effect of %s is not certain: %s", string(t.Section), f.Problem)
		}
	}
}
