package helmtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/helmtest"
)

// answer is a response of the API server.
type answer struct {
	code    int
	reason  metav1.StatusReason
	message string
	warning string
}

var (
	refused = answer{
		code: http.StatusUnprocessableEntity, reason: metav1.StatusReasonInvalid,
		message: `admission webhook "aws-auth.awsauth-guard.io" denied the request: data.mapRoles: line 2 of mapRoles: mapRoles does not parse [yaml-syntax]`,
	}
	warned = answer{
		code: http.StatusConflict, reason: metav1.StatusReasonAlreadyExists, message: `configmaps "aws-auth" already exists`,
		warning: "data.mapRoles: line 2 of mapRoles: mapRoles does not parse [yaml-syntax]",
	}
	admitted = answer{code: http.StatusCreated, message: "created"}
	off      = answer{code: http.StatusConflict, reason: metav1.StatusReasonAlreadyExists, message: `configmaps "aws-auth" already exists`}
	down     = answer{
		code: http.StatusInternalServerError, reason: metav1.StatusReasonInternalError,
		message: `Internal error occurred: failed calling webhook "aws-auth.awsauth-guard.io": no endpoints available for service "awsauth-guard"`,
	}
	forbidden    = answer{code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: `User "test" cannot create resource "configmaps"`}
	otherWebhook = answer{code: http.StatusForbidden, reason: metav1.StatusReasonForbidden, message: `admission webhook "policy.example" denied the request: no [yaml-syntax]`}
)

// apiServer starts a server that imitates the API server, and returns a kubeconfig file for it. The server gives these
// answers in their order, and then repeats the last answer.
func apiServer(t *testing.T, answers ...answer) (kubeconfig string) {
	t.Helper()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/v1/namespaces/kube-system/configmaps" || r.URL.Query().Get("dryRun") != "All" {
			t.Errorf("asked for %s %s", r.Method, r.URL)
		}
		a := answers[min(int(asked.Add(1)), len(answers))-1]
		w.Header().Set("Content-Type", "application/json")
		if a.warning != "" {
			w.Header().Set("Warning", fmt.Sprintf("299 - %q", a.warning))
		}
		w.WriteHeader(a.code)
		status := metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure, Reason: a.reason, Code: int32(a.code), Message: a.message,
		}
		var body any = status
		if a.code == http.StatusCreated {
			body = map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}
		}
		if err := json.NewEncoder(w).Encode(body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q}}]
users: [{name: u, user: {}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

func TestSelftestChecksMode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		mode    string
		answers []answer
		status  int
		want    string
	}{
		{"refused", "enforce", []answer{refused}, 0, "ok: the guard refused an unparsable aws-auth: "},
		{"warned", "warn", []answer{warned}, 0, "as expected in mode warn: data.mapRoles"},
		{"active after a moment", "enforce", []answer{down, off, refused}, 0, "ok: "},
		{"no pod answers", "enforce", []answer{down}, 1, "no endpoints available"},
		{"admitted", "enforce", []answer{admitted}, 1, "without a warning"},
		{"not registered", "enforce", []answer{off}, 1, "without a warning"},
		{"admitted in mode warn", "warn", []answer{off}, 1, "without a warning"},
		{"only warned", "enforce", []answer{warned}, 1, "should refuse it"},
		{"refused in mode warn", "warn", []answer{refused}, 1, "should only warn"},
		{"no right to create", "enforce", []answer{forbidden}, 1, "cannot create resource"},
		{"another webhook refuses", "enforce", []answer{otherWebhook}, 1, "policy.example"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			timeout := "1s"
			if tt.status == 0 {
				timeout = "30s" // the program ends as soon as it gets the expected answer
			}
			status := helmtest.Main(t.Context(), []string{"--mode", tt.mode, "--timeout", timeout, "--kubeconfig", apiServer(t, tt.answers...)}, &stdout, &stderr)
			if outcome := stdout.String() + stderr.String(); status != tt.status || !strings.Contains(outcome, tt.want) {
				t.Errorf("status %d, want %d; it says %q, want %q", status, tt.status, outcome, tt.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args   []string
		status int
		want   string // a part of the output
	}{
		{[]string{"--help"}, 0, "Nothing is stored"},
		{[]string{"--mode", "off"}, 2, `--mode is "off": write enforce or warn`},
		{[]string{"more"}, 2, `unexpected argument "more"`},
		{[]string{"--nonsense"}, 2, "unknown flag: --nonsense"},
		{[]string{"--kubeconfig", "/nonexistent"}, 1, "reading the kubeconfig"},
	} {
		var stdout, stderr strings.Builder
		status := helmtest.Main(t.Context(), tt.args, &stdout, &stderr)
		if outcome := stdout.String() + stderr.String(); status != tt.status || !strings.Contains(outcome, tt.want) {
			t.Errorf("%q: status %d, want %d; it says %q, want %q", tt.args, status, tt.status, outcome, tt.want)
		}
	}
}
