package efficacy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/test/bench/efficacy"
)

const root = "../../.."

// TestPage: docs/efficacy.md is up to date, and the guard gives the expected answer for every report.
func TestPage(t *testing.T) {
	rows, err := efficacy.Rows(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		if err := rows[i].Check(); err != nil {
			t.Errorf("%s: %v", rows[i].Name(), err)
		}
	}
	file := filepath.Join(root, "docs", "efficacy.md")
	page := efficacy.Page(root, rows)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(file, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	committed, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(committed), string(page)); diff != "" {
		t.Errorf("docs/efficacy.md is not what make efficacy writes (-committed +new):\n%s", diff)
	}
}

// TestReports: every report has an address and a description, and either a case or the reason why a webhook can't see the
// fault. No two reports have the same address.
func TestReports(t *testing.T) {
	reports, err := efficacy.Reports(root)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i := range reports {
		r := &reports[i]
		if r.Shape {
			continue
		}
		if seen[r.URL] {
			t.Errorf("two reports have the address %s", r.URL)
		}
		seen[r.URL] = true
		if r.Name() == "" || r.What == "" || (r.Case == nil && r.Unseen == "") {
			t.Errorf("%s: name %q, what %q, unseen %q", r.URL, r.Name(), r.What, r.Unseen)
		}
	}
}
