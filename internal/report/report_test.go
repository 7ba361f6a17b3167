package report_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// hostile are files whose names and values contain control characters and workflow commands of GitHub.
var hostile = []report.File{
	{Name: "a,b:c%.yaml", Objects: 1, Findings: []report.Finding{
		{File: "a,b:c%.yaml", Finding: validate.Finding{
			Rule: "role-path", Severity: validate.Deny, Position: awsauth.Position{Path: "data.mapRoles[0]", Line: 3, Column: 7},
			Message: "a\n::set-output name=x::y\r\x1b[31m \u00a0\u200b é]]><b> 100%0A", Hint: "write\tc",
		}},
		{File: "a,b:c%.yaml", Finding: validate.Finding{Rule: "other-rule", Severity: validate.Warn, Message: "no hint", Position: awsauth.Position{Path: "data"}}},
	}},
	{Name: "<stdin>", Objects: 1, Findings: []report.Finding{
		{File: "<stdin>", Resource: "module.eks.kubernetes_config_map.a", InText: true, Finding: validate.Finding{
			Rule: "role-path", Severity: validate.Warn, Position: awsauth.Position{Path: "data.mapRoles[0].rolearn", Line: 2, Column: 4}, Message: "m",
		}},
		{File: "prod/kube-system/aws-auth", InText: true, Finding: validate.Finding{Rule: "deleted", Severity: validate.Deny, Position: awsauth.Position{Path: "data"}, Message: "gone"}},
	}},
	{Name: "broken\n.yaml", Problems: []report.Problem{
		{File: "broken\n.yaml", Line: 2, Column: 1, Message: "is\n::error::x"},
		{File: "broken\n.yaml", Message: "cannot be read"},
	}},
	{Name: "other.yaml"},
}

// lint is an output format of lint.
type lint interface {
	Add(report.File) error
	End(report.Total) error
}

