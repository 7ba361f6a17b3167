package iam_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
)

// TestReasonsAreDocumented: docs/iam.md says of every reason what to do.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/iam.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, reason := range iam.Reasons() {
		if !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("%q is not documented", reason)
		}
	}
}

// TestPolicies: the files in docs/iam are JSON, and linked.
func TestPolicies(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/iam.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../docs/iam/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !json.Valid(text) {
			t.Errorf("%s: not JSON, %v", file, err)
		}
		if !strings.Contains(string(page), "(iam/"+filepath.Base(file)+")") {
			t.Errorf("%s is not linked", file)
		}
	}
}
