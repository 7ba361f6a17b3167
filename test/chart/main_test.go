// Package chart_test renders the chart with the pinned helm, and decodes the objects as the API server does. It also
// installs the objects on a real kube-apiserver with a real webhook.
package chart_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// guardConfig protects one of the principals that the value set ignore protects.
const guardConfig = `apiVersion: awsauth-guard.io/v1alpha1
kind: GuardConfig
protected:
  - arn: arn:aws:iam::111122223333:role/Admin
    groups: [system:masters]
`

var (
	cluster *controlplane.ControlPlane
	webhook *controlplane.Webhook
	// admin is a client of a member of system:masters.
	admin *kubernetes.Clientset
	// kubeVersion is the version of the API server, such as v1.36.3.
	kubeVersion string
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (code int, err error) {
	ctx := context.Background()
	if cluster, err = controlplane.Start(ctx); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, cluster.Stop()) }()
	if webhook, err = cluster.StartWebhook(ctx, guardConfig, "--shutdown-delay=0s"); err != nil {
		return 0, err
	}
	if admin, err = kubernetes.NewForConfig(cluster.Admin); err != nil {
		return 0, err
	}
	version, err := admin.Discovery().ServerVersion()
	if err != nil {
		return 0, err
	}
	kubeVersion = version.GitVersion
	// The pods must be able to run in a namespace with the Pod Security Standard restricted.
	if _, err := admin.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{}); err != nil {
		return 0, err
	}
	// The tests are about admission, so authorization allows every request.
	if err := cluster.AdmitEverybody(ctx); err != nil {
		return 0, err
	}
	if code = m.Run(); code != 0 {
		fmt.Fprintf(os.Stderr, "the webhook's log ends\n%s\n", webhook.LogEnd())
	}
	return code, nil
}

// client is the client of one user. It collects the warnings of the API server.
type client struct {
	*kubernetes.Clientset
	*kube.Warnings
}

// as returns a client for an impersonated user.
func as(t *testing.T, name string, groups ...string) *client {
	t.Helper()
	return asUser(t, rest.ImpersonationConfig{UserName: name, Groups: groups})
}

// asUser returns a client for an impersonated user with extra fields.
func asUser(t *testing.T, user rest.ImpersonationConfig) *client {
	t.Helper()
	c := &client{Warnings: new(kube.Warnings)}
	config := rest.CopyConfig(cluster.Admin)
	config.Impersonate = user
	config.WarningHandlerWithContext = c.Warnings
	var err error
	if c.Clientset, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	return c
}

// awsAuth returns an aws-auth with the given mapRoles, to which it applies the changes.
func awsAuth(mapRoles string, changes ...func(*corev1.ConfigMap)) *corev1.ConfigMap {
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-auth"},
		Data:       map[string]string{"mapRoles": mapRoles},
	}
	for _, change := range changes {
		change(cm)
	}
	return cm
}

// Entries of mapRoles.
const (
	adminEntry = "- rolearn: arn:aws:iam::111122223333:role/Admin\n  username: admin\n  groups:\n  - system:masters\n"
	nodeEntry  = "- rolearn: arn:aws:iam::111122223333:role/Node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups:\n  - system:bootstrappers\n  - system:nodes\n"
	// unreadable has a fault that the guard refuses and the backstop doesn't detect.
	unreadable = adminEntry + "\t" + nodeEntry
)

// store replaces the stored aws-auth, or deletes it if cm is nil.
func store(t *testing.T, cm *corev1.ConfigMap) {
	t.Helper()
	// For users of EKS, the API server calls neither the enforcing webhook nor the backstop.
	fixture := as(t, "eks:fixture").CoreV1().ConfigMaps("kube-system")
	eventually(t, "aws-auth is stored", func() error {
		err := fixture.Delete(t.Context(), "aws-auth", metav1.DeleteOptions{})
		if err != nil && !apierrors.IsNotFound(err) || cm == nil {
			return notFoundIsFine(err)
		}
		_, err = fixture.Create(t.Context(), cm, metav1.CreateOptions{})
		return err
	})
}

func notFoundIsFine(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// patience is the limit of waits. It is ten times as long as the API server needs until a webhook configuration takes effect.
const patience = 30 * time.Second

// eventually waits until check returns no error. It fails the test if that takes longer than patience. The message begins with
// what.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := controlplane.Poll(ctx, func(context.Context) error { return check() }); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// register creates the chart's webhook configuration until the test ends. Its webhooks have a URL with the address. args are
// arguments of helm template.
func register(t *testing.T, address string, args ...string) {
	t.Helper()
	configuration := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, render(t, "default", args...))
	for i := range configuration.Webhooks {
		// No pods exist to which a Service could lead, so the webhooks have a URL.
		c := &configuration.Webhooks[i].ClientConfig
		url := "https://" + address + *c.Service.Path
		c.URL, c.Service, c.CABundle = &url, nil, cluster.Admin.CAData
	}
	create(t, configuration)
}

// create creates a webhook configuration until the test ends. It waits until the API server calls the webhook and, at the end,
// until the API server no longer calls it.
func create(t *testing.T, configuration *admissionregistrationv1.ValidatingWebhookConfiguration) {
	t.Helper()
	configurations := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	if _, err := configurations.Create(t.Context(), configuration, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := configurations.Delete(context.Background(), configuration.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
		settled(t, "the API server no longer calls the webhook", func(err error) bool { return err == nil || apierrors.IsAlreadyExists(err) })
	})
	settled(t, "the API server calls the webhook", func(err error) bool { return err != nil && !apierrors.IsAlreadyExists(err) })
}

// settled waits until a change of a webhook configuration has taken effect. It tries to create a faulty aws-auth in a dry run,
// until holds returns true for the API server's error five times in a row.
func settled(t *testing.T, what string, holds func(error) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	configMaps := as(t, "settler").CoreV1().ConfigMaps("kube-system")
	row := 0
	if err := controlplane.Poll(ctx, func(ctx context.Context) error {
		_, err := configMaps.Create(ctx, awsAuth(unreadable), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		row++
		if !holds(err) {
			row = 0
		}
		if row < 5 {
			return fmt.Errorf("not yet: %w", errors.Join(err))
		}
		return nil
	}); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// wantSays reports an error if a text does not contain all of the wanted texts.
func wantSays(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("the text is %q, and lacks %q", text, w)
		}
	}
}

// list returns the sorted names of the ConfigMaps in kube-system that a label selector selects.
func list(t *testing.T, selector string) []string {
	t.Helper()
	found, err := admin.CoreV1().ConfigMaps("kube-system").List(t.Context(), metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range found.Items {
		names = append(names, found.Items[i].Name)
	}
	slices.Sort(names)
	return names
}