func write(t *testing.T, form func(io.Writer) lint, files ...report.File) string {
	t.Helper()
	var b bytes.Buffer
	l := form(&b)
	for _, f := range files {
		if err := l.Add(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.End(report.Total{Verdict: validate.ActionDeny}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// For any values, a finding is one line, and its hint is the next line.
func TestTextHasOneLinePerFinding(t *testing.T) {
	want := `a,b:c%.yaml:3:7: deny: a\n::set-output name=x::y\r\x1b[31m \u00a0\u200b é]]><b> 100%0A [role-path]
    hint: write\tc
a,b:c%.yaml:0:0: warn: no hint [other-rule]
<stdin>: module.eks.kubernetes_config_map.a: data.mapRoles[0].rolearn:2:4: warn: m [role-path]
prod/kube-system/aws-auth: data: deny: gone [deleted]
`
	got := write(t, func(w io.Writer) lint { return report.NewText(w, false) }, hostile...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTextHasColours(t *testing.T) {
	want := "<stdin>: x: data: \x1b[1;33mwarn\x1b[0m: m [a]\n<stdin>: x: data: \x1b[1;31mdeny\x1b[0m: m [a]\n"
	f := report.File{}
	for _, severity := range []validate.Severity{validate.Warn, validate.Deny} {
		f.Findings = append(f.Findings, report.Finding{
			File: "<stdin>", Resource: "x", InText: true,
			Finding: validate.Finding{Rule: "a", Severity: severity, Message: "m", Position: awsauth.Position{Path: "data"}},
		})
	}
	if diff := cmp.Diff(want, write(t, func(w io.Writer) lint { return report.NewText(w, true) }, f)); diff != "" {
		t.Error(diff)
	}
}

func TestJSONOfNothing(t *testing.T) {
	for edits, want := range map[bool]string{
		false: "{\n  \"findings\": [],\n  \"errors\": [],\n  \"verdict\": \"deny\"\n}\n",
		true:  "{\n  \"findings\": [],\n  \"access\": [],\n  \"errors\": [],\n  \"verdict\": \"deny\"\n}\n",
	} {
		got := write(t, func(w io.Writer) lint { return report.NewJSON(w, edits) }, report.File{Name: "a"})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

// JSON writes the object in pieces. The result has the indentation of an encoder.
func TestJSON(t *testing.T) {
	got := write(t, func(w io.Writer) lint { return report.NewJSON(w, true) }, append(hostile, report.File{
		Name: "n.yaml", Access: []report.Access{access(nil, map[string]string{"mapAccounts": `["111122223333", "444455556666"]`})},
	})...)
	var order struct {
		Findings []any  `json:"findings"`
		Access   []any  `json:"access"`
		Errors   []any  `json:"errors"`
		Verdict  string `json:"verdict"`
	}
	if err := json.Unmarshal([]byte(got), &order); err != nil {
		t.Fatalf("%v\n%s", err, got)
	}
	if len(order.Findings) != 4 || len(order.Access) != 2 || order.Verdict != "deny" {
		t.Errorf("%+v", order)
	}
	want := []any{
		map[string]any{"file": "broken\n.yaml", "line": 2.0, "column": 1.0, "message": "is\n::error::x"},
		map[string]any{"file": "broken\n.yaml", "line": 0.0, "column": 0.0, "message": "cannot be read"},
	}
	if diff := cmp.Diff(want, order.Errors); diff != "" {
		t.Error(diff)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(strings.TrimSpace(got)), "", "  "); err != nil || indented.String()+"\n" != got {
		t.Errorf("%v: the indentation is wrong (-want +got):\n%s", err, cmp.Diff(indented.String()+"\n", got))
	}
}

// writes records each call of Write.
type writes []string

func (w *writes) Write(p []byte) (int, error) {
	*w = append(*w, string(p))
	return len(p), nil
}

// Add writes all findings of a file with one call of Write.
func TestAddWritesFindingsAtOnce(t *testing.T) {
	for name, form := range map[string]func(io.Writer) lint{
		"text": func(w io.Writer) lint { return report.NewText(w, false) }, "github": func(w io.Writer) lint { return report.NewGitHub(w) },
		"json": func(w io.Writer) lint { return report.NewJSON(w, true) }, "sarif": sarif,
	} {
		var calls writes
		l := form(&calls)
		for i, f := range hostile[:2] {
			if err := l.Add(f); err != nil {
				t.Fatal(err)
			}
			if len(calls) != i+1 || !strings.Contains(calls[i], "role-path") {
				t.Fatalf("%s: Add of file %d does not write the findings with one call:\n%q", name, i, calls)
			}
		}
	}
}

// The formats JUnit and JSON buffer a part of their output. The output for 3,000 files is complete and in order.
func TestOutputOfManyFilesIsComplete(t *testing.T) {
	const files = 3000
	message := strings.Repeat("x", 1000)
	list := make([]report.File, files)
	for i := range list {
		name := fmt.Sprintf("f%05d.yaml", i)
		list[i] = report.File{
			Name: name, Objects: 1,
			Findings: []report.Finding{{File: name, Finding: validate.Finding{Rule: "role-path", Severity: validate.Deny, Message: message}}},
			Access:   []report.Access{access(nil, map[string]string{"mapAccounts": fmt.Sprintf("[%q]", fmt.Sprintf("%012d", i))})},
		}
	}
	var suite struct {
		Suite struct {
			Tests int `xml:"tests,attr"`
			Cases []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	text := write(t, func(w io.Writer) lint { return report.NewJUnit(w) }, list...)
	if err := xml.Unmarshal([]byte(text), &suite); err != nil || suite.Suite.Tests != files || len(suite.Suite.Cases) != files {
		t.Fatalf("%v: %d tests, %d cases", err, suite.Suite.Tests, len(suite.Suite.Cases))
	}
	var object struct {
		Access []struct {
			Principal string `json:"principal"`
		} `json:"access"`
	}
	text = write(t, func(w io.Writer) lint { return report.NewJSON(w, true) }, list...)
	if err := json.Unmarshal([]byte(text), &object); err != nil || len(object.Access) != files {
		t.Fatalf("%v: %d changes", err, len(object.Access))
	}
	for i := range files {
		if name, account := fmt.Sprintf("f%05d.yaml", i), fmt.Sprintf("%012d", i); suite.Suite.Cases[i].Name != name || object.Access[i].Principal != account {
			t.Fatalf("%s and %s are in the place of file %d", suite.Suite.Cases[i].Name, object.Access[i].Principal, i)
		}
	}
}

// No value ends its line, controls a terminal or commands a GitHub runner.
func TestOneLineEscapesControlCharacters(t *testing.T) {
	for text, want := range map[string]string{
		"a\n::error::b\x1b[1m":       `a\n::error::b\x1b[1m`,
		"a ##[error]b ###[group]":    `a #\x23[error]b ##\x23[group]`,
		"  ::stop-commands::x":       `  \x3a:stop-commands::x`,
		"::add-mask::/aws-auth.yaml": `\x3a:add-mask::/aws-auth.yaml`,
		"a::b # [c]":                 "a::b # [c]",
	} {
		if got := report.OneLine(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
	f := report.File{
		Name: "##[a].yaml", Objects: 1, Problems: []report.Problem{{File: "##[a].yaml", Message: "##[b]"}},
		Findings: []report.Finding{{File: "##[a].yaml", Resource: "##[r]", InText: true, Finding: validate.Finding{Rule: "r", Severity: validate.Deny, Message: "##[m]", Hint: "##[h]"}}},
	}
	for name, form := range map[string]func(io.Writer) lint{
		"text": func(w io.Writer) lint { return report.NewText(w, false) }, "github": func(w io.Writer) lint { return report.NewGitHub(w) },
		"junit": func(w io.Writer) lint { return report.NewJUnit(w) },
	} {
		if got := write(t, form, f); strings.Contains(got, "##[") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}

// A command is one line, and no value begins a command.
func TestGitHubValuesInjectNoCommand(t *testing.T) {
	want := `::error file=a%2Cb%3Ac%25.yaml,line=3,col=7,title=role-path::a\n::set-output name=x::y\r\x1b[31m \u00a0\u200b é]]><b> 100%250A%0Awrite\tc
::warning file=a%2Cb%3Ac%25.yaml,title=other-rule::no hint
::warning file=<stdin>,title=role-path::<stdin>: module.eks.kubernetes_config_map.a: data.mapRoles[0].rolearn:2:4: m
::error file=prod/kube-system/aws-auth,title=deleted::prod/kube-system/aws-auth: data: gone
::error file=broken%0A.yaml,line=2,col=1,title=awsauth-guard::is\n::error::x
::error file=broken%0A.yaml,title=awsauth-guard::cannot be read
`
	got := write(t, func(w io.Writer) lint { return report.NewGitHub(w) }, hostile...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// The name of a file can't send control characters to a terminal or a log.
func TestFileNamesAreEscaped(t *testing.T) {
	const name = "a\x1b[2J\x9b\u202e.yaml"
	f := report.File{
		Name: name, Objects: 1, Problems: []report.Problem{{File: name, Line: 1, Column: 1, Message: "m"}},
		Findings: []report.Finding{{File: name, Finding: validate.Finding{Rule: "r", Severity: validate.Deny, Message: "m"}}},
	}
	for form, writer := range map[string]func(io.Writer) lint{
		"text": func(w io.Writer) lint { return report.NewText(w, false) }, "github": func(w io.Writer) lint { return report.NewGitHub(w) },
		"junit": func(w io.Writer) lint { return report.NewJUnit(w) }, "sarif": sarif,
	} {
		if got := write(t, writer, f); strings.ContainsAny(got, "\x1b\u009b\u202e") {
			t.Errorf("%s: %q", form, got)
		}
	}
}

func TestJUnit(t *testing.T) {
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="awsauth-guard" tests="3" failures="2" errors="1">
    <testcase name="a,b:c%.yaml" classname="awsauth-guard" file="a,b:c%.yaml">
      <failure message="1 denial" type="deny">a,b:c%.yaml:3:7: deny: a\n::set-output name=x::y\r\x1b[31m \u00a0\u200b é]]&gt;&lt;b&gt; 100%0A [role-path]&#xA;    hint: write\tc&#xA;</failure>
      <system-out>a,b:c%.yaml:0:0: warn: no hint [other-rule]&#xA;</system-out>
    </testcase>
    <testcase name="&lt;stdin&gt;" classname="awsauth-guard" file="&lt;stdin&gt;">
      <failure message="1 denial" type="deny">prod/kube-system/aws-auth: data: deny: gone [deleted]&#xA;</failure>
      <system-out>&lt;stdin&gt;: module.eks.kubernetes_config_map.a: data.mapRoles[0].rolearn:2:4: warn: m [role-path]&#xA;</system-out>
    </testcase>
    <testcase name="broken\n.yaml" classname="awsauth-guard" file="broken\n.yaml">
      <error message="the file could not be evaluated" type="error">broken\n.yaml:2:1: error: is\n::error::x&#xA;broken\n.yaml: error: cannot be read&#xA;</error>
    </testcase>
  </testsuite>
</testsuites>
`
	got := write(t, func(w io.Writer) lint { return report.NewJUnit(w) }, hostile...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTotal(t *testing.T) {
	for want, total := range map[string]report.Total{
		"1 file, 0 aws-auth: nothing found":                     {Files: 1},
		"10000 files, 9990 aws-auth: 3 denied, 5 with warnings": {Files: 10000, Objects: 9990, Denied: 3, Warned: 5},
		"4 files, 2 aws-auth: 1 with errors, 1 not read":        {Files: 4, Objects: 2, Problems: 1, Unread: 1},
	} {
		if got := total.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func page(r *validate.Rule) string { return report.NewRule(r).Page() }

// The page of a rule has its title, severity, scope, text and source, and the severities that a GuardConfig can set.
func TestRuleMarkdown(t *testing.T) {
	got := page(&validate.Rule{
		ID: "some-rule", Severity: validate.Warn, Scope: validate.OfChange, Title: "something is wrong",
		Doc: "\nIt hurts\na lot.\n\nDo not.", Source: "a book.",
	})
	want := "# some-rule\n\nSomething is wrong.\n\n" +
		"Severity: warn. Looks at: the effective access before and after the change.\n\n" +
		"It hurts\na lot.\n\nDo not.\n\nSource: a book.\n\n" +
		"In a GuardConfig, `deny` refuses such a change, and `off` disables the rule:\n\n" +
		"```yaml\nrules:\n  some-rule: deny\n```\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	never := page(&validate.Rule{ID: "r", Severity: validate.Warn, NeverDenies: true, Title: "it is not known"})
	if want := "\n\nThis rule never refuses a change. In a GuardConfig, `off` disables it:\n\n```yaml\nrules:\n  r: off\n```\n"; !strings.HasSuffix(never, want) || strings.Contains(never, "deny") {
		t.Errorf("a rule that never denies:\n%s", never)
	}
	always := page(&validate.Rule{ID: "r", Severity: validate.Deny, AlwaysNew: true, Title: "it is not known"})
	if want := "; in an update, the rule also reports a fault that the old version already had.\n"; !strings.Contains(always, want) {
		t.Errorf("a rule whose faults are always new:\n%s", always)
	}
	for title, want := range map[string]string{"mapRoles is wrong": "mapRoles is wrong.", "aws-auth is gone": "aws-auth is gone.", "a key is wrong": "A key is wrong."} {
		for severity, old := range map[validate.Severity]string{validate.Deny: "only warns about", validate.Warn: "does not report"} {
			got := page(&validate.Rule{ID: "r", Severity: severity, Scope: validate.OfDocument, Title: title})
			if old = "the rule " + old + " a fault that the old version already had.\n"; !strings.Contains(got, "\n"+want+"\n") || !strings.Contains(got, old) {
				t.Errorf("no %q or %q in\n%s", want, old, got)
			}
		}
	}
}
