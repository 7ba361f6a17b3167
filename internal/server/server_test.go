package server_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// deletion is a review of a request that deletes an aws-auth with one entry.
const deletion = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{
	"uid":"u1","operation":"DELETE","name":"aws-auth","namespace":"kube-system",
	"kind":{"version":"v1","kind":"ConfigMap"},"resource":{"version":"v1","resource":"configmaps"},
	"userInfo":{"username":"ann"},
	"oldObject":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","namespace":"kube-system"},
		"data":{"mapRoles":"- {rolearn: arn:aws:iam::111122223333:role/team, username: team, groups: [dev]}"}}}}`

// deleted posts the deletion over HTTP/2 and TLS, and returns the response.
func deleted(t *testing.T, p *process, path string) *admissionv1.AdmissionResponse {
	t.Helper()
	answer, err := p.post(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestReviewsMetricsAndHealthAreServed(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))

	answer := deleted(t, p, "/validate-aws-auth")
	if answer.Allowed || answer.UID != "u1" || answer.Result.Code != 403 || !strings.Contains(answer.Result.Message, "[deleted]") {
		t.Errorf("deletion: got %+v with %+v", answer, answer.Result)
	}
	if answer := deleted(t, p, "/observe-aws-auth"); !answer.Allowed || answer.UID != "u1" || answer.AuditAnnotations["would-deny"] != "deleted" {
		t.Errorf("deletion that is observed: got %+v", answer)
	}
	if _, err := p.post(t.Context(), "/"); err == nil || err.Error() != "404 Not Found" {
		t.Errorf("another path: got %v", err)
	}
	if lines := p.log.lines("review"); len(lines) != 2 || lines[0]["uid"] != "u1" || lines[0]["verdict"] != "deny" || lines[1]["verdict"] != "warn" || lines[1]["observed"] != true {
		t.Errorf("log of reviews: %v", lines)
	}

	code, body := get(t, "http://"+p.metrics+"/metrics")
	for _, want := range []string{
		`awsauth_guard_reviews_total{dry_run="false",operation="DELETE",verdict="deny"} 1`,
		`awsauth_guard_rejections_total{dry_run="false",operation="DELETE",rule="deleted"} 1`,
		`awsauth_guard_would_deny_total{dry_run="false",rule="deleted"} 1`,
		`awsauth_guard_review_duration_seconds_count 2`,
		"go_goroutines ", "process_resident_memory_bytes ",
	} {
		if code != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("metrics (%d) lack %s", code, want)
		}
	}

	for path, want := range map[string]string{
		"/healthz": "ok", "/readyz": "ok",
		"/readyz?verbose": "[+]certificate ok\n[+]webhook ok\n[+]shutdown ok\nok\nconfiguration: generation 1 in use\n",
	} {
		if code, body := get(t, "http://"+p.health+path); code != http.StatusOK || body != want {
			t.Errorf("%s: got %d and %q, want %q", path, code, body, want)
		}
	}

	p.stop()
	if status := <-p.status; status != 0 || len(p.log.lines("stopped")) != 1 {
		t.Errorf("stopped with the status %d:\n%s", status, p.log)
	}
	for _, address := range []string{p.webhook, p.metrics, p.health} {
		if conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address); err == nil {
			conn.Close()
			t.Errorf("%s is still served", address)
		}
	}
}

func TestTLSBelow13IsRefused(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	if state, err := dial(t, p.webhook, tls.VersionTLS13); err != nil || state.Version != tls.VersionTLS13 {
		t.Errorf("TLS 1.3: version %x, %v", state.Version, err)
	}
	if _, err := dial(t, p.webhook, tls.VersionTLS12); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.2: got the error %v", err)
	}
}

// run calls Main with arguments that make it return without a signal.
func run(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out strings.Builder
	log := newOutput()
	status = server.Main(t.Context(), args, &out, log)
	return status, out.String(), log.String()
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	if status, out, _ := run(t, "--version"); status != 0 || out != "awsauth-guard "+version.String()+"\n" {
		t.Errorf("--version: status %d, %q", status, out)
	}
	status, out, _ := run(t, "--help")
	for _, flag := range []string{
		"--config file", "--cert-dir folder", "--cert-secret namespace/name", "--state namespace/name", "--webhook-configuration name", "--service namespace/name", "--bypass-group group", `(default "awsauth-guard:bypass")`, "--kubeconfig file", `--webhook-bind-address host:port`, `(default ":9443")`,
		"--client-ca-file file", "--client-name name",
		"--metrics-bind-address host:port", `(default ":8080")`, "--health-probe-bind-address host:port", `(default ":8081")`,
		"--shutdown-delay time", "(default 10s)", "--log-level level", "--log-format format", "--version",
	} {
		if status != 0 || !strings.Contains(out, flag) {
			t.Errorf("--help: status %d, no %s in\n%s", status, flag, out)
		}
	}
}

func TestInvalidFlagsAreRefused(t *testing.T) {
	t.Parallel()
	const end = "Run 'awsauth-guard-webhook --help' for usage.\n"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "awsauth-guard-webhook: --cert-dir and --cert-secret are missing: name the folder that holds tls.crt and tls.key, or the Secret for a CA of the webhook's own\n"},
		{[]string{"--cert-dir", "x", "--cert-secret", "a/b"}, "awsauth-guard-webhook: --cert-dir and --cert-secret exclude each other: write one of them\n"},
		{
			[]string{"--cert-dir", "x", "--service", "a/b", "--webhook-configuration", "c"},
			`awsauth-guard-webhook: --webhook-configuration needs --cert-secret or --state; remove it if you use only --cert-dir
