package integration_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// selfManaged has the objects that the chart installs in a namespace, and the replicas that use them. Each test has
// its own namespace.
type selfManaged struct {
	namespace string
	timing    servingcert.Timing
	client    *kubernetes.Clientset
	balancer  *balancer
	adjust    func(*server.Options) // changes the options of each replica before it starts

	mu       sync.Mutex
	replicas []*replica
}

// guard is the name of all objects in the namespace.
const guard = "awsauth-guard"

// newSelfManaged installs all objects except for the webhook configuration. The replicas are anonymous users of the
// API server. They have only the permissions that newSelfManaged grants. The chart must grant at least these
// permissions.
func newSelfManaged(t *testing.T, timing servingcert.Timing) *selfManaged {
	t.Helper()
	s := &selfManaged{timing: timing, client: kubernetes.NewForConfigOrDie(cluster.Admin), balancer: newBalancer(t)}
	ctx, anonymous := t.Context(), []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "system:anonymous"}}
	namespace, err := s.client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "guard-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.namespace = namespace.Name
	named := metav1.ObjectMeta{Name: guard}
	global := metav1.ObjectMeta{Name: s.config()}
	create := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("creating the %s: %v", what, err)
		}
	}
	_, err = s.client.CoreV1().Secrets(s.namespace).Create(ctx, &corev1.Secret{ObjectMeta: named}, metav1.CreateOptions{})
	create("Secret", err)
	_, err = s.client.CoordinationV1().Leases(s.namespace).Create(ctx, &coordinationv1.Lease{ObjectMeta: named}, metav1.CreateOptions{})
	create("Lease", err)
	// The API server calls a Service by its DNS name. This type of Service makes the name an alias of localhost.
	_, err = s.client.CoreV1().Services(s.namespace).Create(ctx, &corev1.Service{ObjectMeta: named, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeExternalName, ExternalName: "localhost",
	}}, metav1.CreateOptions{})
	create("Service", err)
	_, err = s.client.RbacV1().Roles(s.namespace).Create(ctx, &rbacv1.Role{ObjectMeta: named, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{guard}, Verbs: []string{"get", "list", "watch", "update", "create", "patch"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, ResourceNames: []string{guard}, Verbs: []string{"get", "update"}},
	}}, metav1.CreateOptions{})
	create("Role", err)
	_, err = s.client.RbacV1().RoleBindings(s.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: named, Subjects: anonymous, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: guard},
	}, metav1.CreateOptions{})
	create("RoleBinding", err)
	_, err = s.client.RbacV1().ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: global, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{"admissionregistration.k8s.io"}, Resources: []string{"validatingwebhookconfigurations"},
		ResourceNames: []string{s.config()}, Verbs: []string{"get", "list", "watch", "patch"},
	}}}, metav1.CreateOptions{})
	create("ClusterRole", err)
	_, err = s.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: global, Subjects: anonymous, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: s.config()},
	}, metav1.CreateOptions{})
	create("ClusterRoleBinding", err)
	return s
}

// config returns the name of the webhook configuration.
func (s *selfManaged) config() string { return guard + "-" + s.namespace }

// register registers the enforcing webhook for the user editor, and the observing webhook for users whose name begins
// with eks:observed.
func (s *selfManaged) register(t *testing.T) {
	t.Helper()
	hook := func(name, path, condition string, policy admissionregistrationv1.FailurePolicyType) admissionregistrationv1.ValidatingWebhook {
		return admissionregistrationv1.ValidatingWebhook{
			Name: name + ".awsauth-guard.io",
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{
				Namespace: s.namespace, Name: guard, Path: &path, Port: new(s.balancer.port()),
			}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"configmaps"}},
			}},
			NamespaceSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}},
			MatchConditions:         []admissionregistrationv1.MatchCondition{{Name: "requester", Expression: condition}},
			FailurePolicy:           &policy,
			SideEffects:             new(admissionregistrationv1.SideEffectClassNoneOnDryRun),
			TimeoutSeconds:          new(int32(5)),
			AdmissionReviewVersions: []string{"v1"},
		}
	}
	config := &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: s.config(), Annotations: map[string]string{servingcert.CAAnnotation: s.namespace + "/" + guard}},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{
			hook("enforce", "/validate-aws-auth", `request.userInfo.username == "editor"`, admissionregistrationv1.Fail),
			hook("observe", "/observe-aws-auth", `request.userInfo.username.startsWith("eks:observed")`, admissionregistrationv1.Ignore),
		},
	}
	if _, err := s.configs().Create(t.Context(), config, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.unregister(t) })
}

