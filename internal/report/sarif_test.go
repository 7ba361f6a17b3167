package report_test

import (
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

func sarif(w io.Writer) lint { return report.NewSARIF(w, "v1.2.3", "/base") }

// The output conforms to the schema of SARIF 2.1.0, both without findings and with hostile findings.
func TestSARIFSchema(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	schema, err := compiler.Compile(filepath.Join("testdata", "sarif-schema-2.1.0.json"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"hostile": write(t, sarif, hostile...), "nothing": write(t, sarif)} {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
	broken := strings.Replace(write(t, sarif, hostile...), `"level": "warning"`, `"level": "warn"`, 1)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(broken))
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(value) == nil {
		t.Error("the schema accepts a level that does not exist")
	}
}

// sarifLog has the fields of a SARIF log that the tests read.
type sarifLog struct {
	Runs []struct {
		Tool struct {
			Driver struct {
				Rules []struct {
					ID      string `json:"id"`
					HelpURI string `json:"helpUri"`
				} `json:"rules"`
			} `json:"driver"`
		} `json:"tool"`
		ColumnKind  string `json:"columnKind"`
		Invocations []struct {
			Successful bool `json:"executionSuccessful"`
		} `json:"invocations"`
		Results []sarifResult `json:"results"`
	} `json:"runs"`
}

type sarifResult struct {
	RuleID    string `json:"ruleId"`
	RuleIndex *int   `json:"ruleIndex"`
	Level     string `json:"level"`
	Locations []struct {
		Physical struct {
			Artifact struct {
				URI    string `json:"uri"`
				BaseID string `json:"uriBaseId"`
			} `json:"artifactLocation"`
			Region *struct {
				Line int `json:"startLine"`
			} `json:"region"`
		} `json:"physicalLocation"`
		Logical []struct {
			FullName string `json:"fullyQualifiedName"`
		} `json:"logicalLocations"`
	} `json:"locations"`
	Fingerprints map[string]string `json:"partialFingerprints"`
}

func parseSARIF(t *testing.T, files ...report.File) sarifLog {
	t.Helper()
	var log sarifLog
	if err := json.Unmarshal([]byte(write(t, sarif, files...)), &log); err != nil {
		t.Fatal(err)
	}
	return log
}

func TestSARIF(t *testing.T) {
	run := parseSARIF(t, hostile...).Runs[0]
	if run.ColumnKind != "unicodeCodePoints" || run.Invocations[0].Successful {
		t.Errorf("columns %q, successful %t", run.ColumnKind, run.Invocations[0].Successful)
	}
	rules := run.Tool.Driver.Rules
	if len(rules) != len(report.AllRules()) || rules[0].HelpURI != "https://github.com/awsauth-guard/awsauth-guard/blob/main/docs/rules/"+rules[0].ID+".md" {
		t.Errorf("%d rules, the first one's help is at %s", len(rules), rules[0].HelpURI)
	}
	var got []string
	for _, r := range run.Results {
		if r.RuleIndex != nil && rules[*r.RuleIndex].ID != r.RuleID {
			t.Errorf("the rule index of %s is that of %s", r.RuleID, rules[*r.RuleIndex].ID)
		}
		at := r.Locations[0].Physical
		line := r.Level + " " + at.Artifact.BaseID + " " + at.Artifact.URI + " " + r.Locations[0].Logical[0].FullName
		if at.Region != nil {
			line += " with a place"
		}
		got = append(got, line)
	}
	want := []string{
		"error %SRCROOT% ./a,b:c%25.yaml data.mapRoles[0] with a place",
		"warning %SRCROOT% ./a,b:c%25.yaml data",
		"warning %SRCROOT% stdin module.eks.kubernetes_config_map.a.data.mapRoles[0].rolearn",
		"error %SRCROOT% prod/kube-system/aws-auth data",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
}

// The URIs of files in the base folder are relative, as code scanning requires.
func TestSARIFAddress(t *testing.T) {
	for name, want := range map[string]string{
		"./a/b c.yaml":      "%SRCROOT% a/b%20c.yaml",
		"../a.yaml":         "%SRCROOT% ../a.yaml",
		"/base/sub/a.yaml":  "%SRCROOT% sub/a.yaml",
		"/elsewhere/a.yaml": " file:///elsewhere/a.yaml",
		"a:b/c.yaml":        "%SRCROOT% ./a:b/c.yaml",
	} {
		at := parseSARIF(t, report.File{Findings: []report.Finding{{File: name}}}).Runs[0].Results[0].Locations[0].Physical.Artifact
		if got := at.BaseID + " " + at.URI; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// A finding keeps its fingerprint if it moves. Two findings have different fingerprints, even if they are equal.
func TestSARIFFingerprint(t *testing.T) {
	finding := func(line int, path, message string) report.Finding {
		return report.Finding{File: "a.yaml", Finding: validate.Finding{Rule: "r", Message: message, Position: awsauth.Position{Path: path, Line: line, Column: 3}}}
	}
	fingerprints := func(findings ...report.Finding) []string {
		var list []string
		for _, r := range parseSARIF(t, report.File{Findings: findings}).Runs[0].Results {
			list = append(list, r.Fingerprints["awsauthGuard/v1"])
		}
		return list
	}
	first := finding(3, "data.mapRoles[0].rolearn", `"x" stands twice, first on line 2 in data.mapRoles[0]`)
	moved := finding(9, "data.mapRoles[4].rolearn", `"x" stands twice, first on line 8 in data.mapRoles[3]`)
	if diff := cmp.Diff(fingerprints(first), fingerprints(moved)); diff != "" {
		t.Errorf("a finding that has moved has another fingerprint:\n%s", diff)
	}
	different := fingerprints(first, first, finding(3, "data.mapUsers[0].userarn", first.Message), finding(3, first.Path, "y"))
	slices.Sort(different)
	if len(slices.Compact(different)) != 4 {
		t.Errorf("different findings have equal fingerprints: %v", different)
	}
}
