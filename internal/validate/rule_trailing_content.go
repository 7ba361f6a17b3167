package validate

var trailingContent = &Rule{
	ID:       "trailing-content",
	Severity: Deny,
	Title:    "the authenticator never reads the text after the end of the list",
	Doc: `
The authenticator reads the first YAML document of a key and drops the rest without an error.
A line with --- or ... ends the document, and so does a list whose first element is indented
deeper than the others.

Keep one list, and indent all its elements alike.`,
	Source: "go.yaml.in/yaml/v2, Unmarshal: only the first document is read",
	Exact:  true,
	Check:  checkTrailingContent,
}

func checkTrailingContent(p *Pass) {
	for _, t := range p.Doc.Texts {
		if f := t.Trailing; f != nil {
			p.Reportf(f, f.Hint, "the authenticator never reads %s from here on: %s", string(t.Section), f.Problem)
			p.correctText(t.Section, f.Repairs)
		}
	}
}
