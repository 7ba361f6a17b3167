package chart_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

// valueSets returns the names of the files in testdata/values.
func valueSets(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "values", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no value sets: %v", err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	return files
}

// updateGolden reports whether the tests write goldens instead of comparing them.
func updateGolden() bool { return os.Getenv("UPDATE_GOLDEN") == "1" }

// golden compares a text with the file path. With UPDATE_GOLDEN=1 it writes the text to the file instead.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if updateGolden() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); UPDATE_GOLDEN=1 writes it:\n%s", path, diff)
	}
}

// TestGolden compares the rendered chart with the golden of each value set.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			text, err := template(t, "--values", filepath.Join("testdata", "values", values+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", "golden", values+".yaml"), text)
			decode(t, text)
		})
	}
}

// TestHelm4: Helm 4 renders the same objects as Helm 3, in any order.
func TestHelm4(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			text, err := helm4.run(t, "none", slices.Concat(templateArgs(), []string{"--values", filepath.Join("testdata", "values", values+".yaml")})...)
			if err != nil {
				t.Fatal(err)
			}
			byID := func(objects []object) map[string]map[string]any {
				found := make(map[string]map[string]any)
				for i := range objects {
					found[objects[i].id()] = objects[i].Object
				}
				return found
			}
			if diff := cmp.Diff(byID(render(t, values)), byID(decode(t, text))); diff != "" {
				t.Errorf("(-helm 3 +helm 4):\n%s", diff)
			}
		})
	}
}

// TestGoldensHaveValues: there is no golden without a value set.
func TestGoldensHaveValues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := strings.TrimSuffix(filepath.Base(file), ".yaml"); !slices.Contains(valueSets(t), name) {
			t.Errorf("%s belongs to no value set", file)
		}
	}
}

// TestObjectsOfValueSets checks the labels, the webhooks, the pods, the GuardConfig and the permissions of the objects of every value set.
func TestObjectsOfValueSets(t *testing.T) {
	t.Parallel()
	for _, values := range valueSets(t) {
		t.Run(values, func(t *testing.T) {
			t.Parallel()
			objects := render(t, values)
			wantInstance(t, objects)
			wantWebhooks(t, objects, values == "secret")
			wantPods(t, objects)
			wantGuardConfig(t, objects)
			wantLeastPrivilege(t, objects)
		})
	}
}

// wantInstance checks that each object has the label of its release.
func wantInstance(t *testing.T, objects []object) {
	t.Helper()
	for i := range objects {
		o := &objects[i]
		if o.GetLabels()["app.kubernetes.io/instance"] != release {
			t.Errorf("%s has the labels %v", o.id(), o.GetLabels())
		}
	}
}

// wantWebhooks checks the fields of both webhooks. They must have a caBundle if, and only if, caBundle is true.
func wantWebhooks(t *testing.T, objects []object, caBundle bool) {
	t.Helper()
	webhooks := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, objects).Webhooks
	if len(webhooks) != 2 {
		t.Fatalf("%d webhooks, want two", len(webhooks))
	}
	service := one[corev1.Service](t, objects)
	for i, path := range []string{"/validate-aws-auth", "/observe-aws-auth"} {
		w := &webhooks[i]
		if got := len(w.ClientConfig.CABundle) > 0; got != caBundle {
			t.Errorf("%s: a caBundle is rendered: %t, want %t", w.Name, got, caBundle)
		}
		want := &admissionregistrationv1.ServiceReference{Namespace: namespace, Name: service.Name, Path: &path, Port: new(int32(443))}
		if diff := cmp.Diff(want, w.ClientConfig.Service); diff != "" {
			t.Errorf("%s: service (-want +got):\n%s", w.Name, diff)
		}
		if !slices.Equal(w.Rules[0].Operations, []admissionregistrationv1.OperationType{"CREATE", "UPDATE", "DELETE"}) || len(w.Rules) != 1 ||
			*w.SideEffects != admissionregistrationv1.SideEffectClassNoneOnDryRun || *w.TimeoutSeconds != 5 || *w.MatchPolicy != admissionregistrationv1.Equivalent {
			t.Errorf("%s: %+v", w.Name, w)
		}
		if diff := cmp.Diff(map[string]string{corev1.LabelMetadataName: "kube-system"}, w.NamespaceSelector.MatchLabels); diff != "" {
			t.Errorf("%s: namespaceSelector (-want +got):\n%s", w.Name, diff)
		}
	}
	if webhooks[0].Name != "aws-auth.awsauth-guard.io" || webhooks[1].Name != "observe.awsauth-guard.io" {
		t.Errorf("the webhooks are %s and %s", webhooks[0].Name, webhooks[1].Name)
	}
	if *webhooks[1].FailurePolicy != admissionregistrationv1.Ignore {
		t.Errorf("observe fails with %s", *webhooks[1].FailurePolicy)
	}
}

