package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
)

// partialNamespace is the namespace of the ConfigMaps in TestLintComputesWhatKubectlStores. The webhook doesn't review them.
const partialNamespace = "partial"

// TestLintComputesWhatKubectlStores gives random parts of aws-auth to kubectl apply and kubectl patch, in dry runs. For a part, lint
// --apply and lint --patch have the same findings as lint has for the object that the API server would store.
func TestLintComputesWhatKubectlStores(t *testing.T) {
	client := kubernetes.NewForConfigOrDie(cluster.Admin).CoreV1()
	if _, err := client.Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: partialNamespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 0)) // each run has the same cases
	different := 0
	for n := range 24 {
		before := partial(r, base(), roles(admin+node))
		create := kubectlFor(t, before, "create", "-f", "-", "-o", "yaml")
		if r.IntN(2) == 0 { // kubectl apply also stores its annotation
			create = kubectlFor(t, before, "apply", "-f", "-", "-o", "yaml")
		}
		part := partial(r, base().with("mapRoles", admin+ci), roles(node), base().with("mapRoles", ""))
		part.Annotations = map[string]string{"team": "platform"}
		flags, server := []string{"--apply"}, []string{"apply", "-f", "-"}
		text := asManifest(t, part)
		switch r.IntN(4) {
		case 0:
			flags, server = []string{"--patch", "merge"}, []string{"patch", "configmap", "aws-auth", "--type", "merge", "--patch-file", "/dev/stdin"}
		case 1:
			flags, server = []string{"--patch", "strategic"}, []string{"patch", "configmap", "aws-auth", "--type", "strategic", "--patch-file", "/dev/stdin"}
		case 2:
			flags, server = []string{"--patch", "json"}, []string{"patch", "configmap", "aws-auth", "--type", "json", "--patch-file", "/dev/stdin"}
			text = asJSONPatch(t, part.Data, before.Data)
		}
		stored, ok := kubectl(t.Context(), text, nil, append(server, "-n", partialNamespace, "--dry-run=server", "-o", "yaml")...)
		if !ok {
			t.Fatalf("case %d: kubectl %q: %s\n%s", n, server, stored, text)
		}
		want, got := lintFindings(t, create, stored), lintFindings(t, create, text, flags...)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("case %d: the findings of lint %q (-of what the API server stores +computed):\n%s\nold:\n%s\npart:\n%s\nstored:\n%s", n, flags, diff, create, text, stored)
		}
		if !slices.Equal(got, lintFindings(t, create, asManifest(t, part))) {
			different++ // lint of the part alone, without --apply or --patch, has other findings
		}
		if err := client.ConfigMaps(partialNamespace).Delete(t.Context(), "aws-auth", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if different < 5 {
		t.Errorf("in %d cases, lint has other findings without --apply or --patch than with it; want at least 5, because other cases don't test these flags", different)
	}
}

// partial returns an aws-auth with some keys of the versions, chosen at random.
func partial(r *rand.Rand, versions ...data) *corev1.ConfigMap {
	d := data{}
	for _, version := range versions {
		for _, key := range slices.Sorted(maps.Keys(version)) {
			if r.IntN(2) == 0 {
				d[key] = version[key]
			}
		}
	}
	cm := d.configMap()
	cm.Namespace = partialNamespace
	return cm
}

// asManifest encodes an object without the fields that the API server sets.
func asManifest(t *testing.T, cm *corev1.ConfigMap) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": cm.Data,
		"metadata": map[string]any{"name": cm.Name, "namespace": cm.Namespace, "annotations": cm.Annotations},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// asJSONPatch returns a JSON patch that sets the keys of after. It also removes one key that before has and after doesn't have.
func asJSONPatch(t *testing.T, after, before map[string]string) string {
	t.Helper()
	var operations []map[string]string
	if len(before) == 0 { // then the stored object has no data to which a patch can add keys
		return "[]"
	}
	for _, key := range slices.Sorted(maps.Keys(after)) {
		operations = append(operations, map[string]string{"op": "add", "path": "/data/" + key, "value": after[key]})
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, kept := after[key]; !kept {
			operations = append(operations, map[string]string{"op": "remove", "path": "/data/" + key})
			break
		}
	}
	b, err := json.Marshal(operations)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// kubectlFor runs kubectl with an object on its standard input, and returns the output. It fails the test if kubectl fails.
func kubectlFor(t *testing.T, cm *corev1.ConfigMap, args ...string) string {
	t.Helper()
	output, ok := kubectl(t.Context(), asManifest(t, cm), nil, append(args, "-n", partialNamespace)...)
	if !ok {
		t.Fatalf("kubectl %q: %s", args, output)
	}
	return output
}

// lintFindings runs lint on a text with an old version, as if both came from kube-system. It returns the severities, rules and
// messages of the findings, sorted.
func lintFindings(t *testing.T, old, text string, flags ...string) (list []string) {
	t.Helper()
	inKubeSystem := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		text = strings.NewReplacer("namespace: "+partialNamespace, "namespace: kube-system", `"namespace":"`+partialNamespace+`"`, `"namespace":"kube-system"`).Replace(text)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	args := append([]string{"kubectl-awsauth", "lint", inKubeSystem("new.yaml", text), "--old", inKubeSystem("old.yaml", old), "-o", "json"}, flags...)
	var out, errs bytes.Buffer
	if status := cli.Main(context.WithoutCancel(t.Context()), args, nil, &out, &errs); status == 2 {
		t.Fatalf("%q: %s\n%s", args, errs.String(), text)
	}
	var report struct {
		Findings []struct {
			Rule     string `json:"rule"`
			Severity string `json:"severity"`
			Message  string `json:"message"`
		} `json:"findings"`
	}
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, f := range report.Findings {
		list = append(list, fmt.Sprintf("%s %s: %s", f.Severity, f.Rule, f.Message))
	}
	slices.Sort(list)
	return list
}
