package fix_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

const (
	rulesDir    = "../validate/testdata/rules"
	fixedGolden = "testdata/fixed.golden"
)

// TestFixLeavesNoFindingOfTheRule fixes every bad case of every rule. If each finding of the rule has a correction, no finding
// of the rule may be left. A rule must have Exact set if and only if one of its findings has a correction in a case, or is
// fixed in a report. The golden file lists the cases of such rules: those without a finding of the rule afterwards, those in
// which only some findings have a correction, and the others.
func TestFixLeavesNoFindingOfTheRule(t *testing.T) {
	var golden strings.Builder
	reported := fixedInReports(t)
	for _, rule := range validate.Rules() {
		var fixed, partly, left []string
		for _, c := range cases(t, rule.ID) {
			if c.Kind() == rulecase.OK || c.Change.New == nil {
				continue
			}
			name := strings.TrimSuffix(filepath.Base(c.File), ".txtar")
			t.Run(rule.ID+"/"+name, func(t *testing.T) {
				offered, total := corrections(c, rule.ID)
				switch gone := testBad(t, c, rule.ID); {
				case offered > 0 && offered == total && !gone:
					t.Error("each finding of the rule has a correction, but the fixed text has the finding")
				case gone && total > 0:
					fixed = append(fixed, name)
				case offered > 0:
					partly = append(partly, name)
				default:
					left = append(left, name)
				}
			})
		}
		if exact := len(fixed)+len(partly) > 0 || slices.Contains(reported, rule.ID); rule.Exact != exact {
			t.Errorf("%s: Exact is %t, and its cases with corrections are %q", rule.ID, rule.Exact, append(fixed, partly...))
		}
		if rule.Exact {
			fmt.Fprintf(&golden, "%s: %d of %d\n", rule.ID, len(fixed), len(fixed)+len(partly)+len(left))
			for _, list := range []struct {
				name  string
				cases []string
			}{{"fixed", fixed}, {"partly", partly}, {"left", left}} {
				if len(list.cases) > 0 {
					fmt.Fprintf(&golden, "    %s: %s\n", list.name, strings.Join(list.cases, ", "))
				}
			}
		}
	}
	compare(t, fixedGolden, golden.String())
}

// fixedInReports returns the rules of the findings that fix corrects in the reports.
func fixedInReports(t *testing.T) (rules []string) {
	t.Helper()
	for _, file := range reports(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range fix.Object(manifest(t, archive.Files[0].Data).Object, validate.Policy{}).Fixed {
			rules = append(rules, f.Rule)
		}
	}
	return rules
}

func reports(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/reports/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no reports: %v", err)
	}
	return files
}

// TestFixOfReports fixes texts of public reports. Scripts and blogs have made these texts. A report has three sections for the
// result: fixed.yaml has the fixed text, fixed has the rules and hints of the corrected findings, and left has the remaining
// findings.
func TestFixOfReports(t *testing.T) {
	for _, file := range reports(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src := archive.Files[0].Data
			fixed, result, err := fix.Manifest(src, manifest(t, src).Line, validate.Policy{})
			if err != nil {
				t.Fatal(err)
			}
			var left strings.Builder
			for _, f := range validate.Corrections(manifest(t, fixed).Object, validate.Policy{}) {
				fmt.Fprintf(&left, "%d:%d: %s: %s [%s]\n", f.Line, f.Column, f.Severity, f.Message, f.Rule)
			}
			var rules strings.Builder
			for _, f := range result.Fixed {
				fmt.Fprintf(&rules, "%s: %s\n", f.Rule, f.Hint)
			}
			got := &txtar.Archive{Comment: archive.Comment, Files: []txtar.File{
				archive.Files[0], {Name: "fixed.yaml", Data: fixed}, {Name: "fixed", Data: []byte(rules.String())}, {Name: "left", Data: []byte(left.String())},
			}}
			compare(t, file, string(txtar.Format(got)))
		})
	}
}

// compare compares a text with a golden file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func cases(t *testing.T, rule string) []*rulecase.Case {
	t.Helper()
	all, err := rulecase.Glob(filepath.Join(rulesDir, rule, "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// corrections counts the findings of a rule, and those with a correction.
func corrections(c *rulecase.Case, rule string) (offered, total int) {
	for _, f := range validate.Corrections(c.Change.New, c.Policy) {
		if f.Rule == rule {
			total++
			if f.Correction != nil {
				offered++
			}
		}
	}
	return offered, total
}

// testBad fixes a bad case and reports whether the text had a finding of the rule and has none afterwards. It checks that no
// principal loses its login, and that a second run changes nothing.
func testBad(t *testing.T, c *rulecase.Case, rule string) (gone bool) {
	t.Helper()
	src := c.Manifest(false)
	before := manifest(t, src)
	fixed, result, err := fix.Manifest(src, before.Line, c.Policy)
	if err != nil {
		t.Fatalf("fix: %v", err)
	}
	if changed := !bytes.Equal(fixed, src); changed != (len(result.Fixed) > 0) {
		t.Errorf("the text changed: %t, but %d findings are fixed", changed, len(result.Fixed))
	}
	after := manifest(t, fixed)
	if diff := cmp.Diff(result.Object.Data, after.Object.Data); diff != "" {
		t.Errorf("the file differs from the result (-result +file):\n%s", diff)
	}
	for _, change := range awsauth.DiffAccess(before.Object.Load(), after.Object.Load()) {
		if change.Gone {
			t.Errorf("%s loses its access:\n%s", change.ARN, fixed)
		}
	}
	again, second, err := fix.Manifest(fixed, after.Line, c.Policy)
	if err != nil {
		t.Fatalf("fix again: %v", err)
	}
	if diff := cmp.Diff(string(fixed), string(again)); diff != "" || len(second.Fixed) > 0 {
		t.Errorf("a second run changes the text (-first +second):\n%s", diff)
	}
	ofRule := func(f validate.Finding) bool { return f.Rule == rule }
	return slices.ContainsFunc(validate.Corrections(before.Object, c.Policy), ofRule) && !slices.ContainsFunc(validate.Corrections(after.Object, c.Policy), ofRule)
}

func manifest(t *testing.T, src []byte) awsauth.Manifest {
	t.Helper()
	manifests, errs := awsauth.ParseManifests(src)
	if len(errs) > 0 || len(manifests) != 1 {
		t.Fatalf("%d aws-auth, %v:\n%s", len(manifests), errs, src)
	}
	return manifests[0]
}

// TestFixChangesNoTextWithoutFindings checks that fix does not change the ok cases of all rules.
func TestFixChangesNoTextWithoutFindings(t *testing.T) {
	for _, rule := range validate.Rules() {
		for _, c := range cases(t, rule.ID) {
			if c.Kind() != rulecase.OK || c.Change.New == nil {
				continue
			}
			src := c.Manifest(false)
			if len(validate.Corrections(manifest(t, src).Object, c.Policy)) > 0 {
				continue // the object alone has findings; the change has none, because the old version has the same faults
			}
			fixed, result, err := fix.Manifest(src, manifest(t, src).Line, c.Policy)
			if err != nil || !bytes.Equal(fixed, src) || len(result.Fixed) > 0 {
				t.Errorf("%s: %v, fixed %v:\n%s", c.File, err, result.Fixed, fixed)
			}
		}
	}
}
