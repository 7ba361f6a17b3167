package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Rule is the documentation of a rule of aws-auth or of access entries.
type Rule struct {
	ID       string
	Severity validate.Severity
	Scope    string // document, change, request or plan
	LooksAt  string // a description of the scope
	Title    string
	Doc      string
	Source   string
	// NeverDenies reports that the findings of the rule are always warnings.
	NeverDenies bool
	// Exact reports whether lint --fix corrects findings of the rule.
	Exact bool
}

// fixes says what lint --fix does about the findings of a rule with corrections.
const fixes = "`kubectl awsauth lint --fix` corrects the findings whose hint leaves no choice."

// ScopePlan is the scope of all rules of access entries. Only lint runs these rules.
const ScopePlan = "plan"

// scopes has the name and the description of each scope of a rule of aws-auth.
var scopes = map[validate.Scope]struct{ name, meaning string }{
	validate.OfDocument: {"document", "the text of the object"},
	validate.OfChange:   {"change", "the effective access before and after the change"},
	validate.OfRequest:  {"request", "the request itself, even if the data stays the same"},
}

// NewRule returns the documentation of a rule of aws-auth.
func NewRule(r *validate.Rule) Rule {
	return Rule{r.ID, r.Severity, scopes[r.Scope].name, evaluates(r), r.Title, r.Doc, r.Source, r.NeverDenies, r.Exact}
}

// evaluates returns a description of the input of a rule. For a rule of documents, the description also says how the rule treats a
// fault that the old version already had.
func evaluates(r *validate.Rule) string {
	meaning := scopes[r.Scope].meaning
	switch {
	case r.Scope != validate.OfDocument:
		return meaning
	case r.AlwaysNew:
		return meaning + "; in an update, the rule also reports a fault that the old version already had"
	case r.Severity == validate.Warn:
		return meaning + "; in an update, the rule does not report a fault that the old version already had"
	}
	return meaning + "; in an update, the rule only warns about a fault that the old version already had"
}

// NewEntryRule returns the documentation of a rule of access entries.
func NewEntryRule(r *entryplan.Rule) Rule {
	return Rule{
		ID: r.ID, Severity: r.Severity, Scope: ScopePlan, Title: r.Title, Doc: r.Doc, Source: r.Source,
		LooksAt: "access entries, access policies and clusters in a Terraform plan or a CloudFormation template",
	}
}

// Rules is a list of the documentation of rules.
type Rules []Rule

// AllRules returns the documentation of all rules: first those of aws-auth, and then those of access entries.
func AllRules() Rules {
	var list Rules
	for _, r := range validate.Rules() {
		list = append(list, NewRule(r))
	}
	for _, r := range entryplan.Rules() {
		list = append(list, NewEntryRule(r))
	}
	return list
}

// Text writes a line for each rule with its id, severity and title, sorted by id. The word fix marks the rules with corrections.
func (r Rules) Text(w io.Writer) error {
	var b strings.Builder
	width := 0
	for _, rule := range r {
		width = max(width, len(rule.ID))
	}
	for _, rule := range r.byID() {
		mark := ""
		if rule.Exact {
			mark = "fix"
		}
		fmt.Fprintf(&b, "%-*s  %s  %-3s  %s\n", width, rule.ID, rule.Severity, mark, rule.Title)
	}
	return flush(w, &b)
}

// Markdown writes the list of rules in docs/rules as a table.
func (r Rules) Markdown(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Rules\n\n| rule | severity | looks at | `lint --fix` | finds |\n|---|---|---|---|---|\n")
	for _, rule := range r.byID() {
		mark := ""
		if rule.Exact {
			mark = "corrects it"
		}
		fmt.Fprintf(&b, "| [`%s`](%s.md) | %s | %s | %s | %s |\n", rule.ID, rule.ID, rule.Severity, rule.Scope, mark, strings.ReplaceAll(rule.Title, "|", `\|`))
	}
	return flush(w, &b)
}