awsauth-guard-webhook: --service needs --cert-secret or --state; remove it if you use only --cert-dir
`,
		},
		{
			[]string{"--cert-secret", "guard", "--service", "a/b/c"},
			`awsauth-guard-webhook: --cert-secret is "guard": write NAMESPACE/NAME
awsauth-guard-webhook: --service is "a/b/c": write NAMESPACE/NAME
awsauth-guard-webhook: --webhook-configuration is "": write the name of a ValidatingWebhookConfiguration
`,
		},
		{
			[]string{"--cert-dir", "x", "--state", "guard/History"},
			`awsauth-guard-webhook: --state is "guard/History": write NAMESPACE/NAME
awsauth-guard-webhook: --service is "": write NAMESPACE/NAME
awsauth-guard-webhook: --webhook-configuration is "": write the name of a ValidatingWebhookConfiguration
`,
		},
		{[]string{"--nonsense"}, "awsauth-guard-webhook: unknown flag: --nonsense\n"},
		{[]string{"--cert-dir", "x", "more"}, "awsauth-guard-webhook: unexpected argument \"more\"\n"},
		{
			[]string{
				"--cert-dir", "x", "--webhook-bind-address", "9443", "--metrics-bind-address", ":http",
				"--health-probe-bind-address", ":70000", "--shutdown-delay", "-1s", "--log-level", "loud", "--log-format", "xml",
			}, `awsauth-guard-webhook: --webhook-bind-address is "9443": write HOST:PORT or :PORT
awsauth-guard-webhook: --metrics-bind-address is ":http": write HOST:PORT or :PORT
awsauth-guard-webhook: --health-probe-bind-address is ":70000": a port is at most 65535
awsauth-guard-webhook: --shutdown-delay is -1s: write 0s or more
awsauth-guard-webhook: --log-level is "loud": write debug, info, warn or error
awsauth-guard-webhook: --log-format is "xml": write json or text
`,
		},
	} {
		status, out, got := run(t, tt.args...)
		if status != 2 || out != "" {
			t.Errorf("%q: status %d, stdout %q", tt.args, status, out)
		}
		if diff := cmp.Diff(tt.want+end, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.args, diff)
		}
	}
}

// An invalid option or file ends the process before it serves a port.
func TestInvalidOptionsEndTheProcess(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "guard.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: awsauth-guard.io/v1alpha1\nkind: guardConfig\nmode: off\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	certs, none := newCertDir(t), t.TempDir()
	for _, tt := range []struct {
		name string
		args []string
		want []string
	}{
		{"a bad configuration", []string{"--cert-dir", certs, "--config", file}, []string{
			file + `:2: kind: is "guardConfig"; write GuardConfig`,
			file + `:3: mode: is "off"; write enforce or warn`,
		}},
		{"no configuration", []string{"--cert-dir", certs, "--config", filepath.Join(none, "x")}, []string{
			"reading the configuration: open " + filepath.Join(none, "x") + ": no such file or directory",
		}},
		{"no kubeconfig", []string{
			"--cert-secret", "a/b", "--service", "a/c", "--webhook-configuration", "d", "--kubeconfig", filepath.Join(none, "x"),
		}, []string{
			"reading the kubeconfig: stat " + filepath.Join(none, "x") + ": no such file or directory",
		}},
		{"no pod", []string{"--cert-secret", "a/b", "--service", "a/c", "--webhook-configuration", "d"}, []string{
			"reading the pod's service account: unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be defined; outside of a cluster, use --kubeconfig FILE",
		}},
		{"no kubeconfig for the state", []string{
			"--cert-dir", certs, "--state", "a/b", "--service", "a/c", "--webhook-configuration", "d", "--kubeconfig", filepath.Join(none, "x"),
		}, []string{
			"reading the kubeconfig: stat " + filepath.Join(none, "x") + ": no such file or directory",
		}},
		{"no certificate", []string{"--cert-dir", none}, []string{
			"reading the serving certificate: open " + filepath.Join(none, "tls.crt") + ": no such file or directory",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			log := newOutput()
			status := server.Main(t.Context(), tt.args, io.Discard, log)
			var errs []string
			for _, line := range log.lines("the guard stops because of an error") {
				errs = append(errs, fmt.Sprint(line["err"]))
			}
			if diff := cmp.Diff(tt.want, errs); diff != "" || status != 1 {
				t.Errorf("status %d, errors (-want +got):\n%s", status, diff)
			}
			if len(log.lines("serving")) > 0 {
				t.Errorf("it served before it failed:\n%s", log)
			}
		})
	}
}

func TestPortInUseEndsTheProcess(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	certs := newCertDir(t)
	flags := map[string]string{"webhook": "--webhook-bind-address", "metrics": "--metrics-bind-address", "health": "--health-probe-bind-address"}
	for port := range flags {
		args := []string{"--cert-dir", certs}
		for other, flag := range flags {
			address := "127.0.0.1:0"
			if other == port {
				address = taken.Addr().String()
			}
			args = append(args, flag, address)
		}
		status, _, log := run(t, args...)
		want := `"serving the ` + port + ` port: listen tcp ` + taken.Addr().String() + `: bind: address already in use"`
		if status != 1 || !strings.Contains(log, want) {
			t.Errorf("%s: status %d, no %s in\n%s", port, status, want, log)
		}
	}
}

func TestLogFormatText(t *testing.T) {
	t.Parallel()
	status, _, log := run(t, "--cert-dir", t.TempDir(), "--log-format", "text", "--log-level", "error")
	lines := slices.Collect(strings.Lines(log))
	if status != 1 || len(lines) != 1 || !strings.Contains(lines[0], `level=ERROR msg="the guard stops because of an error" err="reading the serving certificate: `) {
		t.Errorf("status %d:\n%s", status, log)
	}
}
