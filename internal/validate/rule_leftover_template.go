package validate

import (
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var leftoverTemplate = &Rule{
	ID:       "leftover-template",
	Severity: Deny,
	Title:    "a value holds a template that the authenticator does not render",
	Doc: `
The authenticator renders {{EC2PrivateDNSName}}, {{SessionName}}, {{SessionNameRaw}}, {{AccountID}} and
{{AccessKeyID}} in usernames and groups, in this spelling and without spaces. It does not replace any other text
between {{ and }}, ${ and }, or < and >. An ARN with such a text matches no caller. A node with such a username
never becomes ready. A person with such a username has only the rights of their groups, because no RBAC binding
names this username.

Write the value that the template stands for, or spell the template as above.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate; opstrace#112",
	Exact:  true,
	Check:  checkLeftoverTemplate,
}

func checkLeftoverTemplate(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if _, session := arn.SessionRole(); err != nil || !session { // assumed-role-arn reports it
			p.reportLeftover(m.ARN, false)
		}
		p.reportLeftover(m.Username, true)
		for _, g := range m.Groups {
			p.reportLeftover(g, true)
		}
	}
	for _, f := range p.Doc.Accounts {
		p.reportLeftover(f, false)
	}
	for _, t := range p.Doc.Texts {
		p.reportUnparsed(t)
	}
}

// reportUnparsed reports misspelt templates in a text that does not parse, so that users can repair both faults at
// once. It ignores other templates, and templates in ARNs. It also ignores a template that begins the value in the line of
// the syntax fault, because yaml-syntax reports that line.
func (p *Pass) reportUnparsed(t *awsauth.Text) {
	for line := range t.UnparsedLines() {
		found, ok := leftoverIn(line.Value.Value, true)
		if !ok || strings.EqualFold(line.Key, "rolearn") || strings.EqualFold(line.Key, "userarn") || line.Value.Line == t.Syntax.Line && strings.HasPrefix(line.Value.Value, "{{") {
			continue
		}
		if hint := templateHint(line.Value.Value, found, true); isKnownTemplate(hint) {
			p.Reportf(line.Value, hint, "the authenticator does not render %q in %s", found, quote(line.Value.Value))
		}
	}
}

// isKnownTemplate reports whether a hint says to write a template that the authenticator renders.
func isKnownTemplate(hint string) bool {
	return slices.ContainsFunc(awsauth.Templates(), func(known string) bool { return strings.HasPrefix(hint, "write ") && strings.Contains(hint, known) })
}

func (p *Pass) reportLeftover(f awsauth.Field, rendered bool) {
	if found, ok := leftoverIn(f.Value, rendered); ok {
		where := ""
		if found != f.Value {
			where = " in " + quote(f.Value)
		}
		p.Reportf(f, templateHint(f.Value, found, rendered), "the authenticator does not render %q%s", found, where)
		p.correctTemplate(f, found, rendered)
	}
}

var leftover = regexp.MustCompile(`^(?:\{\{[^{}]*\}{0,2}|\$\{[^{}]*\}?|<[^<>]+>)`)

// leftoverIn returns the first template in a value that the authenticator does not render. It returns false if there is
// none. rendered tells whether the authenticator renders templates in this kind of value: it does so in usernames and
// groups, and not in ARNs and accounts.
func leftoverIn(text string, rendered bool) (string, bool) {
	for i := 0; i < len(text); i++ {
		switch rest := text[i:]; {
		case text[i] != '{' && text[i] != '$' && text[i] != '<', strings.HasPrefix(rest, "{{{"):
		case rendered && awsauth.TemplatePrefix(rest) != "":
			i += len(awsauth.TemplatePrefix(rest)) - 1
		default:
			if found := leftover.FindString(rest); found != "" {
				return found, true
			}
		}
	}
	return "", false
}

// isLeftover reports whether the rule leftover-template reports a value.
func (p *Pass) isLeftover(text string, rendered bool) bool {
	_, ok := leftoverIn(text, rendered)
	return ok && p.runs(leftoverTemplate)
}

// correctTemplate adds the correction of a misspelt template, or of a template in the brackets of a placeholder, such as
// <{{SessionName}}>.
func (p *Pass) correctTemplate(f awsauth.Field, found string, rendered bool) {
	if !p.corrects {
		return
	}
	if right, ok := rightTemplate(f.Value, found, rendered); ok {
		p.correctValue(f, right, true)
	}
}

// rightTemplate returns the value that templateHint says to write in place of text. It returns false if the hint leaves a
// choice.
func rightTemplate(text, found string, rendered bool) (string, bool) {
	hint := templateHint(text, found, rendered)
	for _, known := range awsauth.Templates() {
		if right := withTemplate(text, found, known); hint == "write "+scalar(right) {
			return right, true
		}
	}
	inner := strings.Trim(found, "<>")
	return inner, hint == "write "+scalar(inner)
}

// withTemplate replaces the template found in a text by a known one. If the text is the username of a node and the known
// template stands for a node's name, withTemplate replaces everything after the prefix system:node:, because a node's name
// consists of the template only.
func withTemplate(text, found, known string) string {
	if strings.HasPrefix(text, nodePrefix) && isNodeTemplate(known) {
		return nodePrefix + known
	}
	return strings.Replace(text, found, known, 1)
}

// templateHint returns the hint for the template found in a text. rendered tells whether the authenticator renders
// templates in this kind of value; see leftoverIn.
func templateHint(text, found string, rendered bool) string {
	for _, known := range awsauth.Templates() {
		switch {
		case found == known: // a known template, in an ARN or an account
			return "write the value that " + found + " stands for; templates are rendered in usernames and groups only"
		case !rendered || !near(strings.Trim(found, "{} ."), strings.ToLower(strings.Trim(known, "{}"))):
		default:
			return "write " + scalar(withTemplate(text, found, known))
		}
	}
	if strings.HasPrefix(found, "<") {
		if inner := strings.Trim(found, "<>"); found == text && rendered && awsauth.WithoutTemplates(inner) != inner {
			return "write " + scalar(inner) // the brackets of a placeholder around a whole username
		}
		return "write the value that " + found + " stands for, without the brackets"
	}
	return "write the value that " + found + " stands for"
}
