package cli_test

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// apiServer starts a server that answers each read of aws-auth with this status and body. The current context of the
// kubeconfig is prod.
func apiServer(t *testing.T, status int, body string) (kubeconfig string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/api/v1/namespaces/kube-system/configmaps/aws-auth" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	writeFile(t, kubeconfig+".ca", string(ca))
	writeFile(t, kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: c, cluster: {server: %q, certificate-authority: %q}}
users:
- {name: u, user: {token: secret}}
contexts:
- {name: prod, context: {cluster: c, user: u}}
- {name: other, context: {cluster: c, user: u}}
`, server.URL, kubeconfig+".ca"))
	return kubeconfig
}

const liveObject = `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"aws-auth","namespace":"kube-system"},
"data":{"mapRoles":"- rolearn: arn:aws:iam::111122223333:role/team/a\n  username: a\n- rolearn: arn:aws:iam::111122223333:role/b\n  username: b\n"}}`

const newObject = `apiVersion: v1
kind: ConfigMap
metadata:
  name: aws-auth
data:
  mapRoles: |
    - rolearn: arn:aws:iam::111122223333:role/b
      username: c
`

// Without a file, commands read the live object. Positions then count from the start of a key's text.
func TestCommandsReadLiveObject(t *testing.T) {
	kubeconfig := apiServer(t, http.StatusOK, liveObject)
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"lint", 1, `prod/kube-system/aws-auth: data.mapRoles[0].rolearn:1:12: deny: "arn:aws:iam::111122223333:role/team/a" has a path, and STS leaves the path out, so it never matches a caller [role-path]
    hint: write arn:aws:iam::111122223333:role/a
`},
		{"lint --context other --rule role-path=off", 0, ""},
		{"explain arn:aws:iam::111122223333:role/b", 0, `arn:aws:iam::111122223333:role/b is mapped by data.mapRoles[1]
    at:           prod/kube-system/aws-auth: data.mapRoles[1]:3:3
    username:     b
    groups:       (none)
`},
		{"diff -", 1, `access: prod/kube-system/aws-auth → <stdin>
~ arn:aws:iam::111122223333:role/b
    username: b → c
    groups:   none
`},
	} {
		status, stdout, stderr := run(t.Context(), t, newObject, append(strings.Fields(test.args), "--kubeconfig", kubeconfig)...)
		if diff := cmp.Diff(test.want, stdout); diff != "" || status != test.status || stderr != "" {
			t.Errorf("%s: status %d, stderr %q (-want +got):\n%s", test.args, status, stderr, diff)
		}
	}
}

// After an error of the API server, the message names the likely cause and the next step.
func TestLiveErrorsNameNextStep(t *testing.T) {
	status := func(code int, reason, message string) string {
		return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, message, reason, code)
	}
	for _, test := range []struct {
		code            int
		reason, message string
		want            string
	}{
		{
			http.StatusNotFound, "NotFound", `configmaps "aws-auth" not found`,
			`it does not exist; EKS creates it with the first node group of a cluster, and not in authentication mode API (configmaps "aws-auth" not found)`,
		},
		{
			http.StatusForbidden, "Forbidden", "no access",
			"you need the verb get on the configmap aws-auth in the namespace kube-system (no access)",
		},
		{
			http.StatusUnauthorized, "Unauthorized", "Unauthorized",
			"the API server did not accept your credentials, possibly because aws-auth does not map you; find the cause with kubectl awsauth doctor, log in as the IAM principal that created the cluster, or create an access entry for yourself (Unauthorized)",
		},
		{http.StatusInternalServerError, "InternalError", "etcd is gone", "etcd is gone"},
	} {
		kubeconfig := apiServer(t, test.code, status(test.code, test.reason, test.message))
		code, stdout, stderr := run(t.Context(), t, "", "lint", "--kubeconfig", kubeconfig)
		want := "error: reading kube-system/aws-auth in the context prod: " + test.want + "\n"
		if code != 2 || stdout != "" || stderr != want {
			t.Errorf("%d: status %d, %s (-want +got):\n%s", test.code, code, stdout, cmp.Diff(want, stderr))
		}
	}
}

// If a proxy answers with a login page, the error says that the response is an HTML page. client-go would report a
// missing serializer.
func TestHTMLResponseIsExplained(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusBadGateway} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(status)
			fmt.Fprint(w, "<!DOCTYPE html><html>Sign in</html>")
		}))
		kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
		writeFile(t, kubeconfig, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"prod","clusters":[{"name":"c","cluster":{"server":%q}}],"contexts":[{"name":"prod","context":{"cluster":"c"}}]}`, server.URL))
		code, _, stderr := run(t.Context(), t, "", "lint", "--kubeconfig", kubeconfig)
		server.Close()
		if code != 2 || !strings.HasPrefix(stderr, "error: reading kube-system/aws-auth in the context prod: the response is an HTML page, as from a proxy or a login page; ") {
			t.Errorf("%d: status %d, %s", status, code, stderr)
		}
	}
}

// If a cluster is unreachable, the error names the context.
func TestUnreachableClusterIsNamed(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	writeFile(t, kubeconfig, `{"apiVersion":"v1","kind":"Config","current-context":"prod","clusters":[{"name":"c","cluster":{"server":"https://127.0.0.1:1"}}],"contexts":[{"name":"prod","context":{"cluster":"c"}}]}`)
	code, _, stderr := run(t.Context(), t, "", "lint", "--kubeconfig", kubeconfig)
	if code != 2 || !strings.Contains(stderr, "error: reading kube-system/aws-auth in the context prod: ") || !strings.Contains(stderr, "refused") {
		t.Errorf("status %d, %s", code, stderr)
	}
}
