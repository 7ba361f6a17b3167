package chain_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"

	// The webhook is a process that the test builds. The import puts the modules of the webhook into go.mod.
	_ "github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// chain is everything that takes part in a login and in a change of aws-auth.
type chain struct {
	cluster       *controlplane.ControlPlane // a real API server, which asks the authenticator
	authenticator *authenticator
	program       *controlplane.Program // the process of the authenticator
	webhook       *controlplane.Webhook
	aws           *fakeAWS
	eks           *ekstest.Server

	reads int // number of calls of readEntries
}

// start starts the chain with the webhook. data is the data of aws-auth. EKS has no access entries.
func start(t *testing.T, data map[string]string) *chain {
	t.Helper()
	ctx := t.Context()
	c := startLogins(t, data)
	var err error
	if c.webhook, err = c.cluster.StartWebhook(ctx, c.guardConfig(), "--shutdown-delay=0s", "--kubeconfig="+c.cluster.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	if err := c.cluster.Register(ctx, c.webhook); err != nil {
		t.Fatal(err)
	}
	return c
}

// startLogins starts the chain without the webhook, so the API server admits every change of aws-auth.
func startLogins(t *testing.T, data map[string]string) *chain {
	t.Helper()
	ctx := t.Context()
	// ekstest sets environment variables, so it starts before the processes that inherit them.
	c := &chain{eks: ekstest.New(t), aws: newFakeAWS(t), authenticator: newAuthenticator(t)}
	c.eks.Set(access.ModeConfigMap)
	c.authenticator.setMode(t, access.ModeConfigMap)
	c.authenticator.setEntries(t, nil)
	var err error
	if c.cluster, err = controlplane.Start(ctx, "--authentication-token-webhook-config-file="+c.authenticator.webhookConfig()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	c.eks.SetCA(c.cluster.Admin.CAData)
	c.program = c.authenticator.start(t, c.cluster, c.aws.environ)
	if err := c.cluster.AdmitEverybody(ctx); err != nil { // the test is about authentication and admission
		t.Fatal(err)
	}
	if _, err := c.admin(t).Create(ctx, configMap(data), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// guardConfig returns the GuardConfig. It differs from the previous one only in refresh, the time between two reads of
// EKS, so the webhook reads EKS again.
func (c *chain) guardConfig() string {
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: awsauth-guard.io/v1alpha1\nkind: GuardConfig\neks: {enabled: true, cluster: %s, refresh: %ds}\nprotected:\n", ekstest.Name, 600+c.reads%60)
	for _, p := range callers {
		if len(p.protected) > 0 {
			fmt.Fprintf(&b, "- {arn: %q, groups: [%s]}\n", principalOf(p.arn), strings.Join(p.protected, ", "))
		}
	}
	return b.String()
}

// readEntries makes the webhook read the mode and the access entries, and returns after the webhook has read them.
func (c *chain) readEntries(t *testing.T) {
	t.Helper()
	c.reads++
	before := c.metric(t, `awsauth_guard_eks_reads_total{result="ok"}`)
	if err := c.webhook.Configure(c.guardConfig()); err != nil {
		t.Fatal(err)
	}
	eventually(t, func(context.Context) error {
		if now := c.metric(t, `awsauth_guard_eks_reads_total{result="ok"}`); now == before {
			return fmt.Errorf("the webhook has read the access entries %q times", now)
		}
		return nil
	})
}

// metric returns the value of one of the webhook's metrics.
func (c *chain) metric(t *testing.T, series string) string {
	t.Helper()
	text, err := c.webhook.Get(t.Context(), c.webhook.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(text, "\n"+series+" ")
	value, _, _ = strings.Cut(value, "\n")
	return value
}

// as returns a client that logs in with a new token of a caller.
func (c *chain) as(t *testing.T, caller int) *kubernetes.Clientset {
	t.Helper()
	client, err := kubernetes.NewForConfig(&rest.Config{
		Host: c.cluster.Admin.Host, TLSClientConfig: rest.TLSClientConfig{CAData: c.cluster.Admin.CAData},
		BearerToken: c.aws.token(t, caller), QPS: -1, WarningHandler: rest.NoWarnings{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// login logs a caller in with a new token, and returns the user. It returns nil if the API server refuses the token.
func (c *chain) login(t *testing.T, caller int) *access.User {
	t.Helper()
	review, err := c.as(t, caller).AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if apierrors.IsUnauthorized(err) {
		return nil
	}
	if err != nil {
		t.Fatalf("%s: %v", callers[caller].arn, err)
	}
	user := review.Status.UserInfo
	groups := slices.DeleteFunc(user.Groups, func(g string) bool { return g == awsauth.AuthenticatedGroup })
	return &access.User{Username: user.Username, Groups: groups}
}

// edit replaces aws-auth as a caller. If the webhook refuses the change, edit returns the error. Any other error fails the test.
func (c *chain) edit(t *testing.T, caller int, data map[string]string) error {
	t.Helper()
	_, err := c.as(t, caller).CoreV1().ConfigMaps(metav1.NamespaceSystem).Update(t.Context(), configMap(data), metav1.UpdateOptions{})
	if err != nil && !apierrors.IsInvalid(err) {
		t.Fatalf("%s: %v\n%s", callers[caller].arn, err, c.webhook.LogEnd())
	}
	return err
}

// stored returns the stored aws-auth.
func (c *chain) stored(t *testing.T) *awsauth.Object {
	t.Helper()
	object, err := c.admin(t).Get(t.Context(), "aws-auth", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &awsauth.Object{Data: object.Data}
}

// admin returns a client that logs in with a certificate.
func (c *chain) admin(t *testing.T) typedcorev1.ConfigMapInterface {
	t.Helper()
	client, err := kubernetes.NewForConfig(c.cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1().ConfigMaps(metav1.NamespaceSystem)
}

func configMap(data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: metav1.NamespaceSystem}, Data: data}
}