// TestMatchConditions compares the match conditions of both webhooks with the expected expressions.
func TestMatchConditions(t *testing.T) {
	t.Parallel()
	webhooks := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, render(t, "default")).Webhooks
	const (
		isAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`
		isEKS     = `(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))`
		isBypass  = `(has(request.userInfo.groups) && "awsauth-guard:bypass" in request.userInfo.groups)`
	)
	for i, want := range [][]string{{isAWSAuth, "!" + isEKS, "!" + isBypass}, {isAWSAuth, isEKS + " || " + isBypass}} {
		var got []string
		for _, c := range webhooks[i].MatchConditions {
			got = append(got, c.Expression)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", webhooks[i].Name, diff)
		}
	}
}

// wantGuardConfig parses the rendered GuardConfig as the webhook does. It also checks that the webhook's arguments
// name the GuardConfig.
func wantGuardConfig(t *testing.T, objects []object) {
	t.Helper()
	deployment := one[appsv1.Deployment](t, objects)
	name := deployment.Spec.Template.Spec.Volumes[0].ConfigMap.Name
	cm := named[corev1.ConfigMap](objects, name)
	if cm == nil {
		t.Fatalf("no ConfigMap %s", name)
	}
	if _, err := config.Parse("guardconfig.yaml", []byte(cm.Data["guardconfig.yaml"])); err != nil {
		t.Error(err)
	}
	if want := "--config=" + deployment.Spec.Template.Spec.Containers[0].VolumeMounts[0].MountPath + "/guardconfig.yaml"; deployment.Spec.Template.Spec.Containers[0].Args[0] != want {
		t.Errorf("the first argument is %s, want %s", deployment.Spec.Template.Spec.Containers[0].Args[0], want)
	}
}

// wantLeastPrivilege checks that each rule grants access only to named objects, and that no rule has an asterisk. It permits rules
// to create objects, which RBAC can't limit to names, and to create and patch Events, whose names are not known in advance.
func wantLeastPrivilege(t *testing.T, objects []object) {
	t.Helper()
	check := func(name string, rules []rbacv1.PolicyRule) {
		for _, rule := range rules {
			if slices.Contains(slices.Concat(rule.APIGroups, rule.Resources, rule.Verbs), "*") {
				t.Errorf("%s gives everything of a kind: %+v", name, rule)
			}
			events := slices.Equal(rule.Resources, []string{"events"}) && slices.Equal(rule.Verbs, []string{"create", "patch"})
			if len(rule.ResourceNames) == 0 && !slices.Equal(rule.Verbs, []string{"create"}) && !events {
				t.Errorf("%s is not limited to a name: %+v", name, rule)
			}
		}
	}
	for i := range objects {
		switch role := objects[i].Typed.(type) {
		case *rbacv1.Role:
			check(role.Name, role.Rules)
		case *rbacv1.ClusterRole:
			check(role.Name, role.Rules)
		}
	}
}
