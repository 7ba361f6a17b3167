package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// TestParentChart uses the chart as a dependency of another chart, once under its own name and once under an alias. A condition
// enables each of the two. Their Services select only their own pods.
func TestParentChart(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	if err := os.CopyFS(filepath.Join(parent, "charts", "awsauth-guard"), os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml": `apiVersion: v2
name: parent
version: 1.0.0
dependencies:
  - {name: awsauth-guard, version: ">=0-0", condition: awsauth-guard.enabled}
  - {name: awsauth-guard, version: ">=0-0", alias: second, condition: second.enabled}
`,
		"values.yaml": `global: {region: eu-west-1}
awsauth-guard: {enabled: true, guardConfig: {iam: null}}
second: {enabled: false, webhook: {failurePolicy: Ignore}}
`,
	} {
		if err := os.WriteFile(filepath.Join(parent, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for set, want := range map[string][]string{
		"awsauth-guard.enabled=true":                      {"parent-awsauth-guard"},
		"awsauth-guard.enabled=false":                     nil,
		"second.enabled=true":                             {"parent-awsauth-guard", "parent-second"},
		"second.enabled=true,awsauth-guard.enabled=false": {"parent-second"},
	} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			text, err := helm(t, "template", "parent", parent, "--kube-version", "1.36.3", "--set", set)
			if err != nil {
				t.Fatal(err)
			}
			objects := decode(t, text)
			for i := range objects {
				if o := &objects[i]; len(want) == 0 {
					t.Errorf("%s is rendered", o.id())
				}
			}
			selected := make(map[string]string)
			for _, name := range want {
				deployment, service := named[appsv1.Deployment](objects, name), named[corev1.Service](objects, name)
				if deployment == nil || service == nil {
					t.Fatalf("no Deployment or Service %s", name)
				}
				selector := service.Spec.Selector["app.kubernetes.io/name"]
				if deployment.Spec.Template.Labels["app.kubernetes.io/name"] != selector || selected[selector] != "" {
					t.Errorf("%s selects pods of the name %s, as does %q", name, selector, selected[selector])
				}
				selected[selector] = name
			}
		})
	}
	if _, err := helm(t, "template", "parent", parent, "--kube-version", "1.36.3", "--set", "awsauth-guard.enabled=yes"); err == nil || !strings.Contains(err.Error(), "enabled") {
		t.Errorf("a condition that is a text: %v", err)
	}
}
