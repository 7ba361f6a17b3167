package chart_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// TestServerSideDryRun applies the objects of every value set to the API server in a dry run, so that the API server validates
// them. The test fails if a field is unknown, or if the API server warns. It leaves out custom resources. With host-network, it
// accepts warnings, because such pods violate the Pod Security Standard of the namespace.
func TestServerSideDryRun(t *testing.T) {
	heard := new(kube.Warnings)
	config := rest.CopyConfig(cluster.Admin)
	config.WarningHandlerWithContext = heard
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(admin.Discovery()))
	for _, values := range valueSets(t) {
		t.Run(values, func(t *testing.T) {
			objects := render(t, values)
			for i := range objects {
				o := &objects[i]
				if slices.Contains(ofOthers, o.GroupVersionKind().Group) {
					continue // the API server of the tests doesn't have these types
				}
				if pod, ok := o.Typed.(*corev1.Pod); ok {
					wantPodAdmitted(t, namespace, pod)
					continue
				}
				body, err := o.MarshalJSON()
				if err != nil {
					t.Fatal(err)
				}
				gvk := o.GroupVersionKind()
				mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
				if err != nil {
					t.Fatal(err)
				}
				var resource dynamic.ResourceInterface = client.Resource(mapping.Resource)
				if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
					resource = client.Resource(mapping.Resource).Namespace(o.GetNamespace())
				}
				if _, err := resource.Patch(t.Context(), o.GetName(), types.ApplyPatchType, body, metav1.PatchOptions{
					DryRun: []string{metav1.DryRunAll}, FieldManager: "chart", FieldValidation: metav1.FieldValidationStrict,
				}); err != nil {
					t.Errorf("%s: %v", o.id(), err)
				}
				if said := heard.Take(); len(said) > 0 && values != "host-network" {
					t.Errorf("%s: the API server warns: %q", o.id(), said)
				}
			}
		})
	}
}

// TestPodsAreRestricted: a namespace that enforces the Pod Security Standard restricted admits the pods of the Deployment.
func TestPodsAreRestricted(t *testing.T) {
	for _, values := range valueSets(t) {
		if values == "host-network" {
			continue // see TestPodsOnTheHost
		}
		t.Run(values, func(t *testing.T) { wantPodAdmitted(t, namespace, webhookPod(t, values)) })
	}
}

// TestPodsOnTheHost: a namespace with the Pod Security Standard baseline refuses pods in the node's network, so their namespace
// needs privileged. The documents name the label that the namespace needs.
func TestPodsOnTheHost(t *testing.T) {
	const enforce = "pod-security.kubernetes.io/enforce"
	pod := webhookPod(t, "host-network")
	for level, admitted := range map[string]bool{"privileged": true, "baseline": false} {
		created, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{
			ObjectMeta: metav1.ObjectMeta{GenerateName: level + "-", Labels: map[string]string{enforce: level}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if admitted {
			wantPodAdmitted(t, created.Name, pod)
			continue
		}
		err = createPod(t, created.Name, pod)
		if err == nil {
			t.Fatalf("%s admits it", level)
		}
		wantSays(t, err.Error(), "host namespaces", "hostPort")
	}
	for _, name := range []string{"docs/how-to/prepare-eks.md", "charts/awsauth-guard/values.yaml"} {
		text, err := os.ReadFile("../../" + name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "`"+enforce+": privileged`") {
			t.Errorf("%s does not name the label", name)
		}
	}
}

// webhookPod returns a pod that the Deployment of a value set would create.
func webhookPod(t *testing.T, values string) *corev1.Pod {
	t.Helper()
	deployment := one[appsv1.Deployment](t, render(t, values))
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "webhook"}, Spec: deployment.Spec.Template.Spec}
}

func wantPodAdmitted(t *testing.T, namespace string, pod *corev1.Pod) {
	t.Helper()
	if err := createPod(t, namespace, pod); err != nil {
		t.Errorf("Pod %s: %v", pod.Name, err)
	}
}

// createPod creates a pod in a dry run, with the default ServiceAccount of the namespace. It returns the API server's error.
func createPod(t *testing.T, namespace string, pod *corev1.Pod) error {
	t.Helper()
	pod.Spec.ServiceAccountName = "default"
	accounts := admin.CoreV1().ServiceAccounts(namespace)
	if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	_, err := admin.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict,
	})
	return err
}
