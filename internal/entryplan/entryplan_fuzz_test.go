package entryplan_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/entryplan"
)

// No text causes a panic, and the same text gives the same findings.
func FuzzEvaluate(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*/*.txtar")
	if err != nil || len(files) == 0 {
		f.Fatal("no cases", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(archive.Files[0].Data)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		first := entryplan.Evaluate(entryplan.Read(src), entryplan.Policy{AdminGroups: []string{"ops"}})
		second := entryplan.Evaluate(entryplan.Read(src), entryplan.Policy{AdminGroups: []string{"ops"}})
		if diff := cmp.Diff(first, second); diff != "" {
			t.Errorf("the findings differ between two runs:\n%s", diff)
		}
	})
}

// A plan with 5,000 faults gives 1,000 findings. The last finding has the number of the faults that are left out.
func TestHostilePlan(t *testing.T) {
	const entries = 5000
	plan := new(entryplan.Plan)
	for range entries {
		plan.Entries = append(plan.Entries, entryplan.Resource[entryplan.Entry]{After: &entryplan.Entry{
			Cluster: entryplan.Text{Value: "prod"}, Principal: entryplan.Text{Value: "arn:aws:iam::111122223333:root"},
		}})
	}
	findings := entryplan.Evaluate(plan, entryplan.Policy{})
	if len(findings) != 1000 || findings[999].Message != "4001 more findings of this rule" {
		t.Errorf("%d findings, the last one is %q", len(findings), findings[len(findings)-1].Message)
	}
}
