package extract

import (
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// markup is a form of template, variable or encrypted value that no aws-auth in a cluster has.
type markup struct {
	form *regexp.Regexp
	what string // the form with its tools
	tool string // what to lint instead
}

// markups are all forms of markup but one. They leave out {{ }}, because the rule leftover-template finds it.
var markups = []markup{
	{regexp.MustCompile(`ENC\[AES256_GCM,`), "a value that SOPS has encrypted", "decrypt it first: sops decrypt FILE | kubectl awsauth lint -"},
	{regexp.MustCompile(`\$ANSIBLE_VAULT;`), "a value that Ansible Vault has encrypted", "decrypt it first with ansible-vault"},
	{regexp.MustCompile(`%\{[^}\n]*\}?`), "a template directive of Terraform", "lint the plan: terraform show -json PLAN | kubectl awsauth lint -"},
	{regexp.MustCompile(`\{%[^\n]*?%\}`), "a directive of Jinja", "lint the rendered text"},
	{regexp.MustCompile(`<%[^\n]*?%>`), "a directive of ERB", "lint the rendered text"},
	{
		regexp.MustCompile(`\$\{[^}\n]*\}?|\$\([A-Za-z_][\w.]*\)|\$[A-Z_][A-Z0-9_]+\b`), "a variable of a template, as of Terraform, Flux or envsubst",
		"lint the rendered text, such as the output of terraform show -json PLAN, flux build kustomization or envsubst",
	},
}

// Tools whose documents can hold an aws-auth, and which replace variables in its text. The variables of CloudFormation
// have the form of the last element of markups. The variables of the other tools have the form {{ }}.
const (
	cloudFormation = "CloudFormation"
	applicationSet = "ApplicationSet"
	ansible        = "Ansible"
)

// findMarkup returns the first markup in a YAML text, and its offset. It ignores markups in comments. tool is the tool
// that replaces variables in the text, or empty.
func findMarkup(text, tool string) (at int, found string, m markup, ok bool) {
	if !strings.ContainsAny(text, "%$") && !strings.Contains(text, "ENC[") {
		return 0, "", markup{}, false
	}
	text = awsauth.WithoutComments(text)
	at = -1
	for _, candidate := range markups {
		if place := candidate.form.FindStringIndex(text); len(place) > 0 && (at < 0 || place[0] < at) {
			at, found, m = place[0], strings.TrimSpace(text[place[0]:place[1]]), candidate
		}
	}
	if tool == cloudFormation {
		m.what, m.tool = "a value that CloudFormation inserts at deployment", "deploy to a test cluster, and lint the live object: kubectl awsauth lint --context TEST"
	}
	return at, found, m, at >= 0
}

// RefuseTemplates moves objects from Objects to Unrendered if another tool must render them first. It doesn't move an
// object from a cluster or from the output of Terraform, because no tool changes its text any more.
func (r *Result) RefuseTemplates() {
	r.Objects = slices.DeleteFunc(r.Objects, func(o Object) bool {
		if o.Object == nil || o.InText || isStored(o.Values()) {
			return false
		}
		for _, s := range awsauth.Sections() {
			if (o.tool == applicationSet || o.tool == ansible) && awsauth.HasUnknownTemplate(o.Data[string(s)]) {
				at := o.PositionIn(s, 0)
				r.Unrendered = append(r.Unrendered, problem(at.Line, at.Column, "%s holds templates in {{ }}, which %s fills in, so it is not the text that the cluster gets; lint the rendered text", s, o.tool))
				return true
			}
			offset, text, m, ok := findMarkup(o.Data[string(s)], o.tool)
			if !ok {
				continue
			}
			at := o.PositionIn(s, offset)
			r.Unrendered = append(r.Unrendered, problem(at.Line, at.Column, "%s holds %q, %s, so it is not the text that the cluster gets; %s", s, text, m.what, m.tool))
			return true
		}
		return false
	})
}

// isStored reports whether a manifest comes from an API server: it has a uid or a resourceVersion.
func isStored(values map[string]any) bool {
	return text(values, "metadata", "uid") != "" || text(values, "metadata", "resourceVersion") != ""
}
