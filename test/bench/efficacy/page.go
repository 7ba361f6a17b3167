package efficacy

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/bench/rego"
)

// Page writes the rows as docs/efficacy.md. root is the folder of the repository.
func Page(root string, rows []Row) []byte {
	var b bytes.Buffer
	t := total(rows)
	fmt.Fprintf(&b, head,
		t.Denied, t.Catchable, t.Warned, t.RegoDenied, t.Catchable, t.Logged, t.Catchable,
		t.Harmless, t.FalseAlarms, t.RegoFalse, t.Unseen)
	b.WriteString("## Reports of faults that a webhook can see\n\n" + tableHead)
	n := 0
	for i := range rows {
		if r := &rows[i]; r.Catchable() {
			n++
			row(&b, root, n, r)
		}
	}
	b.WriteString("\n## Reports of something harmless\n\nA finding here would be a false alarm.\n\n" + tableHead)
	for i := range rows {
		if r := &rows[i]; r.Harmless {
			n++
			row(&b, root, n, r)
		}
	}
	b.WriteString("\n## Reports in which a webhook can see nothing\n\n| | report | what went wrong | why it cannot be seen |\n|---|---|---|---|\n")
	for i := range rows {
		if r := &rows[i]; r.Unseen != "" {
			n++
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", number(root, n, r), link(r), cell(r.What), cell(r.Unseen))
		}
	}
	return b.Bytes()
}

const head = `<!-- Written by make efficacy. Do not edit. -->
# What the guard catches

Public reports of accidents with aws-auth, each judged three times: by the guard, by
aws-iam-authenticator v0.7.18 left to itself, and by a policy of four rules in Rego.

| | |
|---|---|
| the guard | refuses %d of %d, and warns of %d more |
| the policy in Rego | refuses %d of %d |
| the authenticator | writes an error to its log for %d of %d; it refuses nothing |
| false alarms in %d report of something harmless | guard %d, Rego %d |
| reports in which a webhook can see nothing | %d |

**Configuration.** The guard's defaults, and where the map let an administrator in before the change,
that administrator as the one protected principal. The policy in Rego is told of the same one. The
policy, [awsauth.rego](../test/bench/rego/awsauth.rego), asks that each section parses and is a
list (*parses*), that the protected principal is there with its groups (*admin*), that every ARN is
that of a role without a path, of a user or of root (*shape*), and that none stands twice
(*duplicates*).

**The authenticator's column** is what the program itself answers, before and after the change, for
everybody whom the old or the new text names: whether it logs an error, how much of a section it
loads, whom it now refuses, whose ARN never matches, and who gets in without a name. A role's user
arrives as STS shows them, without the role's path.

**What this page cannot show**

- The rules were written with these reports at hand. That each of them is caught says that the
  guard does what it was made for, not how it fares with faults that nobody has reported.
- Most reports show a part of the text, some none. The number of each row leads to the change that is
  judged, rebuilt after the report and with other names.
- EKS runs a version of the authenticator that AWS does not publish, and on newer clusters a webhook
  of its own whose rules are unknown. Older reports are about older versions: roleARN is read today.
- What Kubernetes makes of a username or a group is behind the authenticator: a node may get in and
  still have no rights.
- One harmless report is no measure of false alarms. The tests of each rule hold cases that must
  draw nothing.
- A refusal is not always the better answer. The guard warns where everybody gets in as the text
  says, such as of copies that eksctl leaves behind, and where EKS itself asks: the policy's refusal
  there keeps a node group from being created.
- The policy in Rego is ours. It is meant to be what a platform engineer writes in an afternoon; a
  longer one catches more, and none of the four rules looks at the object before the change.

`

const tableHead = "| | report | what went wrong | guard | authenticator by itself | Rego |\n|---|---|---|---|---|---|\n"

func row(b *bytes.Buffer, root string, n int, r *Row) {
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", number(root, n, r), link(r), cell(r.What),
		guardCell(r), r.Authenticator, regoCell(r.Rego))
}

// number is the row's number, which leads to the case.
func number(root string, n int, r *Row) string {
	if r.Case == nil {
		return fmt.Sprint(n)
	}
	path, err := filepath.Rel(root, r.Case.File)
	if err != nil {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("[%d](../%s)", n, filepath.ToSlash(path))
}

func link(r *Row) string { return fmt.Sprintf("[%s](%s)", r.Name(), r.URL) }

// cell keeps a text from ending its cell or becoming markup.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "[", `\[`, "*", `\*`, "_", `\_`).Replace(text)
}

// guardCell names the rules that decide, the one that answers the report first: those that deny, or
// without any those that warn.
func guardCell(r *Row) string {
	if r.Guard.Action == validate.Allow {
		return "allow"
	}
	rules := r.Guard.Denied()
	if len(rules) == 0 {
		rules = r.Guard.Rules()
	}
	if i := slices.Index(rules, r.Rule); i > 0 {
		rules = slices.Insert(slices.Delete(rules, i, i+1), 0, r.Rule)
	}
	return fmt.Sprintf("**%s** %s", r.Guard.Action, strings.Join(rules, ", "))
}

func regoCell(denials []rego.Denial) string {
	if len(denials) == 0 {
		return "allow"
	}
	var rules []string
	for _, d := range denials {
		if !slices.Contains(rules, d.Rule) {
			rules = append(rules, d.Rule)
		}
	}
	return "**deny** " + strings.Join(rules, ", ")
}
