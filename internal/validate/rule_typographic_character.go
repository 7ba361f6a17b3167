package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var typographicCharacter = &Rule{
	ID:       "typographic-character",
	Severity: Warn,
	Title:    "a username or group has a typographic or invisible character",
	Doc: `
Word processors, chat programs and web pages replace plain dashes, quotes and spaces with typographic ones, and add
invisible characters between letters. YAML knows only the plain quotes " and ', so typographic quotes become a part
of the value. Kubernetes compares usernames and groups letter by letter: ‘system:masters’ gives no rights, and RBAC
bindings for the plain name don't apply.

In other places such a character does more harm, and other rules report it: malformed-arn in an ARN,
malformed-account in an account, misspelt-key in a key, and yaml-syntax at the beginning of a line.

Write the plain character.`,
	Source: "YAML 1.1, \"Flow Scalar Styles\"; kubernetes v1.36.3, pkg/registry/rbac/validation/rule.go, appliesToUser; Unicode, General Punctuation",
	Exact:  true,
	Check:  checkTypographicCharacter,
}

func checkTypographicCharacter(p *Pass) {
	for m := range p.Doc.Mappings() {
		p.reportTypographic(m.Username, "username")
		for _, g := range m.Groups {
			p.reportTypographic(g, "group")
		}
	}
}

func (p *Pass) reportTypographic(f awsauth.Field, what string) {
	_, c, ok := awsauth.FindTypographic(f.Value)
	if !ok {
		return
	}
	hint := "write " + scalar(awsauth.Plain(f.Value))
	_, _, folded := f.Folded()
	if folded {
		hint = "write " + scalar(c.Write) + " instead of " + c.String()
		if c.Write == "-" {
			hint = "write - instead of " + c.String() + ", in the column of the dash above it"
		}
	}
	p.Reportf(f, hint, "the %s %q has %s", what, f.Value, c.String())
	if folded {
		p.correctLine(f)
	} else {
		p.correctValue(f, awsauth.Plain(f.Value), true)
	}
}

// hasTypographic reports whether the rule typographic-character reports a username or group.
func (p *Pass) hasTypographic(text string) bool {
	_, _, ok := awsauth.FindTypographic(text)
	return ok && p.runs(typographicCharacter)
}
