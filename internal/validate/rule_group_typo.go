package validate

import (
	"slices"
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var groupTypo = &Rule{
	ID:       "group-typo",
	Severity: Warn,
	Title:    "a group is probably misspelt",
	Doc: `
Kubernetes accepts any text as a group and compares groups letter by letter. It has no special groups
system:master and system:node. A group with spaces, such as "system:bootstrappers - system:nodes", comes from
a dash that is indented deeper than the one above it: YAML reads the two lines as one text.

Write the group as the hint says, and align all dashes of a list.`,
	Source: "kubernetes v1.36.3, staging/src/k8s.io/apiserver/pkg/authentication/user/user.go; aws-iam-authenticator v0.7.18, pkg/mapper/configmap/yaml_test.go",
	Check:  checkGroupTypo,
}

// knownGroups are the groups of Kubernetes that entries give.
var knownGroups = []string{"system:masters", "system:nodes", "system:bootstrappers", "system:node-proxier"}

func checkGroupTypo(p *Pass) {
	for m := range p.Doc.Mappings() {
		for _, g := range m.Groups {
			if slices.Contains(knownGroups, g.Value) || p.isLeftover(g.Value, true) {
				continue
			}
			if strings.Contains(g.Value, " - ") {
				p.Reportf(g, "indent every dash of the list alike", "%q is one group, because a dash is indented deeper than the one above", g.Value)
				continue
			}
			if right, ok := nearGroup(g.Value); ok {
				p.Reportf(g, "write "+right, "%q is not a group that Kubernetes knows", g.Value)
				continue
			}
			if parts := strings.Split(g.Value, ","); len(parts) > 1 && slices.ContainsFunc(parts, func(s string) bool { return slices.Contains(knownGroups, strings.TrimSpace(s)) }) {
				p.Reportf(g, "write one group for each dash", "%q is one group, whose name has commas", g.Value)
				continue
			}
			if strings.ContainsFunc(g.Value, unicode.IsSpace) {
				p.Reportf(g, "write the group without it, and one group for each dash", "the group %q has white space", g.Value)
			}
		}
	}
}

// nearGroup returns the group of Kubernetes that the given group equals except for one letter, case and spaces at its
// ends, and whether there is one.
func nearGroup(group string) (string, bool) {
	group = strings.ToLower(strings.TrimSpace(group))
	if !strings.HasPrefix(group, "s") || len(group) > 24 {
		return "", false
	}
	for _, known := range knownGroups {
		if textutil.Distance(group, known) <= 1 {
			return known, true
		}
	}
	return "", false
}
