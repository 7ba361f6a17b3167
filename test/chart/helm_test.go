package chart_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const (
	chart = "../../charts/awsauth-guard"
	// namespace and release are the names in the documents.
	namespace = "awsauth-guard"
	release   = "awsauth-guard"
)

// program returns the path of a program of a tools module. It builds the program if Go's cache doesn't have it.
type program func() (path string, err error)

// helm3 and helm4 are the two versions of Helm. By default, Helm 3 merges changes on the client, and Helm 4 uses server-side apply.
var (
	helm3 = tool("helm")
	helm4 = tool("helm4")
)

// tool returns the helm of a tools module.
func tool(module string) program {
	return sync.OnceValues(func() (string, error) {
		cmd := exec.CommandContext(context.Background(), "go", "tool", "-n", "-modfile=../../tools/"+module+"/go.mod", "helm")
		cmd.Stderr = new(bytes.Buffer)
		out, err := cmd.Output()
		if err != nil {
			return "", fmt.Errorf("building %s: %w\n%s", module, err, cmd.Stderr)
		}
		return strings.TrimSpace(string(out)), nil
	})
}

// helm runs helm3 without a cluster.
func helm(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	return helm3.run(t, filepath.Join(t.TempDir(), "none"), args...)
}

// run runs helm and returns its stdout. It doesn't use the configuration of the machine's user.
func (p program) run(t *testing.T, kubeconfig string, args ...string) (stdout string, err error) {
	t.Helper()
	path, err := p()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), path, args...) // a cleanup can also call run
	cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + kubeconfig}
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("helm %s: %w\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), nil
}

// templateArgs returns helm's arguments to render the chart for the version of the tests' API server.
func templateArgs() []string {
	return []string{"template", release, chart, "--namespace", namespace, "--kube-version", kubeVersion}
}

// template renders the chart and returns the text.
func template(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return helm(t, slices.Concat(templateArgs(), args)...)
}

// render renders the chart with a file of testdata/values and further arguments. It fails the test if helm fails.
func render(t *testing.T, values string, args ...string) []object {
	t.Helper()
	text, err := template(t, append([]string{"--values", filepath.Join("testdata", "values", values+".yaml")}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, text)
}

// object is a rendered object.
type object struct {
	// Typed is the object as its Go type.
	Typed any
	unstructured.Unstructured
}

// apiTypes has the Go type of each kind, including those of cert-manager and of the Prometheus operator.
var apiTypes = map[schema.GroupVersionKind]func() any{
	corev1.SchemeGroupVersion.WithKind("ConfigMap"):                                         func() any { return new(corev1.ConfigMap) },
	corev1.SchemeGroupVersion.WithKind("Pod"):                                               func() any { return new(corev1.Pod) },
	corev1.SchemeGroupVersion.WithKind("Secret"):                                            func() any { return new(corev1.Secret) },
	corev1.SchemeGroupVersion.WithKind("Service"):                                           func() any { return new(corev1.Service) },
	corev1.SchemeGroupVersion.WithKind("ServiceAccount"):                                    func() any { return new(corev1.ServiceAccount) },
	appsv1.SchemeGroupVersion.WithKind("Deployment"):                                        func() any { return new(appsv1.Deployment) },
	coordinationv1.SchemeGroupVersion.WithKind("Lease"):                                     func() any { return new(coordinationv1.Lease) },
	networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"):                               func() any { return new(networkingv1.NetworkPolicy) },
	policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"):                             func() any { return new(policyv1.PodDisruptionBudget) },
	rbacv1.SchemeGroupVersion.WithKind("ClusterRole"):                                       func() any { return new(rbacv1.ClusterRole) },
	rbacv1.SchemeGroupVersion.WithKind("ClusterRoleBinding"):                                func() any { return new(rbacv1.ClusterRoleBinding) },
	rbacv1.SchemeGroupVersion.WithKind("Role"):                                              func() any { return new(rbacv1.Role) },
	rbacv1.SchemeGroupVersion.WithKind("RoleBinding"):                                       func() any { return new(rbacv1.RoleBinding) },
	admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingWebhookConfiguration"):   func() any { return new(admissionregistrationv1.ValidatingWebhookConfiguration) },
	admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicy"):        func() any { return new(admissionregistrationv1.ValidatingAdmissionPolicy) },
	admissionregistrationv1.SchemeGroupVersion.WithKind("ValidatingAdmissionPolicyBinding"): func() any { return new(admissionregistrationv1.ValidatingAdmissionPolicyBinding) },
	certmanagerv1.SchemeGroupVersion.WithKind("Certificate"):                                func() any { return new(certmanagerv1.Certificate) },
	certmanagerv1.SchemeGroupVersion.WithKind("Issuer"):                                     func() any { return new(certmanagerv1.Issuer) },
	monitoringv1.SchemeGroupVersion.WithKind("PrometheusRule"):                              func() any { return new(monitoringv1.PrometheusRule) },
	monitoringv1.SchemeGroupVersion.WithKind("ServiceMonitor"):                              func() any { return new(monitoringv1.ServiceMonitor) },
}

// ofOthers lists the API groups of the chart's custom resources, which cert-manager and the Prometheus operator define.
var ofOthers = []string{certmanagerv1.SchemeGroupVersion.Group, monitoringv1.SchemeGroupVersion.Group}

// decode decodes the output of helm. It fails the test if a field is unknown, even if only its upper or lower case is
// wrong. It also fails if a key occurs twice.
func decode(t *testing.T, text string) []object {
	t.Helper()
	var objects []object
	for document := range strings.SplitSeq(text, "\n---\n") {
		document += "\n" // the last document may lack the line end
		var o object
		text, err := yaml.YAMLToJSONStrict([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if err := json.UnmarshalCaseSensitivePreserveInts(text, &o.Object); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if len(o.Object) == 0 {
			continue
		}
		newObject := apiTypes[o.GroupVersionKind()]
		if newObject == nil {
			t.Fatalf("%s is of a kind that is not decoded", o.id())
		}
		o.Typed = newObject()
		unknown, err := json.UnmarshalStrict(text, o.Typed)
		if err := errors.Join(append(unknown, err)...); err != nil {
			t.Fatalf("%s: %v", o.id(), err)
		}
		objects = append(objects, o)
	}
	return objects
}

func (o *object) id() string { return o.GetKind() + " " + o.GetName() }

// isTest reports whether only `helm test` creates the object.
func (o *object) isTest() bool { return o.GetAnnotations()["helm.sh/hook"] == "test" }

// find returns the objects of a type. It leaves out the objects for helm test.
func find[T any](objects []object) []*T {
	var found []*T
	for i := range objects {
		if typed, ok := objects[i].Typed.(*T); ok && !objects[i].isTest() {
			found = append(found, typed)
		}
	}
	return found
}

// one returns the only object of a type. It fails the test if there are several or none.
func one[T any](t *testing.T, objects []object) *T {
	t.Helper()
	found := find[T](objects)
	if len(found) != 1 {
		t.Fatalf("%d objects of the type %T, want one", len(found), found)
	}
	return found[0]
}

// named returns the object of a type with the name, or nil if no such object exists.
func named[T any, P interface {
	*T
	metav1.Object
}](objects []object, name string) P {
	for _, o := range find[T](objects) {
		if P(o).GetName() == name {
			return o
		}
	}
	return nil
}
