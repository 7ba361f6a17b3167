package iam_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/iam"
)

// docs/reference/iam-results.md explains every reason of the result Unknown.
func TestReasonsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reference/iam-results.md")
	if err != nil {
		t.Fatal(err)
	}
	// The last two reasons come from packages server and admission.
	for _, reason := range append(iam.Reasons(), "the AWS configuration of the guard cannot be used", "too many reviews wait for IAM") {
		if !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("%q is not documented", reason)
		}
	}
}

// The policy files in docs/iam are valid JSON. docs/how-to/give-the-guard-iam.md links each of them and has a command that uses it.
func TestPolicyFilesAreLinkedJSON(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/how-to/give-the-guard-iam.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../docs/iam/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !json.Valid(text) {
			t.Errorf("%s: not JSON, %v", file, err)
		}
		if !strings.Contains(string(page), "(../iam/"+filepath.Base(file)+")") {
			t.Errorf("%s is not linked", file)
		}
		if !strings.Contains(string(page), "file://docs/iam/"+filepath.Base(file)) {
			t.Errorf("no command uses %s", file)
		}
	}
	for _, used := range regexp.MustCompile(`docs/(iam/[a-z-]+\.json)`).FindAllStringSubmatch(string(page), -1) {
		if _, err := os.Stat("../../docs/" + used[1]); err != nil {
			t.Error(err)
		}
	}
}

// The policy docs/iam/permissions.json grants only lookups, in one account.
func TestPolicyGrantsOnlyLookups(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/iam/permissions.json")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Action   []string `json:"Action"`
			Resource []string `json:"Resource"`
		} `json:"Statement"`
	}
	if err := json.Unmarshal(text, &policy); err != nil {
		t.Fatal(err)
	}
	if len(policy.Statement) != 1 {
		t.Fatalf("%d statements", len(policy.Statement))
	}
	got := policy.Statement[0]
	if diff := cmp.Diff([]string{"iam:GetRole", "iam:GetUser"}, got.Action); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"arn:aws:iam::111122223333:role/*", "arn:aws:iam::111122223333:user/*"}, got.Resource); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