func (s *selfManaged) unregister(t *testing.T) {
	t.Helper()
	err := s.configs().Delete(context.WithoutCancel(t.Context()), s.config(), metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		t.Error(err)
	}
}

func (s *selfManaged) configs() configs {
	return s.client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
}

// bundles returns the caBundles of the webhooks.
func (s *selfManaged) bundles(t *testing.T) (list [][]byte) {
	t.Helper()
	list, err := s.readBundles(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (s *selfManaged) readBundles(ctx context.Context) (list [][]byte, err error) {
	config, err := s.configs().Get(ctx, s.config(), metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	for _, hook := range config.Webhooks {
		list = append(list, hook.ClientConfig.CABundle)
	}
	return list, nil
}

// setBundles replaces the caBundle of every webhook by the result of change.
func (s *selfManaged) setBundles(t *testing.T, change func([]byte) []byte) {
	t.Helper()
	s.updateConfig(t, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
		for i := range config.Webhooks {
			bundle := &config.Webhooks[i].ClientConfig.CABundle
			*bundle = change(*bundle)
		}
	})
}

// annotateConfig replaces the annotations and the caBundles of the webhook configuration in one write. It returns the
// old annotations.
func (s *selfManaged) annotateConfig(t *testing.T, annotations map[string]string, bundle []byte) (before map[string]string) {
	t.Helper()
	s.updateConfig(t, func(config *admissionregistrationv1.ValidatingWebhookConfiguration) {
		before, config.Annotations = config.Annotations, annotations
		for i := range config.Webhooks {
			config.Webhooks[i].ClientConfig.CABundle = bundle
		}
	})
	return before
}

func (s *selfManaged) updateConfig(t *testing.T, change func(*admissionregistrationv1.ValidatingWebhookConfiguration)) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		config, err := s.configs().Get(t.Context(), s.config(), metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(config)
		_, err = s.configs().Update(t.Context(), config, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *selfManaged) secret(t *testing.T) *corev1.Secret {
	t.Helper()
	secret, err := s.client.CoreV1().Secrets(s.namespace).Get(t.Context(), guard, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func (s *selfManaged) state(t *testing.T) servingcert.State {
	t.Helper()
	state, err := servingcert.DecodeState(s.secret(t).Data, []string{guard + "." + s.namespace + ".svc"})
	if err != nil {
		t.Logf("the Secret: %v", err)
	}
	return state
}

func (s *selfManaged) setData(t *testing.T, data map[string][]byte) {
	t.Helper()
	s.updateSecret(t, func(secret *corev1.Secret) { secret.Data = data })
}

// annotate asks the leader for a rotation of the CA: it sets an annotation of the Secret to a value.
func (s *selfManaged) annotate(t *testing.T, value string) {
	t.Helper()
	s.updateSecret(t, func(secret *corev1.Secret) {
		secret.Annotations = map[string]string{servingcert.RotateAnnotation: value}
	})
}

func (s *selfManaged) updateSecret(t *testing.T, change func(*corev1.Secret)) {
	t.Helper()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret := s.secret(t)
		change(secret)
		_, err := s.client.CoreV1().Secrets(s.namespace).Update(t.Context(), secret, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// rotated waits until another CA has replaced the old CA. Then the Secret and the caBundles have only the new CA, and
// the new CA has signed every replica's certificate.
func (s *selfManaged) rotated(t *testing.T, old *x509.Certificate) {
	t.Helper()
	until(t, "the CA is another one", time.Minute, func(ctx context.Context) error {
		state := s.state(t)
		if state.Current == nil || state.Current.Cert.Equal(old) || state.Next != nil || len(state.Previous) > 0 {
			return errors.New("the Secret does not have only the new CA yet")
		}
		want := string(servingcert.EncodeCertificates(state.Current.Cert))
		for _, bundle := range s.bundles(t) {
			if string(bundle) != want {
				return errors.New("a caBundle does not have only the new CA yet")
			}
		}
		for _, r := range s.running() {
			leaf, err := r.leaf(ctx)
			if err != nil {
				return err
			}
			if err := leaf.CheckSignatureFrom(state.Current.Cert); err != nil {
				return fmt.Errorf("a replica serves another CA's certificate: %w", err)
			}
		}
		return nil
	})
}
