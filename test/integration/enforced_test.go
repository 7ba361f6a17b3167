package integration_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

type webhookConfig = admissionregistrationv1.ValidatingWebhookConfiguration

// files makes the replicas read their serving certificate from a folder (--cert-dir) instead of the Secret. It returns the CA
// that signed the certificate.
func (g *guarded) files(t *testing.T) (bundle []byte) {
	t.Helper()
	ca, err := servingcert.NewAuthority(time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Sign(time.Now(), time.Hour, []string{guard + "." + g.namespace + ".svc"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(leaf.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, text := range map[string][]byte{
		"tls.crt": servingcert.EncodeCertificates(leaf.Leaf),
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.change = func(o *server.Options) { o.CertDir, o.CertSecret = folder, "" }
	return servingcert.EncodeCertificates(ca.Cert)
}

// wantEnforced waits until a replica's metric, an Event and /readyz?verbose say whether the guard enforces. If reason
// is empty, the guard must enforce. Otherwise it must not enforce, and the Event, /readyz?verbose and the log must
// give the reason.
func (g *guarded) wantEnforced(t *testing.T, r *replica, reason string) {
	t.Helper()
	begun := time.Now()
	want, event, line := 0.0, kube.NotEnforced, "guard: not enforced: "
	if reason == "" {
		want, event, line = 1, kube.Enforced, "guard: enforced"
	}
	r.wantMetric(t, "awsauth_guard_enforced", want, 10*time.Second)
	t.Logf("%v after %s: %s", want, time.Since(begun).Round(time.Millisecond), reason)
	wantEvent(t, g, begun, event, reason)
	until(t, "/readyz?verbose says so", 5*time.Second, func(ctx context.Context) error {
		body, err := webhook.Get(ctx, "http://"+r.address("health")+"/readyz?verbose")
		return errorIf(err != nil || !strings.Contains(body, line) || !strings.Contains(body, reason), fmt.Sprint(body, err))
	})
	if reason == "" {
		return
	}
	logged := false
	for _, line := range r.lines("the guard is not enforced") {
		logged = logged || strings.Contains(fmt.Sprint(line["reason"]), reason)
	}
	if !logged {
		t.Error("the log does not say so")
	}
}

// With --cert-dir no replica repairs the webhook configuration. The guard still watches the configuration, to report
// whether it enforces.
func TestEnforcementIsReported(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	bundle := g.files(t)
	g.registerChart(t, bundle)
	r := g.start(t)
	r.wantReady(t, 10*time.Second)
	r.wantMetric(t, "awsauth_guard_enforced", 1, 10*time.Second)
	r.wantMetric(t, "awsauth_guard_leader", 1, 10*time.Second)

	g.unregister(t)
	g.wantEnforced(t, r, "there is no ValidatingWebhookConfiguration")
	g.registerChart(t, bundle)
	g.wantEnforced(t, r, "")
	for _, test := range []struct {
		name, reason string
		change       func(*webhookConfig)
	}{
		{"its selector", "its namespaceSelector does not select kube-system", func(c *webhookConfig) {
			c.Webhooks[0].NamespaceSelector.MatchLabels = map[string]string{"kubernetes.io/metadata.name": "elsewhere"}
		}},
		{"its caBundle", "does not trust the serving certificate", func(c *webhookConfig) {
			other, err := servingcert.NewAuthority(time.Now(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			c.Webhooks[0].ClientConfig.CABundle = servingcert.EncodeCertificates(other.Cert)
		}},
		{"its rules", "do not cover DELETE", func(c *webhookConfig) {
			c.Webhooks[0].Rules[0].Operations = c.Webhooks[0].Rules[0].Operations[:2]
		}},
		{"its conditions", "is not one of the chart's", func(c *webhookConfig) {
			c.Webhooks[0].MatchConditions[0].Expression += ` && request.userInfo.username != "mallory"`
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var before []admissionregistrationv1.ValidatingWebhook
			g.updateConfig(t, func(c *webhookConfig) {
				before = c.DeepCopy().Webhooks
				test.change(c)
			})
			g.wantEnforced(t, r, test.reason)
			g.updateConfig(t, func(c *webhookConfig) { c.Webhooks = before })
			g.wantEnforced(t, r, "")
		})
	}
}

// With a self-managed CA, the guard also reports whether it enforces. It then reads the webhook configuration through
// the watch of servingcert.
func TestEnforcementIsReportedWithSelfManagedCA(t *testing.T) {
	g := newGuarded(t, base(), guardConfig, quick())
	replicas := g.run(t, 2)
	g.unregister(t)
	for _, r := range replicas {
		r.wantMetric(t, "awsauth_guard_enforced", 0, 10*time.Second)
	}
	g.registerChart(t, nil)
	for _, r := range replicas {
		r.wantMetric(t, "awsauth_guard_enforced", 1, 10*time.Second)
	}
}

// alone unregisters the webhook of the other tests until the test ends, because that webhook would refuse the writes of the
// test's replicas.
func alone(t *testing.T) {
	t.Helper()
	g := &selfManaged{client: kubernetes.NewForConfigOrDie(cluster.Admin)}
	if err := g.configs().Delete(t.Context(), "awsauth-guard", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Register(context.WithoutCancel(t.Context()), webhook, admissionregistrationv1.MatchCondition{
			Name: "not-the-fixture", Expression: `request.userInfo.username != "fixture"`,
		}); err != nil {
			t.Error(err)
		}
	})
}

// The enforcing webhook refuses a self-test, or only warns in mode warn. It does not count a self-test as a review.
// If the API server doesn't call the webhook for a self-test although the webhook configuration is right, the guard
// reports that it doesn't enforce.
func TestSelfTestIsRefusedAndNotCounted(t *testing.T) {
	alone(t)
	const enabled = guardConfig + "selfTest: {enabled: true}\n"
	for _, test := range []struct {
		name, config string
		groups       []string
		want         float64
	}{
		{"refused", enabled, nil, 1},
		{"warned of", enabled + "mode: warn\n", nil, 1},
		{"not asked", enabled, []string{"awsauth-guard:bypass"}, 0},
		{"not asked, in mode warn", enabled + "mode: warn\n", []string{"awsauth-guard:bypass"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGuarded(t, base(), test.config, quick())
			bundle := g.files(t)
			files := g.change
			user := "system:serviceaccount:" + g.namespace + ":guard"
			g.change = func(o *server.Options) {
				files(o)
				o.Kubeconfig = kubeconfigOf(t, &clientcmdapi.AuthInfo{
					ClientCertificateData: cluster.Admin.CertData, ClientKeyData: cluster.Admin.KeyData,
					Impersonate: user, ImpersonateGroups: append(test.groups, "system:authenticated"),
				})
			}
			g.registerChart(t, bundle)
			// The observing webhook would also answer the self-test with a warning, so remove it.
			g.updateConfig(t, func(c *webhookConfig) { c.Webhooks = c.Webhooks[:1] })
			r := g.start(t)
			r.wantReady(t, 10*time.Second)
			r.wantMetric(t, "awsauth_guard_leader", 1, 10*time.Second)
			until(t, "the replica has made two self-tests", 20*time.Second, func(context.Context) error {
				n, err := deletions(user)
				return errorIf(err != nil || n < 2, fmt.Sprint(n, err))
			})
			r.wantMetric(t, "awsauth_guard_enforced", test.want, 20*time.Second)
			for _, series := range []string{
				`awsauth_guard_reviews_total{dry_run="true",operation="DELETE",verdict="deny"}`,
				`awsauth_guard_reviews_total{dry_run="true",operation="DELETE",verdict="warn"}`,
				`awsauth_guard_rejections_total{dry_run="true",operation="DELETE",rule="deleted"}`,
			} {
				if value, ok := r.value(t.Context(), series); ok {
					t.Errorf("%s is %v", series, value)
				}
			}
			if value, _ := r.value(t.Context(), `awsauth_guard_would_deny_total{dry_run="false",rule="deleted"}`); value != 0 {
				t.Errorf("would_deny counts the self-test: %v", value)
			}
		})
	}
}

// deletions returns how many times a user has tried to delete aws-auth.
func deletions(user string) (n int, err error) {
	log, err := os.ReadFile(cluster.AuditLog)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(log)) {
		if strings.Contains(line, `"username":"`+user+`"`) && strings.Contains(line, `"verb":"delete"`) && strings.Contains(line, `"name":"aws-auth"`) {
			n++
		}
	}
	return n, nil
}
