package validate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// rulesDir holds a folder of cases for each rule.
const rulesDir = "testdata/rules"

func TestRules(t *testing.T) {
	for _, rule := range validate.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			kinds := make(map[rulecase.Kind]int)
			for _, c := range cases(t, filepath.Join(rulesDir, rule.ID, "*.txtar")) {
				kinds[c.Kind()]++
				t.Run(filepath.Base(c.File), func(t *testing.T) { testCase(t, rule, c) })
			}
			if kinds[rulecase.Bad] == 0 || kinds[rulecase.OK] == 0 {
				t.Errorf("the cases are %v, but a rule needs bad and ok cases", kinds)
			}
		})
	}
}

func testCase(t *testing.T, rule *validate.Rule, c *rulecase.Case) {
	t.Helper()
	verdict := evaluateCase(t, c)
	switch c.Kind() {
	case rulecase.OK:
		if len(verdict.Findings) > 0 {
			t.Errorf("an ok case has findings:\n%s", text(verdict))
		}
		return
	case rulecase.Bad:
		if diff := cmp.Diff([]string{rule.ID}, verdict.Rules()); diff != "" {
			t.Errorf("rules of a bad case (-want +got):\n%s", diff)
		}
	case rulecase.Report:
		if !strings.Contains(c.Comment, "https://") {
			t.Error("the comment does not contain the URL of the report")
		}
	}
	if !slices.ContainsFunc(verdict.Findings, func(f validate.Finding) bool { return f.Rule == rule.ID && f.Severity == rule.Severity }) {
		t.Errorf("no finding of the rule at its severity, %s", rule.Severity)
	}
}

// TestNeverDenies checks at severity deny that a rule with NeverDenies denies none of its cases, and that every other
// rule denies at least one. The severity of a rule with NeverDenies must be warn.
func TestNeverDenies(t *testing.T) {
	for _, rule := range validate.Rules() {
		var denies []string
		for _, c := range cases(t, filepath.Join(rulesDir, rule.ID, "*.txtar")) {
			c.Policy.Rules = map[string]validate.Severity{rule.ID: validate.Deny}
			if slices.Contains(validate.Evaluate(c.Change, c.Policy).Denied(), rule.ID) {
				denies = append(denies, c.File)
			}
		}
		if rule.NeverDenies != (len(denies) == 0) {
			t.Errorf("%s: NeverDenies is %t, but the rule denies the cases %q", rule.ID, rule.NeverDenies, denies)
		}
		if rule.NeverDenies && rule.Severity != validate.Warn {
			t.Errorf("%s: NeverDenies is set, but the severity is %s", rule.ID, rule.Severity)
		}
	}
}

// TestVerdict evaluates changes with findings of several rules or with pre-existing findings. It compares the output with
// the section want of each case.
func TestVerdict(t *testing.T) {
	for _, c := range cases(t, "testdata/verdict/*.txtar") {
		t.Run(filepath.Base(c.File), func(t *testing.T) { evaluateCase(t, c) })
	}
}

func TestRulesAreWellFormed(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	folders := map[string]bool{}
	for _, rule := range validate.Rules() {
		if !kebab.MatchString(rule.ID) || folders[rule.ID] {
			t.Errorf("id %q is not kebab case or not unique", rule.ID)
		}
		folders[rule.ID] = true
		if rule.Severity != validate.Deny && rule.Severity != validate.Warn {
			t.Errorf("%s: severity %q", rule.ID, rule.Severity)
		}
		if rule.Source == "" || rule.Check == nil || len(strings.TrimSpace(rule.Doc)) < 80 {
			t.Errorf("%s lacks a source, a check or a document", rule.ID)
		}
		if rule.Title == "" || strings.HasSuffix(rule.Title, ".") || strings.Contains(rule.Title, "\n") {
			t.Errorf("%s: the title %q is not one line without a full stop", rule.ID, rule.Title)
		}
	}
	entries, err := os.ReadDir(rulesDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !folders[entry.Name()] {
			t.Errorf("%s has no rule", filepath.Join(rulesDir, entry.Name()))
		}
	}
}

func cases(t *testing.T, pattern string) []*rulecase.Case {
	t.Helper()
	all, err := rulecase.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// evaluateCase evaluates a case and compares the findings with the expected ones.
func evaluateCase(t *testing.T, c *rulecase.Case) validate.Verdict {
	t.Helper()
	verdict := validate.Evaluate(c.Change, c.Policy)
	got := text(verdict)
	if os.Getenv("UPDATE_GOLDEN") != "" && c.Want != got {
		if err := os.WriteFile(c.File, c.WithWant(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return verdict
	}
	if diff := cmp.Diff(c.Want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	return verdict
}

func text(v validate.Verdict) string {
	var b strings.Builder
	for _, o := range v.Overrides {
		fmt.Fprintf(&b, "override: %s: %s\n", o.Kind, o.Detail)
	}
	if len(v.WouldDeny) > 0 {
		fmt.Fprintf(&b, "would deny: %s\n", strings.Join(v.WouldDeny, ", "))
	}
	for _, f := range v.Findings {
		fmt.Fprintf(&b, "%d:%d: %s: %s: %s [%s]\n", f.Line, f.Column, f.Path, f.Severity, f.Message, f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", f.Hint)
		}
	}
	return b.String()
}
