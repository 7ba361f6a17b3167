package chart_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

// TestCertManagerManifests: certs/cert-manager.yaml, for installations without Helm, has the same Issuers and Certificates as the
// chart with certs.mode cert-manager.
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

// TestDevCA: dev-ca.sh refuses to write keys into the repository, and creates no folder there.
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
		t.Errorf("dev-ca.sh created a folder in the repository: %v", err)
	}
}

// marked returns the code blocks of a page that have the marker.
func marked(t *testing.T, page, marker string) (list []markdown.Block) {
	t.Helper()
	text, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := markdown.Blocks(strings.Split(string(text), "\n"))
	if err != nil {
		t.Fatalf("%s: %v", page, err)
	}
	for _, b := range blocks {
		if b.Marker == marker {
			list = append(list, b)
		}
	}
	return list
}

// valuesFile writes a block with values to the file values.yaml and returns its path.
func valuesFile(t *testing.T, dir string, values markdown.Block) string {
	t.Helper()
	file := filepath.Join(dir, "values.yaml")
	if err := os.WriteFile(file, []byte(strings.Join(values.Lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestValuesOnPages: the chart renders with each block of values in the how-to guides.
func TestValuesOnPages(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../../docs/how-to/*.md")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range pages {
		for _, values := range marked(t, strings.TrimPrefix(page, "../../"), "values") {
			count++
			if _, err := template(t, "--values", valuesFile(t, t.TempDir(), values)); err != nil {
				t.Errorf("%s:%d: %v", page, values.First, err)
			}
		}
	}
	if count < 8 {
		t.Errorf("found only %d values", count)
	}
}

// rollOut is the page with the values for an installation.
const rollOut = "docs/how-to/roll-out.md"

// runMarked runs the commands of the blocks with the marker on a page, in the folder dir. It uses the API server of the tests, and
// the chart of this repository in place of the published chart. It uses the namespace into, because the namespace of the pages
// exists already. No pods run, so it leaves out commands and flags that wait for pods.
func runMarked(t *testing.T, dir, into, page, marker string) {
	t.Helper()
	path, err := helm3()
	if err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(chart)
	if err != nil {
		t.Fatal(err)
	}
	blocks := marked(t, page, marker)
	if len(blocks) == 0 {
		t.Fatalf("%s has no block with the marker %q", page, marker)
	}
	for _, b := range blocks {
		commands, err := b.Commands()
		if err != nil {
			t.Fatalf("%s:%d: %v", page, b.First, err)
		}
		for _, c := range commands {
			text := strings.Join(c.Input, "\n")
			if strings.HasPrefix(text, "helm test ") || strings.HasPrefix(text, "kubectl rollout ") {
				continue
			}
			text = strings.NewReplacer(
				"oci://ghcr.io/awsauth-guard/charts/awsauth-guard", folder, " --wait", "",
				"--namespace "+namespace, "--namespace "+into, "-n "+namespace, "-n "+into,
				"create namespace "+namespace, "create namespace "+into, "delete namespace "+namespace, "delete --wait=false namespace "+into,
			).Replace(text)
			cmd := exec.CommandContext(t.Context(), "bash", "-euc", text)
			cmd.Dir = dir
			cmd.Env = []string{
				"HOME=" + t.TempDir(), "KUBECONFIG=" + cluster.Kubeconfig,
				"PATH=" + strings.Join([]string{filepath.Dir(path), filepath.Dir(cluster.Kubectl()), "/usr/bin", "/bin"}, string(os.PathListSeparator)),
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %s: %v\n%s", page, b.First, text, err, out)
			}
		}
	}
}

// TestInstallCommands: the commands of the pages install, upgrade and uninstall the chart.
func TestInstallCommands(t *testing.T) {
	const marker = "held by TestInstallCommands"
	dir := t.TempDir()
	valuesFile(t, dir, marked(t, rollOut, "values")[0])
	const uninstall = "docs/how-to/uninstall.md"
	for _, page := range []string{
		"README.md", uninstall, "charts/awsauth-guard/README.md", uninstall,
		rollOut, "docs/how-to/upgrade.md", "docs/how-to/when-nothing-answers.md", uninstall,
	} {
		runMarked(t, dir, "installed-by-the-pages", page, marker)
	}
}

// TestWithoutHelm: the commands of the page render the chart, apply it with kubectl and remove it. The rendered text
// must not have the objects for helm test. kubectl would create them like all others, and they would keep the right
// to create ConfigMaps in kube-system.
func TestWithoutHelm(t *testing.T) {
	dir := t.TempDir()
	valuesFile(t, dir, marked(t, rollOut, "values")[0])
	const into = "without-helm"
	runMarked(t, dir, into, "docs/how-to/install-without-helm.md", "held by TestWithoutHelm")
	text, err := os.ReadFile(filepath.Join(dir, "awsauth-guard.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	objects := decode(t, string(text))
	if pods := one[appsv1.Deployment](t, objects); pods.Namespace != into {
		t.Errorf("the pods are in the namespace %q", pods.Namespace)
	}
	for i := range objects {
		if o := &objects[i]; o.isTest() || o.GetName() == release+"-test" {
			t.Errorf("the rendered text has %s, which only helm test needs", o.id())
		}
	}
	left, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(t.Context(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release})
	if err != nil || len(left.Items) > 0 {
		t.Errorf("%d webhook configurations are left, %v", len(left.Items), err)
	}
}

// TestNotes: the chart's notes say how a user can see a refusal, or a warning in mode warn. If helm test can't succeed with the
// values, the notes say this, too.
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

// TestNotesOnIAM: if lookups in IAM are on, the notes show the same policies as docs/iam, because a chart can't include these
// files. Placeholders stand for the parts that depend on the account. If lookups are off, the notes show no policy.
func TestNotesOnIAM(t *testing.T) {
	t.Parallel()
	var want []any
	for _, file := range []struct {
		name    string
		unknown *strings.Replacer // replaces the parts that depend on the account by placeholders
	}{
		{"permissions", strings.NewReplacer("arn:aws:iam::111122223333:", "arn:*:iam::*:")}, // IAM answers only for its own account
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

// notes returns the notes that Helm prints after an installation.
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

// policies returns the AWS policies in a text. It removes the ids of their statements.
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
