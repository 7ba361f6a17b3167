package validate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

var groupTypo = &Rule{
	ID:       "group-typo",
	Severity: Warn,
	Title:    "a group is probably misspelt",
	Doc: `
Kubernetes accepts any text as a group and compares groups letter by letter. A group system:master or system:node,
without the final s, has no special rights. A group with spaces, such as "system:bootstrappers - system:nodes",
comes from a dash that is indented deeper than the one above it: YAML reads the two lines as one text. A text with
commas, such as "system:bootstrappers,system:nodes", is also one group. IAM groups can't log in, and their ARNs have
no meaning for Kubernetes.

Write the group as the hint says, and align all dashes of a list.`,
	Source: "kubernetes v1.36.3, staging/src/k8s.io/apiserver/pkg/authentication/user/user.go; aws-iam-authenticator v0.7.18, pkg/mapper/configmap/yaml_test.go",
	Exact:  true,
	Check:  checkGroupTypo,
}

// knownGroups are the groups of Kubernetes that entries usually give.
var knownGroups = []string{access.Masters, access.NodesGroup, access.BootstrappersGroup, access.FargateProxyGroup}

func checkGroupTypo(p *Pass) {
	for m := range p.Doc.Mappings() {
		for _, g := range m.Groups {
			if slices.Contains(knownGroups, g.Value) || p.isLeftover(g.Value, true) || p.hasTypographic(g.Value) {
				continue
			}
			if isIAMGroup(g.Value) {
				p.Reportf(g, groupHint, "%q is an IAM group, and IAM groups can't log in or become groups of Kubernetes", g.Value)
				continue
			}
			if strings.Contains(g.Value, " - ") {
				p.reportFoldedGroup(g)
				continue
			}
			if right, ok := nearGroup(g.Value); ok {
				hint := "write " + right
				if right == access.NodesGroup && !strings.HasPrefix(m.Entry.Username, nodePrefix) {
					hint += ", and the username system:node:{{EC2PrivateDNSName}}"
				}
				p.Reportf(g, hint, "%q is not a group that Kubernetes knows", g.Value)
				continue
			}
			if parts := strings.Split(g.Value, ","); len(parts) > 1 && slices.ContainsFunc(parts, func(s string) bool { return slices.Contains(knownGroups, strings.TrimSpace(s)) }) {
				p.Reportf(g, itemsHint(parts), "%q is one group, whose name has commas", g.Value)
				p.correctItems(g, parts)
				continue
			}
			if strings.ContainsFunc(g.Value, unicode.IsSpace) {
				p.Reportf(g, itemsHint(strings.FieldsFunc(g.Value, betweenGroups)), "the group %q has white space", g.Value)
			}
		}
		if isIAMGroup(m.Username.Value) {
			p.Reportf(m.Username, groupHint, "the username %q is the ARN of an IAM group, and IAM groups can't log in", m.Username.Value)
		}
	}
}

// reportFoldedGroup reports a group whose name contains a dash between spaces. Often YAML has folded the next item of
// the list into the group.
func (p *Pass) reportFoldedGroup(g awsauth.Field) {
	if line, at, ok := g.Folded(); ok {
		at = p.Doc.Locate(at)
		p.Reportf(g, fmt.Sprintf("move the dash of line %d to the column of the dash above it", at.Line),
			"%q is one group: YAML folds line %d, %q, into it, because the dash in column %d is deeper than the one above", g.Value, at.Line, line, at.Column)
		p.correctLine(g)
		return
	}
	p.Reportf(g, itemsHint(strings.Split(g.Value, " - ")), "%q is one group, whose name has a dash", g.Value)
}

// betweenGroups reports whether a character separates groups in a text with several groups.
func betweenGroups(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) }

// groupHint is the hint for an IAM group.
const groupHint = "map a role that the IAM group may assume"

// isIAMGroup reports whether a text is the ARN of an IAM group.
func isIAMGroup(text string) bool {
	return strings.Contains(text, ":group/") && iamGroup.MatchString(text)
}

var iamGroup = regexp.MustCompile(`(?i)^arn:[^:]*:iam::[^:]*:group/`)

// itemsHint returns the hint to write the parts of a text as items of a list.
func itemsHint(parts []string) string {
	list := scalars(parts)
	if len(list) == 1 {
		return "write " + list[0]
	}
	return "write " + strings.Join(list, " and ") + ", each after a dash"
}

// scalars writes the parts of a text as YAML scalars.
func scalars(parts []string) []string {
	var list []string
	for _, part := range parts {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, scalar(part))
		}
	}
	return list
}

// nearGroup returns the group of Kubernetes that the author of a group probably meant. The author's group may differ
// from it in one letter other than the first, in case and in spaces at the ends. nearGroup returns false if there is no such group.
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