// JSON writes the rules as a JSON list.
func (r Rules) JSON(w io.Writer) error {
	list := make([]jsonRule, 0, len(r))
	for _, rule := range r.byID() {
		list = append(list, newJSONRule(rule))
	}
	return writeJSON(w, list)
}

func (r Rules) byID() Rules {
	return slices.SortedFunc(slices.Values(r), func(a, b Rule) int { return cmp.Compare(a.ID, b.ID) })
}

type jsonRule struct {
	ID       string            `json:"id"`
	Severity validate.Severity `json:"severity"`
	Scope    string            `json:"scope"`
	Title    string            `json:"title"`
	Doc      string            `json:"doc"`
	Source   string            `json:"source"`

	NeverDenies bool `json:"neverDenies,omitempty"`
	Exact       bool `json:"fix,omitempty"`
}

func newJSONRule(r Rule) jsonRule {
	return jsonRule{r.ID, r.Severity, r.Scope, r.Title, paragraphs(r.Doc), r.Source, r.NeverDenies, r.Exact}
}

// Text writes the documentation of the rule as text for a terminal.
func (r Rule) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n%s\n\n%s\n\nLooks at: %s.\nSource:   %s\n", r.ID, r.Severity, r.Title, strings.TrimSpace(r.Doc), r.LooksAt, r.Source)
	if r.Exact {
		fmt.Fprintf(&b, "Fix:      %s\n", strings.ReplaceAll(fixes, "`", ""))
	}
	return flush(w, &b)
}

// JSON writes the documentation of the rule as one JSON object.
func (r Rule) JSON(w io.Writer) error { return writeJSON(w, newJSONRule(r)) }

// Markdown writes the page of the rule in docs/rules, without the example.
func (r Rule) Markdown(w io.Writer) error {
	_, err := io.WriteString(w, r.Page())
	return err
}

// Page returns the documentation of the rule in Markdown.
func (r Rule) Page() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n%s.\n\n", r.ID, upperFirst(r.Title))
	fmt.Fprintf(&b, "Severity: %s. Looks at: %s.\n\n", r.Severity, r.LooksAt)
	fmt.Fprintf(&b, "%s\n\n", strings.TrimSpace(r.Doc))
	if r.Exact {
		fmt.Fprintf(&b, "%s\n\n", fixes)
	}
	fmt.Fprintf(&b, "Source: %s.\n\n", strings.TrimSuffix(r.Source, "."))
	if r.Scope == ScopePlan {
		fmt.Fprintf(&b, "Only `kubectl awsauth lint` runs this rule. `--rule %s=warn` turns its denials into warnings, and `--rule %s=off` disables it.\n", r.ID, r.ID)
		return b.String()
	}
	other, effect := validate.Warn, "In a GuardConfig, `warn` admits such a change with a warning, and `off` disables the rule"
	switch {
	case r.NeverDenies:
		other, effect = validate.Off, "This rule never refuses a change. In a GuardConfig, `off` disables it"
	case r.Severity == validate.Warn:
		other, effect = validate.Deny, "In a GuardConfig, `deny` refuses such a change, and `off` disables the rule"
	}
	fmt.Fprintf(&b, "%s:\n\n```yaml\nrules:\n  %s: %s\n```\n", effect, r.ID, other)
	return b.String()
}

// upperFirst capitalizes the first word of a sentence. It leaves a name such as mapRoles or aws-auth unchanged.
func upperFirst(s string) string {
	word, _, _ := strings.Cut(s, " ")
	if strings.ToLower(word) != word || strings.Contains(word, "-") {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// paragraphs joins the lines of each paragraph of a text into one line. It leaves paragraphs with indented lines or lists unchanged.
func paragraphs(doc string) string {
	var list []string
	for p := range strings.SplitSeq(strings.TrimSpace(doc), "\n\n") {
		if !strings.HasPrefix(p, " ") && !strings.Contains(p, "\n ") && !strings.Contains(p, "\n-") {
			p = strings.ReplaceAll(p, "\n", " ")
		}
		list = append(list, p)
	}
	return strings.Join(list, "\n\n")
}
