package report_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestText: a finding is one line, its hint the next, whatever its values hold.
func TestText(t *testing.T) {
	l := report.Lint{Verdict: validate.Refuse, Findings: []report.Finding{
		{File: "a.yaml", Finding: validate.Finding{
			Rule: "some-rule", Severity: validate.Deny, Place: awsauth.Place{Path: "data.mapRoles[0]", Line: 3, Column: 7},
			Message: "a\nb\x1b[31m \u00a0\u200b é", Hint: "write\tc",
		}},
		{File: "b.yaml", Finding: validate.Finding{Rule: "other-rule", Severity: validate.Warn, Message: "no hint"}},
	}}
	var got bytes.Buffer
	if err := l.Text(&got); err != nil {
		t.Fatal(err)
	}
	want := `a.yaml:3:7: deny: a\nb\x1b[31m \u00a0\u200b é [some-rule]
    hint: write\tc
b.yaml:0:0: warn: no hint [other-rule]
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
}

func TestJSONOfNothing(t *testing.T) {
	var got bytes.Buffer
	if err := (report.Lint{Verdict: validate.Allow}).JSON(&got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\n  \"verdict\": \"allow\",\n  \"findings\": []\n}\n", got.String()); diff != "" {
		t.Error(diff)
	}
}
