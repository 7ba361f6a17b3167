package validate_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// facts is the optional section of a case that tells what is done, by whom, and what is protected.
type facts struct {
	Operation validate.Operation
	Requester validate.Requester
	Now       time.Time
	validate.Policy
}

// rulesDir holds a folder for each rule: bad-*.txtar draw this rule and no other, ok-*.txtar draw nothing.
const rulesDir = "testdata/rules"

func TestRules(t *testing.T) {
	for _, rule := range validate.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			bad, ok := cases(t, rule.ID, "bad-*"), cases(t, rule.ID, "ok-*")
			for _, file := range bad {
				t.Run(filepath.Base(file), func(t *testing.T) {
					verdict := judgeCase(t, file)
					if diff := cmp.Diff([]string{rule.ID}, verdict.Rules()); diff != "" {
						t.Errorf("rules of a bad case (-want +got):\n%s", diff)
					}
					if got := verdict.Findings[0].Severity; got != rule.Severity {
						t.Errorf("severity %s, want the rule's %s", got, rule.Severity)
					}
				})
			}
			for _, file := range ok {
				t.Run(filepath.Base(file), func(t *testing.T) {
					if verdict := judgeCase(t, file); len(verdict.Findings) > 0 {
						t.Errorf("an ok case has findings:\n%s", text(verdict))
					}
				})
			}
		})
	}
}

// TestVerdict judges changes in which several rules meet, or in which faults are not new.
func TestVerdict(t *testing.T) {
	files, err := filepath.Glob("testdata/verdict/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { judgeCase(t, file) })
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

func cases(t *testing.T, id, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(rulesDir, id, pattern+".txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no case %s: %v", id, pattern, err)
	}
	return files
}

// judgeCase judges a case and compares the findings with its section want.
func judgeCase(t *testing.T, file string) validate.Verdict {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(bytes.TrimSpace(archive.Comment)) == 0 {
		t.Error("the case does not say what it is about")
	}
	change, policy := readCase(t, archive)
	verdict := validate.Judge(change, policy)
	got := text(verdict)
	want := section(archive, "want")
	if os.Getenv("UPDATE_GOLDEN") != "" && string(want) != got {
		archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
		if got != "" {
			archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
		}
		if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
		return verdict
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	return verdict
}

func readCase(t *testing.T, archive *txtar.Archive) (validate.Change, validate.Policy) {
	t.Helper()
	var f facts
	if err := yaml.UnmarshalStrict(section(archive, "facts"), &f); err != nil {
		t.Fatalf("facts: %v", err)
	}
	for _, file := range archive.Files {
		if !slices.Contains([]string{"aws-auth.yaml", "old.yaml", "facts", "want"}, file.Name) {
			t.Fatalf("unknown section %s", file.Name)
		}
	}
	change := validate.Change{
		Operation: f.Operation,
		Old:       object(t, archive, "old.yaml"),
		New:       object(t, archive, "aws-auth.yaml"),
		Requester: f.Requester,
		Now:       f.Now,
	}
	if change.Operation == validate.Document && change.Old != nil {
		change.Operation = validate.Update
	}
	return change, f.Policy
}

// object reads the one aws-auth of a section. <TAB>, <NBSP> and the like stand for what people cannot see.
func object(t *testing.T, archive *txtar.Archive, name string) *awsauth.Object {
	t.Helper()
	data := section(archive, name)
	if data == nil {
		return nil
	}
	visible := strings.NewReplacer("<TAB>", "\t", "<NBSP>", "\u00a0", "<CR>", "\r", "<BOM>", "\ufeff", "<ZWSP>", "\u200b")
	manifests, errs := awsauth.ParseManifests([]byte(visible.Replace(string(data))))
	if len(errs) > 0 || len(manifests) != 1 {
		t.Fatalf("%s holds %d aws-auth: %v", name, len(manifests), errs)
	}
	return manifests[0].Object
}

func section(archive *txtar.Archive, name string) []byte {
	for _, file := range archive.Files {
		if file.Name == name {
			return file.Data
		}
	}
	return nil
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
