package chart_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// TestEmergencyTexts: docs/how-to/when-nothing-answers.md has the API server's messages about a webhook that doesn't answer. The
// test replaces addresses, ports and the timeout, which differ from those of the page.
func TestEmergencyTexts(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/when-nothing-answers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		want string
		// service is the address to which the Service leads. If url is set, the API server calls the URL instead of
		// the Service.
		service, url string
	}{
		{"no Service", `service "awsauth-guard" not found`, "", ""},
		{"no process listens", "connect: connection refused", closedPort(t), ""},
		{"the process does not answer", "context deadline exceeded", silentPort(t), ""},
		{"no caBundle", "x509: certificate signed by unknown authority", "", "https://" + webhook.Address + "/validate-aws-auth"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			configuration := one[admissionregistrationv1.ValidatingWebhookConfiguration](t, render(t, "default"))
			switch {
			case tt.service != "":
				leadTo(t, configuration, tt.service)
			case tt.url != "":
				configuration.Webhooks[0].ClientConfig = admissionregistrationv1.WebhookClientConfig{URL: &tt.url}
			}
			// If the process does not answer, the API server waits for the timeout of 5 s, so shorten it.
			for i := range configuration.Webhooks {
				configuration.Webhooks[i].TimeoutSeconds = new(int32(1))
			}
			create(t, configuration)
			_, err := as(t, "operator").CoreV1().ConfigMaps("kube-system").Create(t.Context(), awsAuth(adminEntry), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			if err == nil {
				t.Fatal("admitted")
			}
			said := "Error from server (InternalError): " + sameAddresses(err.Error())
			wantSays(t, said, tt.want)
			if !strings.Contains(string(page), said+"\n") {
				t.Errorf("the page does not have\n%s", said)
			}
		})
	}
}

// TestBackstopTexts: docs/how-to/when-nothing-answers.md has kubectl's messages about refusals by the backstop. As the page says,
// the bypass admits a deletion, and break-glass admits an edit.
func TestBackstopTexts(t *testing.T) {
	page, err := os.ReadFile("../../docs/how-to/when-nothing-answers.md")
	if err != nil {
		t.Fatal(err)
	}
	install(t, "ignore")
	kubectl := func(args ...string) (said string, err error) {
		t.Helper()
		args = append(args, "configmap", "aws-auth", "-n", "kube-system", "--dry-run=server", "--as=me", "--as-group=system:masters")
		cmd := exec.CommandContext(t.Context(), cluster.Kubectl(), args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "KUBECONFIG=" + cluster.Kubeconfig}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, tt := range []struct {
		refused, admitted []string
	}{
		{[]string{"delete"}, []string{"delete", "--as-group=awsauth-guard:bypass"}},
		{
			[]string{"patch", `--patch={"data":{"mapRoles":""}}`},
			[]string{"patch", `--patch={"data":{"mapRoles":""},"metadata":{"annotations":{"` + breakGlass + `":"incident 4711"}}}`},
		},
	} {
		said, err := kubectl(tt.refused...)
		if err == nil {
			t.Errorf("%q: admitted", tt.refused)
		}
		if !strings.Contains(string(page), "\n"+said) {
			t.Errorf("the page does not have\n%s", said)
		}
		if said, err := kubectl(tt.admitted...); err != nil {
			t.Errorf("%q: %v: %s", tt.admitted, err, said)
		}
	}
}

// sameAddresses replaces the addresses and the timeout in a message by those of the page.
func sameAddresses(text string) string {
	text = regexp.MustCompile(`https://[^/]+/`).ReplaceAllString(text, "https://awsauth-guard.awsauth-guard.svc:443/")
	text = regexp.MustCompile(`dial tcp \S+:\d+`).ReplaceAllString(text, "dial tcp 10.0.1.7:9443")
	return strings.ReplaceAll(text, "timeout=1s", "timeout=5s")
}

// leadTo makes the webhooks' Service lead to a loopback address until the test ends. There is no cluster network, so only a
// Service of the type ExternalName can lead to this address.
func leadTo(t *testing.T, c *admissionregistrationv1.ValidatingWebhookConfiguration, address string) {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	services := admin.CoreV1().Services(namespace)
	if _, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: release},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeExternalName, ExternalName: "127.0.0.1",
			Ports: []corev1.ServicePort{{Port: int32(port), TargetPort: intstr.FromInt32(int32(port))}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := services.Delete(context.Background(), release, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	for i := range c.Webhooks {
		c.Webhooks[i].ClientConfig.Service.Port = new(int32(port))
		c.Webhooks[i].ClientConfig.CABundle = cluster.Admin.CAData
	}
}

// silentPort returns an address that accepts connections and never answers.
func silentPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
