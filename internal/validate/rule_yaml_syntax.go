package validate

var yamlSyntax = &Rule{
	ID:       "yaml-syntax",
	Severity: Deny,
	Title:    "a key's text does not parse",
	Doc: `
A syntax error anywhere in mapRoles, mapUsers or mapAccounts makes the authenticator load nothing
from that key: not the entries above the error, not the last good version. A tab in mapRoles takes
every role and every node out of the cluster.

The frequent mistakes are tabs and no-break spaces as indentation, and a template that begins a
value without quotes: write "{{SessionName}}".

A value of mapAccounts that contradicts its tag, such as !!int x, ends the list: the authenticator keeps
the accounts before it.

Text that two YAML readers read differently is refused for the same reason: nobody can say what it
means.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, ParseMap and saveMap",
	Check:  checkYAMLSyntax,
}

func checkYAMLSyntax(p *Pass) {
	for _, t := range p.Doc.Texts {
		if f := t.Syntax; f != nil {
			p.Reportf(f, f.Hint, "%s does not parse, and the authenticator loads nothing from it: %s", string(t.Section), f.Problem)
		}
		if f := t.Stop; f != nil {
			p.Reportf(f, f.Hint, "the authenticator reads %s only up to this element: %s", string(t.Section), f.Problem)
		}
		if f := t.Disagreement; f != nil {
			p.Reportf(f, f.Hint, "%s is not certain: %s", string(t.Section), f.Problem)
		}
	}
}
