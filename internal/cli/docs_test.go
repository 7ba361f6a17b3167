package cli_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// docsDir is the folder with a page for each rule, and a list of the rules.
const docsDir = "../../docs/rules"

// docs/rules has exactly the pages that the test generates from the rules and their cases. UPDATE_GOLDEN=1
// writes them.
func TestRuleDocsAreGenerated(t *testing.T) {
	pages := map[string]string{"README.md": index(t)}
	for _, rule := range validate.Rules() {
		pages[rule.ID+".md"] = report.NewRule(rule).Page() + example(t, rule)
	}
	for _, rule := range entryplan.Rules() {
		pages[rule.ID+".md"] = report.NewEntryRule(rule).Page()
	}
	entries, err := os.ReadDir(docsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		for _, entry := range entries {
			if err := os.Remove(filepath.Join(docsDir, entry.Name())); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range pages {
			writeDoc(t, filepath.Join(docsDir, name), text)
		}
		return
	}
	for _, entry := range entries {
		if _, ok := pages[entry.Name()]; !ok {
			t.Errorf("%s has no rule", filepath.Join(docsDir, entry.Name()))
		}
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(docsDir, name))
		if err != nil {
			t.Errorf("%v; run make generate", err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s is not current (-want +got); run make generate:\n%s", name, diff)
		}
	}
}

// writeDoc writes a file with read permission for all users.
func writeDoc(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func index(t *testing.T) string {
	t.Helper()
	_, table, stderr := run(t.Context(), t, "", "rules", "-o", "markdown")
	if table == "" {
		t.Fatal(stderr)
	}
	return table + "\nA rule of the document checks one version of aws-auth by itself. A rule of the change compares effective access\n" +
		"before and after. A rule of the request checks the request, even if the data stays the same. Only `lint` runs a rule of a plan,\n" +
		"which checks the access entries, access policies and clusters in a Terraform plan or a CloudFormation template.\n\n" +
		"`kubectl awsauth rules ID` prints the page of a rule without its example. `make generate` generates these pages\n" +
		"from the rules and their test cases.\n"
}

// placeholders are the texts in cases that stand for invisible characters.
var placeholders = []string{"<TAB>", "<NBSP>", "<CR>", "<BOM>", "<ZWSP>"}

// example returns the first bad case of a rule, with its findings.
func example(t *testing.T, rule *validate.Rule) string {
	t.Helper()
	files, err := filepath.Glob("../validate/testdata/rules/" + rule.ID + "/bad-*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no bad case: %v", rule.ID, err)
	}
	archive, err := txtar.ParseFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n## Example\n\n%s\n", strings.TrimSpace(string(archive.Comment)))
	for _, part := range []struct{ section, title, language string }{
		{"old.yaml", "The old object:", "yaml"},
		{"aws-auth.yaml", "The new object:", "yaml"},
		{"facts", "The circumstances of the change:", "yaml"},
	} {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == part.section })
		if i < 0 {
			continue
		}
		text := string(archive.Files[i].Data)
		fmt.Fprintf(&b, "\n%s\n\n```%s\n%s\n```\n", part.title, part.language, strings.TrimRight(text, "\n"))
		for _, p := range placeholders {
			if strings.Contains(text, p) {
				fmt.Fprintf(&b, "\n`%s` stands for the character of that name.\n", p)
			}
		}
	}
	c, err := rulecase.Read(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString("\nThe findings. Each begins with its line and column (0:0 if it has no line), path and severity:\n\n```text\n")
	for _, f := range validate.Evaluate(c.Change, c.Policy).Findings { // make generate writes the same findings into the case
		fmt.Fprintf(&b, "%d:%d: %s: %s: %s [%s]\n", f.Line, f.Column, f.Path, f.Severity, f.Message, f.Rule)
		if f.Hint != "" {
			fmt.Fprintf(&b, "    hint: %s\n", f.Hint)
		}
	}
	b.WriteString("```\n")
	return b.String()
}

// kubectl awsauth rules ID -o markdown prints the beginning of the rule's page.
func TestRulesCommandPrintsStartOfPage(t *testing.T) {
	for _, rule := range report.AllRules() {
		_, text, stderr := run(t.Context(), t, "", "rules", rule.ID, "-o", "markdown")
		page, err := os.ReadFile(filepath.Join(docsDir, rule.ID+".md"))
		if err != nil || text == "" || !strings.HasPrefix(string(page), text) {
			t.Errorf("%s: %v %s", rule.ID, err, stderr)
		}
	}
}
