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

// Page returns the text of docs/efficacy.md. root is the folder of the repository.
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
	b.WriteString("\n## Reports of a harmless change\n\nA finding here would be a false alarm.\n\n" + tableHead)
	for i := range rows {
		if r := &rows[i]; r.Harmless && !r.Shape {
			n++
			row(&b, root, n, r)
		}
	}
	b.WriteString("\n## Harmless files and changes\n\nThe forms that public tools and guides write. A finding here would be a false alarm.\n\n| | file or change | guard | Rego |\n|---|---|---|---|\n")
	for i := range rows {
		if r := &rows[i]; r.Shape {
			n++
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", number(root, n, r), cell(r.What), guardCell(r), regoCell(r.Rego))
		}
	}
	b.WriteString("\n## Reports that a webhook can't see\n\n| | report | what went wrong | why a webhook can't see it |\n|---|---|---|---|\n")
	for i := range rows {
		if r := &rows[i]; r.Unseen != "" {
			n++
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", number(root, n, r), link(r), cell(r.What), cell(r.Unseen))
		}
	}
	return b.Bytes()
}

const head = `<!-- Written by make efficacy. Do not edit. -->
# Efficacy: public reports, and the guard's answers

Public reports of accidents with aws-auth. Each is evaluated three times: by the guard, by aws-iam-authenticator v0.7.18 without
the guard, and by a policy of four rules in Rego.

| | |
|---|---|
| the guard | refuses %d of %d, and warns about %d more |
| the policy in Rego | refuses %d of %d |
| the authenticator | writes an error to its log for %d of %d; it refuses nothing |
| false alarms in %d harmless files and changes | guard %d, Rego %d |
| reports that a webhook can't see | %d |

**Configuration.** The guard runs with its defaults. If an administrator could log in before the change, this administrator is
the only protected principal, also for the policy in Rego. The policy,
[awsauth.rego](../test/bench/rego/awsauth.rego), has four rules:

- *parses*: each section parses and is a list.
- *admin*: the protected principal has its groups.
- *shape*: every ARN is that of a role without a path, of a user or of root.
- *duplicates*: no ARN occurs twice.

**The authenticator's column** has the answers of the program itself, before and after the change, for every principal that
the old or the new text names: whether it logs an error, how much of a section it loads, which principals it now refuses, which
ARNs never match, and which principals log in without a username. For a role, the test sends the session ARN that STS returns, which
doesn't have the role's path.

**Limits of this page**

- The authors knew these reports when they wrote the rules. So the page shows that the guard catches known faults. It doesn't
  show how many unreported faults the guard catches.
- Most reports show only a part of the text, and some show no text. The number of each row links to the evaluated change. The
  authors reconstructed it from the report and changed the names.
- EKS Distro publishes v0.7.18 with patches for Kubernetes 1.30 to 1.37. AWS doesn't publish the configuration that EKS uses. Newer
  clusters also have a webhook of EKS with unknown rules. Older reports are about older versions, which didn't read roleARN, for
  example.
- Kubernetes evaluates usernames and groups after the authenticator: a node may log in and still have no rights.
- The harmless files and changes were made after public forms, by the authors of the rules. Real files have more variety.
- A refusal isn't always the better answer. The guard only warns if every principal logs in as the text says, for example about
  duplicate entries that eksctl leaves behind. It also only warns if EKS itself makes the change. If the policy refuses such a
  change, EKS can't create a node group.
- We wrote the policy in Rego, as an example of what a platform engineer can write in an afternoon. A longer policy catches more.
  The four rules don't look at the object before the change.

`

const tableHead = "| | report | what went wrong | guard | authenticator by itself | Rego |\n|---|---|---|---|---|---|\n"

func row(b *bytes.Buffer, root string, n int, r *Row) {
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", number(root, n, r), link(r), cell(r.What),
		guardCell(r), r.Authenticator, regoCell(r.Rego))
}

// number returns the row's number. If the report has a case, the number is a link to it.
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

// cell escapes the characters of a text that Markdown reads as markup or as the end of a cell.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "[", `\[`, "*", `\*`, "_", `\_`).Replace(text)
}

// guardCell returns the action of the guard and the ids of the rules that caused it. The rule of the case comes
// first. For a denial these are the rules that deny, and for a warning the rules that warn.
func guardCell(r *Row) string {
	if r.Guard.Action == validate.ActionAllow {
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
