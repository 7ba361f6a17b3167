package entryplan_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// testCase is a plan or a template with the expected findings. A case whose name begins with bad has only findings of its
// rule. A case whose name begins with ok has no findings. A case with another name comes from the public report in its
// comment. It has a finding of its rule and may have others.
type testCase struct {
	file    string
	archive *txtar.Archive
	plan    *entryplan.Plan
	policy  entryplan.Policy
}

// read reads the sections of a case. These are one of plan.json, template.yaml and template.json, and want. A case may also
// have aws-auth.yaml, which is the aws-auth in the same plan, and policy.yaml.
func read(t *testing.T, file string) testCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := testCase{file: file, archive: archive}
	if strings.TrimSpace(string(archive.Comment)) == "" {
		t.Error("the comment of the case is empty")
	}
	var mapped []awsauth.Principal
	for _, f := range archive.Files {
		switch f.Name {
		case "plan.json", "template.yaml", "template.json":
			if c.plan = entryplan.Read(f.Data); c.plan == nil {
				t.Fatalf("%s has no resource that the rules check", f.Name)
			}
		case "aws-auth.yaml":
			manifests, errs := awsauth.ParseManifests(f.Data)
			if len(errs) > 0 || len(manifests) != 1 {
				t.Fatal(errs)
			}
			mapped = manifests[0].Object.Load().Principals()
		case "policy.yaml":
			if err := yaml.UnmarshalStrict(f.Data, &c.policy); err != nil {
				t.Fatal(err)
			}
		case "want":
		default:
			t.Fatalf("unknown section %s", f.Name)
		}
	}
	if c.plan == nil {
		t.Fatal("the case has no section plan.json, template.yaml or template.json")
	}
	c.plan.Mapped = mapped
	return c
}

// check compares the findings with the section want. If UPDATE_GOLDEN is set, it writes the section instead.
func (c *testCase) check(t *testing.T) []entryplan.Finding {
	t.Helper()
	findings := entryplan.Evaluate(c.plan, c.policy)
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%d:%d: %s: %s: %s: %s [%s]\n", f.Line, f.Column, f.Resource, f.Path, f.Severity, f.Message, f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", f.Hint)
		}
	}
	want := ""
	c.archive.Files = slices.DeleteFunc(c.archive.Files, func(f txtar.File) bool {
		if f.Name == "want" {
			want = string(f.Data)
		}
		return f.Name == "want"
	})
	if os.Getenv("UPDATE_GOLDEN") != "" && want != b.String() {
		c.archive.Files = append(c.archive.Files, txtar.File{Name: "want", Data: []byte(b.String())})
		if err := os.WriteFile(c.file, txtar.Format(c.archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return findings
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	return findings
}

// Every rule reports its bad cases, and reports nothing in its ok cases. Severity off removes the findings of the rule, and
// WarnOnly turns every denial into a warning.
func TestRules(t *testing.T) {
	for _, rule := range entryplan.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			files, err := filepath.Glob("testdata/rules/" + rule.ID + "/*.txtar")
			if err != nil {
				t.Fatal(err)
			}
			kinds := make(map[string]int)
			for _, file := range files {
				kind, _, _ := strings.Cut(filepath.Base(file), "-")
				kinds[kind]++
				t.Run(filepath.Base(file), func(t *testing.T) { checkRule(t, rule, kind, file) })
			}
			if kinds["bad"] == 0 || kinds["ok"] == 0 {
				t.Errorf("the cases are %v, but a rule needs bad and ok cases", kinds)
			}
		})
	}
}

func checkRule(t *testing.T, rule *entryplan.Rule, kind, file string) {
	t.Helper()
	c := read(t, file)
	findings := c.check(t)
	other := func(f entryplan.Finding) bool { return f.Rule != rule.ID }
	switch own := slices.ContainsFunc(findings, func(f entryplan.Finding) bool { return f.Rule == rule.ID }); {
	case kind == "ok" && len(findings) > 0:
		t.Errorf("an ok case has findings: %v", findings)
	case kind == "bad" && slices.ContainsFunc(findings, other):
		t.Errorf("a bad case has findings of other rules: %v", findings)
	case kind != "ok" && !own:
		t.Error("no finding of the rule")
	}
	c.policy.Rules = map[string]validate.Severity{rule.ID: validate.Off}
	if off := entryplan.Evaluate(c.plan, c.policy); slices.ContainsFunc(off, func(f entryplan.Finding) bool { return f.Rule == rule.ID }) {
		t.Errorf("severity off leaves findings: %v", off)
	}
	c.policy.Rules, c.policy.WarnOnly = nil, true
	if warned := entryplan.Evaluate(c.plan, c.policy); len(warned) != len(findings) || slices.ContainsFunc(warned, func(f entryplan.Finding) bool { return f.Severity == validate.Deny }) {
		t.Errorf("WarnOnly leaves a denial, or changes the number of findings: %v", warned)
	}
}

// Whole plans and templates of real tools give the expected findings. Those whose names begin with ok give none.
func TestPlans(t *testing.T) {
	files, err := filepath.Glob("testdata/plans/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no plans", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c := read(t, file)
			if findings := c.check(t); strings.HasPrefix(filepath.Base(file), "ok-") && len(findings) > 0 {
				t.Errorf("an ok plan has findings: %v", findings)
			}
		})
	}
}

// Each rule has a severity, a title, a document, a source, and an id that no other rule has, not even a rule of aws-auth.
func TestRulesAreWellFormed(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	ids := make(map[string]bool)
	for _, rule := range validate.Rules() {
		ids[rule.ID] = true
	}
	for _, rule := range entryplan.Rules() {
		if !kebab.MatchString(rule.ID) || ids[rule.ID] {
			t.Errorf("id %q is not kebab case or not unique", rule.ID)
		}
		ids[rule.ID] = true
		if rule.Severity != validate.Deny && rule.Severity != validate.Warn {
			t.Errorf("%s: severity %q", rule.ID, rule.Severity)
		}
		if rule.Source == "" || len(strings.TrimSpace(rule.Doc)) < 80 || rule.Title == "" || strings.HasSuffix(rule.Title, ".") || strings.Contains(rule.Title, "\n") {
			t.Errorf("%s lacks a source, a document or a title of one line", rule.ID)
		}
	}
	entries, err := os.ReadDir("testdata/rules")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !ids[entry.Name()] {
			t.Errorf("testdata/rules/%s has no rule", entry.Name())
		}
	}
}
