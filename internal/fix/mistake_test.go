package fix_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// goodTexts are texts of mapRoles in the styles of kubectl, eksctl, Terraform and people.
var goodTexts = []string{
	`- rolearn: arn:aws:iam::111122223333:role/Admin
  username: admin
  groups:
  - system:masters
- rolearn: arn:aws:iam::111122223333:role/node
  username: system:node:{{EC2PrivateDNSName}}
  groups:
  - system:bootstrappers
  - system:nodes
- rolearn: arn:aws:iam::111122223333:role/ci
  username: ci:{{SessionName}}
  groups: [deployers, viewers]
`,
	`  - groups:
      - viewers
      - editors
    rolearn: arn:aws:iam::111122223333:role/dev
    username: dev
  - groups:
      - system:masters
    rolearn: arn:aws:iam::111122223333:role/ops
    username: ops
`,
	`- "groups":
  - "system:bootstrappers"
  - "system:nodes"
  "rolearn": "arn:aws:iam::111122223333:role/node"
  "username": "system:node:{{EC2PrivateDNSName}}"
- "groups":
  - "system:masters"
  "rolearn": "arn:aws:iam::111122223333:role/Admin"
  "username": "{{SessionName}}"
`,
	`# the nodes
- rolearn: arn:aws:iam::111122223333:role/node # of all groups
  username: system:node:{{EC2PrivateDNSName}}
  groups:
    - system:bootstrappers
    - system:nodes

# people
- rolearn: arn:aws:iam::111122223333:role/Admin
  username: admin
  groups:
    - system:masters
`,
}

// mistakes maps a kind of mistake to a function that makes it in line i of a text. The function returns the text unchanged if
// the line can't have the mistake.
var mistakes = map[string]func(lines []string, i int) []string{
	"a line one column deeper":       func(l []string, i int) []string { return with(l, i, " "+l[i]) },
	"a line two columns deeper":      func(l []string, i int) []string { return with(l, i, "  "+l[i]) },
	"a line one column less deep":    func(l []string, i int) []string { return with(l, i, strings.TrimPrefix(l[i], " ")) },
	"a line two columns less deep":   func(l []string, i int) []string { return with(l, i, strings.TrimPrefix(l[i], "  ")) },
	"a tab for two spaces":           func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], "  ", "\t", 1)) },
	"tabs from a line on, width 2":   func(l []string, i int) []string { return tabs(l, i, 2) },
	"tabs from a line on, width 4":   func(l []string, i int) []string { return tabs(l, i, 4) },
	"spaces instead of a dash":       func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], "- ", "  ", 1)) },
	"a dash missing":                 func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], "- ", "", 1)) },
	"an em dash":                     func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], "- ", "— ", 1)) },
	"no space after the dash":        func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], "- ", "-", 1)) },
	"no colon after the key":         func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], ": ", " ", 1)) },
	"no space after the colon":       func(l []string, i int) []string { return with(l, i, strings.Replace(l[i], ": ", ":", 1)) },
	"the next line on the same line": join,
	"a quote missing at the end":     func(l []string, i int) []string { return with(l, i, strings.TrimSuffix(l[i], `"`)) },
	"curly quotes": func(l []string, i int) []string {
		return with(l, i, strings.NewReplacer(`: "`, ": “", `- "`, "- “").Replace(l[i]))
	},
}

func with(lines []string, i int, line string) []string {
	lines = slices.Clone(lines)
	lines[i] = line
	return lines
}

func tabs(lines []string, from, width int) []string {
	lines = slices.Clone(lines)
	for i := from; i < len(lines); i++ {
		n := len(lines[i]) - len(strings.TrimLeft(lines[i], " "))
		lines[i] = strings.Repeat("\t", n/width) + strings.Repeat(" ", n%width) + lines[i][n:]
	}
	return lines
}

func join(lines []string, i int) []string {
	if i+1 == len(lines) {
		return lines
	}
	return slices.Concat(lines[:i], []string{lines[i] + " " + strings.TrimSpace(lines[i+1])}, lines[i+2:])
}

// TestFixRestoresTheIntendedAccess makes each mistake in each line of good texts, one at a time. If fix corrects a text and no
// rule denies the result, the access must be that of the good text. For each kind of mistake, the golden file has the number
// of texts in which the mistake changes the access, and the number of those that have the access of the good text after fix.
func TestFixRestoresTheIntendedAccess(t *testing.T) {
	var golden strings.Builder
	for _, name := range slices.Sorted(maps.Keys(mistakes)) {
		harmful, fixed := 0, 0
		for _, good := range goodTexts {
			lines := strings.Split(strings.TrimSuffix(good, "\n"), "\n")
			want := roles(good).Load()
			for i := range lines {
				bad := roles(strings.Join(mistakes[name](lines, i), "\n") + "\n")
				if len(awsauth.DiffAccess(want, bad.Load())) == 0 {
					continue
				}
				harmful++
				result := fix.Object(bad, validate.Policy{})
				same := len(awsauth.DiffAccess(want, result.Object.Load())) == 0
				if same {
					fixed++
				} else if len(result.Fixed) > 0 && len(validate.Evaluate(validate.Change{New: result.Object}, validate.Policy{}).Denied()) == 0 {
					t.Errorf("%s: after the corrections nothing is denied, and the access differs from that of the good text:\n%s\nfixed:\n%s", name, bad.Data["mapRoles"], result.Object.Data["mapRoles"])
				}
			}
		}
		fmt.Fprintf(&golden, "%s: %d of %d\n", name, fixed, harmful)
	}
	compare(t, "testdata/mistakes.golden", golden.String())
}

func roles(text string) *awsauth.Object {
	return &awsauth.Object{Data: map[string]string{"mapRoles": text}}
}
