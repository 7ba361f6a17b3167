package chart_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
)

// TestCertManagerManifests compares what is there for installations without Helm with the chart.
func TestCertManagerManifests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../certs/cert-manager.yaml")
	if err != nil {
		t.Fatal(err)
	}
	specs := func(objects []object) map[string]any {
		found := make(map[string]any)
		for i := range objects {
			if o := &objects[i]; o.GroupVersionKind().Group == "cert-manager.io" {
				found[o.GetNamespace()+" "+o.id()] = o.Object["spec"]
			}
		}
		return found
	}
	if diff := cmp.Diff(specs(render(t, "cert-manager")), specs(decode(t, string(text)))); diff != "" {
		t.Errorf("certs/cert-manager.yaml (-chart +it):\n%s", diff)
	}
}

// TestDevCA: it makes no keys in the repository, and no folder for them.
func TestDevCA(t *testing.T) {
	t.Parallel()
	repository := t.TempDir()
	if err := os.MkdirAll(filepath.Join(repository, "charts", "awsauth-guard"), 0o750); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "--quiet", repository).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), "../../certs/dev-ca.sh", filepath.Join(repository, "new", "folder")).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "is in the repository") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(repository, "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder is there: %v", err)
	}
}

// TestInstallValues renders the values that docs/install.md begins with.
func TestInstallValues(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`(?s)\$ cat > guard\.yaml\n(.*?)\$ `).FindSubmatch(page)
	if match == nil {
		t.Fatal("the page has no guard.yaml")
	}
	file := filepath.Join(t.TempDir(), "guard.yaml")
	if err := os.WriteFile(file, match[1], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := template(t, "--values", file); err != nil {
		t.Error(err)
	}
}

// TestWithoutHelm renders the chart as docs/install.md says for kubectl, which takes what is there for helm test for
// objects like any other, and would leave the right to create ConfigMaps in kube-system.
func TestWithoutHelm(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile("`helm template NAME CHART ([^`]*)`").FindSubmatch(page)
	if match == nil {
		t.Fatal("the page has no helm template")
	}
	text, err := helm(t, append([]string{"template", release, chart}, strings.Fields(string(match[1]))...)...)
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, text)
	if pods := one[appsv1.Deployment](t, objects); pods.Namespace != namespace {
		t.Errorf("the pods are in the namespace %q", pods.Namespace)
	}
	for i := range objects {
		if o := &objects[i]; o.isTest() || o.GetName() == release+"-test" {
			t.Errorf("%s is for helm test alone", o.id())
		}
	}
}

// TestNotes: they say what is seen, and when helm test cannot succeed.
func TestNotes(t *testing.T) {
	t.Parallel()
	const says = "helm test fails with these values"
	for set, want := range map[string]bool{
		"guardConfig.mode=enforce":                                 false,
		"guardConfig.rules.yaml-syntax=deny":                       false,
		"guardConfig.rules.yaml-syntax=off":                        true,
		"guardConfig.rules.yaml-syntax=false":                      true,
		"guardConfig.rules.yaml-syntax=warn":                       true,
		"guardConfig.rules.yaml-syntax=warn,guardConfig.mode=warn": false,
		"guardConfig.rules.yaml-syntax=off,guardConfig.mode=warn":  true,
	} {
		text := notes(t, release, set)
		if got := strings.Contains(text, says); got != want {
			t.Errorf("%s: the notes say %q: %t, want %t", set, says, got, want)
		}
		see := "see it refuse an aws-auth that cannot be read"
		if strings.Contains(set, "mode=warn") {
			see = "see it warn of an aws-auth that cannot be read"
		}
		if !strings.Contains(text, see) {
			t.Errorf("%s: the notes do not say %q", set, see)
		}
	}
}

// TestNotesOnIAM: their policies are those of docs/iam, which no chart can hold, without what is not known of the account.
func TestNotesOnIAM(t *testing.T) {
	t.Parallel()
	var want []any
	for _, file := range []struct {
		name    string
		unknown *strings.Replacer // and what stands there instead
	}{
		{"permissions", strings.NewReplacer("arn:aws:iam::111122223333:", "arn:*:iam::*:")}, // IAM answers for the own account only
		{"trust-pod-identity", strings.NewReplacer()},
		{"trust-irsa", strings.NewReplacer("oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE", "ISSUER", "111122223333", "ACCOUNT")},
	} {
		text, err := os.ReadFile("../../docs/iam/" + file.name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, policies(t, file.unknown.Replace(string(text)))...)
	}
	if diff := cmp.Diff(want, policies(t, notes(t, release, "guardConfig.iam.mode=warn"))); diff != "" {
		t.Errorf("policies (-docs/iam +notes):\n%s", diff)
	}
	for _, off := range []string{"guardConfig.iam.mode=off", "guardConfig.iam.mode=false", "guardConfig.mode=warn"} {
		if text := notes(t, release, off); strings.Contains(text, "IAM") || len(policies(t, text)) > 0 {
			t.Errorf("%s, and the notes have\n%s", off, text)
		}
	}
}

// notes are what Helm prints after an installation.
func notes(t *testing.T, release, set string) string {
	t.Helper()
	text, err := helm3.run(t, cluster.Kubeconfig, "install", release, chart, "--dry-run=client", "--namespace", namespace, "--set", set)
	if err != nil {
		t.Fatal(err)
	}
	_, notes, found := strings.Cut(text, "\nNOTES:\n")
	if !found {
		t.Fatal("there are no notes")
	}
	return notes
}

// policies are those of AWS in a text, without the names of their statements.
func policies(t *testing.T, text string) (list []any) {
	t.Helper()
	for {
		i := strings.Index(text, "{")
		if i < 0 {
			return list
		}
		d := json.NewDecoder(strings.NewReader(text[i:]))
		var policy struct {
			Version   string           `json:"Version"`
			Statement []map[string]any `json:"Statement"`
		}
		d.DisallowUnknownFields()
		if err := d.Decode(&policy); err != nil {
			t.Fatalf("%v in\n%s", err, text[i:])
		}
		for _, statement := range policy.Statement {
			delete(statement, "Sid")
		}
		list = append(list, policy)
		text = text[i+int(d.InputOffset()):]
	}
}
