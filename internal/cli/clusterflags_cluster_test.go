package cli_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/cli"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// clusterCommands are the commands that read a cluster. The values are arguments with which the command runs without an error on the cluster
// of stubCluster. A command without arguments is not run.
var clusterCommands = map[string][]string{
	"lint":         {"lint", "--rule", "role-path=off"},
	"explain":      {"explain", "arn:aws:iam::111122223333:role/b"},
	"diff":         {"diff", "-"},
	"get":          {"get"},
	"add":          {"add", "role", "arn:aws:iam::111122223333:role/c", "--group", "deployers", "--dry-run"},
	"set":          {"set", "arn:aws:iam::111122223333:role/b", "--group", "deployers", "--dry-run"},
	"remove":       {"remove", "arn:aws:iam::111122223333:role/b", "--dry-run=client"},
	"fix":          {"fix", "--dry-run"},
	"history":      {"history"},
	"history show": {"history", "show", "1"},
	"rollback":     {"rollback", "--to", "1", "--dry-run"},
	"whoami":       {"whoami"},
	"doctor":       {"doctor"},
	"migrate plan": {"migrate", "plan", "--no-role-paths"},
	// The file has an empty list of access entries.
	"migrate verify": {"migrate", "verify", "--entries", "testdata/no-entries.json"},
	// Not run, because it needs an EKS that returns the CA of the API server. It reads aws-auth by the same code as migrate plan.
	"migrate apply": nil,
	// Not run, because it needs an editor. It reads and writes aws-auth by the same code as set.
	"edit": nil,
}

// runnable returns the clusterCommands that the tests run.
func runnable() map[string][]string {
	commands := maps.Clone(clusterCommands)
	maps.DeleteFunc(commands, func(_ string, args []string) bool { return args == nil })
	return commands
}

// diagnoses reports whether a command explains in its output that it can't reach the cluster. Such a command then has the exit status 1.
func diagnoses(command string) bool { return command == "whoami" || command == "doctor" }

// reviews has the answers to the requests of doctor and whoami, by their paths.
var reviews = map[string]string{
	"/apis/authentication.k8s.io/v1/selfsubjectreviews":      `{"kind":"SelfSubjectReview","apiVersion":"authentication.k8s.io/v1","status":{"userInfo":{"username":"b","groups":["system:authenticated"]}}}`,
	"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": `{"kind":"SelfSubjectAccessReview","apiVersion":"authorization.k8s.io/v1","status":{"allowed":true}}`,
}

// offlineCommands are the commands that read no cluster.
var offlineCommands = []string{"", "rules", "config", "config check", "migrate"}

// Every command is in clusterCommands or offlineCommands. The commands that read a cluster have every flag in clusterFlagTests, and the
// other commands have none of these flags. Every flag for credentials is in clusterFlagTests.
func TestEveryCommandIsKnownToReadAClusterOrNot(t *testing.T) {
	tested := []string{"kubeconfig", "namespace"} // TestKubeconfigChoosesTheCluster, TestNamespaceFlag
	for _, test := range clusterFlagTests {
		tested = append(tested, test.flags...)
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			visit(child)
		}
		name := strings.TrimPrefix(strings.TrimPrefix(cmd.CommandPath(), "kubectl awsauth"), " ")
		_, reads := clusterCommands[name]
		if offline := slices.Contains(offlineCommands, name); reads == offline {
			t.Errorf("%q must be in one of clusterCommands and offlineCommands", name)
		}
		for _, flag := range tested {
			if has := cmd.Flags().Lookup(flag) != nil; has != reads {
				t.Errorf("%q has the flag --%s: %v, want %v", name, flag, has, reads)
			}
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if len(f.Annotations["classified"]) > 0 && !slices.Contains(tested, f.Name) { // client-go sets this annotation on the flags for credentials
				t.Errorf("%q has the flag --%s, which no test sets", name, f.Name)
			}
		})
	}
	visit(cli.RootCommand())
}

// seen is a request that a stub received.
type seen struct {
	header     http.Header
	serverName string // the name that the client sent in the TLS handshake
	certified  bool   // the client sent a certificate
	gzip       bool   // the client accepts compression
}

// stub imitates an API server and records its requests.
type stub struct {
	*httptest.Server

	ca       string // path of the server's certificate
	mu       sync.Mutex
	requests []seen
}

// stubCluster returns a cluster on which each of clusterCommands runs without an error.
func stubCluster(t *testing.T) *fakeCluster {
	t.Helper()
	data := map[string]string{"mapRoles": "- rolearn: arn:aws:iam::111122223333:role/b\n  username: b\n"}
	cm := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "guard", Name: "guard-history", Labels: map[string]string{history.Label: "true"}}}
	l := new(history.Log)
	l.Append(history.Version{Data: data, Hash: history.Hash(data, nil), Origin: history.Changed, Verdict: validate.ActionAllow})
	if err := l.Write(&cm, 10); err != nil {
		t.Fatal(err)
	}
	live := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: "kube-system", ResourceVersion: "7"}, Data: data}
	live.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	return &fakeCluster{clusterState: clusterState{Objects: []corev1.ConfigMap{cm}, Live: live}}
}

func newStub(t *testing.T) *stub {
	t.Helper()
	s, c := &stub{}, stubCluster(t)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.Header, r.TLS.ServerName, len(r.TLS.PeerCertificates) > 0, r.Header.Get("Accept-Encoding") == "gzip"})
		s.mu.Unlock()
		if review := reviews[r.URL.Path]; review != "" {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, review)
			return
		}
		if name, ok := strings.CutPrefix(r.URL.Path, rbacPath); ok {
			if r.URL.Query().Get("continue") != "" {
				name += "?continue=next"
			}
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, liveRBAC[name])
			return
		}
		c.ServeHTTP(w, r)
	}))
	s.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	s.ca = filepath.Join(t.TempDir(), "ca")
	writeFile(t, s.ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})))
	return s
}

// take returns the requests since the last call of take.
func (s *stub) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := s.requests
	s.requests = nil
	return requests
}

// flagTest is a test of flags. It says to which server the requests must go, and checks each request.
type flagTest struct {
	flags []string        // the flags whose effect the test checks
	args  []string        // may have the placeholders that twoClusters replaces: {west}, {ca}, {key} and {proxy}
	east  bool            // the requests go to the server east of the current context, and not to west
	check func(seen) bool // nil if the proxy must answer, and no server
}

func bearer(token string) func(seen) bool {
	return func(r seen) bool { return r.header.Get("Authorization") == "Bearer "+token }
}

// clusterFlagTests are tests that together set each flag and check its effect.
var clusterFlagTests = map[string]flagTest{
	"--context chooses the cluster and the user": {[]string{"context"}, []string{"--context", "west"}, false, bearer("bob")},
	"--cluster overrides the context":            {[]string{"cluster"}, []string{"--cluster", "west"}, false, bearer("alice")},
	"--user overrides the context":               {[]string{"user"}, []string{"--user", "bob"}, true, bearer("bob")},
	"--server overrides the cluster": {
		[]string{"server", "certificate-authority"}, []string{"--server", "{west}", "--certificate-authority", "{ca}"}, false, bearer("alice"),
	},
	"-s is --server":                       {nil, []string{"-s", "{west}", "--certificate-authority", "{ca}"}, false, bearer("alice")},
	"--insecure-skip-tls-verify":           {[]string{"insecure-skip-tls-verify"}, []string{"--context", "untrusted", "--insecure-skip-tls-verify"}, false, bearer("bob")},
	"--token replaces a token":             {[]string{"token"}, []string{"--token", "carol"}, true, bearer("carol")},
	"--token replaces the file of a token": {nil, []string{"--user", "file", "--token", "carol"}, true, bearer("carol")},
	"--token replaces an exec plugin":      {nil, []string{"--user", "exec", "--token", "carol"}, true, bearer("carol")},
	"--username and --password": {[]string{"username", "password"}, []string{"--user", "nobody", "--username", "dave", "--password", "pw"}, true, func(r seen) bool {
		return r.header.Get("Authorization") == "Basic "+base64.StdEncoding.EncodeToString([]byte("dave:pw"))
	}},
	"--client-certificate and --client-key": {
		[]string{"client-certificate", "client-key"}, []string{"--client-certificate", "{ca}", "--client-key", "{key}"}, true, func(r seen) bool { return r.certified },
	},
	"--tls-server-name": {[]string{"tls-server-name"}, []string{"--tls-server-name", "example.com"}, true, func(r seen) bool { return r.serverName == "example.com" }},
	"without a flag": {nil, nil, true, func(r seen) bool {
		return bearer("alice")(r) && r.gzip && !r.certified && r.serverName == "" && len(impersonated(r)) == 0
	}},
	"--disable-compression":    {[]string{"disable-compression"}, []string{"--disable-compression"}, true, func(r seen) bool { return !r.gzip }},
	"a long --request-timeout": {[]string{"request-timeout"}, []string{"--request-timeout", "1h"}, true, bearer("alice")},
	"no --request-timeout":     {nil, []string{"--request-timeout", "0"}, true, bearer("alice")},
	"impersonation": {
		[]string{"as", "as-group", "as-uid", "as-user-extra"},
		[]string{"--as", "erin", "--as-group", "a", "--as-group", "b", "--as-uid", "7", "--as-user-extra", "team=x", "--as-user-extra", "team=y"},
		true,
		func(r seen) bool {
			return cmp.Equal(impersonated(r), map[string][]string{
				"Impersonate-User": {"erin"}, "Impersonate-Group": {"a", "b"}, "Impersonate-Uid": {"7"}, "Impersonate-Extra-Team": {"x", "y"},
			})
		},
	},
	"impersonation by groups of a user in the kubeconfig": {nil, []string{"--user", "sudo", "--as-group", "b"}, true, func(r seen) bool {
		return cmp.Equal(impersonated(r), map[string][]string{"Impersonate-User": {"root"}, "Impersonate-Group": {"b"}})
	}},
	"--proxy-url": {[]string{"proxy-url"}, []string{"--proxy-url", "{proxy}"}, true, nil}, // the proxy answers with the status 418
}

// impersonated returns the headers that impersonate a user.
func impersonated(r seen) map[string][]string {
	headers := make(map[string][]string)
	for name, values := range r.header {
		if strings.HasPrefix(name, "Impersonate-") {
			headers[name] = values
		}
	}
	return headers
}

// twoClusters starts the servers east and west, and a proxy that answers each request with the status 418. east is the server of the current
// context. replace replaces the placeholders in the arguments of tests: {west} is the address of west, {ca} its certificate, {key} a key,
// and {proxy} the address of the proxy.
func twoClusters(t *testing.T) (east, west *stub, kubeconfig string, replace *strings.Replacer) {
	t.Helper()
	east, west = newStub(t), newStub(t)
	dir := t.TempDir()
	kubeconfig = filepath.Join(dir, "kubeconfig")
	writeFile(t, filepath.Join(dir, "token"), "from-file")
	writeFile(t, kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: east
clusters:
- {name: east, cluster: {server: %q, certificate-authority: %q}}
- {name: west, cluster: {server: %q, certificate-authority: %q}}
- {name: untrusted, cluster: {server: %[3]q}}
users:
- {name: alice, user: {token: alice}}
- {name: bob, user: {token: bob}}
- {name: nobody, user: {}}
- {name: file, user: {tokenFile: token}}
- {name: sudo, user: {token: alice, as: root, as-groups: [a]}}
- {name: exec, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: /nonexistent, interactiveMode: Never}}}
contexts:
- {name: east, context: {cluster: east, user: alice}}
- {name: west, context: {cluster: west, user: bob}}
- {name: untrusted, context: {cluster: untrusted, user: bob}}
`, east.URL, east.ca, west.URL, west.ca))
	key, err := x509.MarshalPKCS8PrivateKey(west.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	t.Cleanup(proxy.Close)
	return east, west, kubeconfig, strings.NewReplacer("{west}", west.URL, "{ca}", west.ca, "{key}", filepath.Join(dir, "key"), "{proxy}", proxy.URL)
}

// Every command that reads a cluster has kubectl's flags for the cluster and the user. Each flag has its effect on every request. There are
// two exceptions: rollback refuses the flags for impersonation, and --username of add and set is the username of the entry.
func TestFlagsOfKubectl(t *testing.T) {
	east, west, kubeconfig, replace := twoClusters(t)
	for command, args := range runnable() {
		for name, test := range clusterFlagTests {
			all := slices.Concat(args, []string{"--kubeconfig", kubeconfig})
			for _, arg := range test.args {
				all = append(all, replace.Replace(arg))
			}
			if name == "--username and --password" && (command == "add" || command == "set") {
				continue // their own --username is the username of the entry
			}
			status, stdout, stderr := run(t.Context(), t, newObject, all...)
			toEast, toWest := east.take(), west.take()
			if test.check == nil {
				want := 2
				if diagnoses(command) {
					want, stderr = 1, stdout
				}
				if status != want || !strings.Contains(stderr, "I'm a teapot") || len(toEast)+len(toWest) > 0 {
					t.Errorf("%s, %s: status %d\n%s", command, name, status, stderr)
				}
				continue
			}
			if command == "rollback" && strings.HasPrefix(name, "impersonation") {
				if status != 2 || !strings.Contains(stderr, "rollback does not impersonate") || len(toEast)+len(toWest) > 0 {
					t.Errorf("%s, %s: status %d, %d requests\n%s", command, name, status, len(toEast)+len(toWest), stderr)
				}
				continue
			}
			requests, others := toWest, toEast
			if test.east {
				requests, others = toEast, toWest
			}
			if status == 2 || len(requests) == 0 || len(others) > 0 {
				t.Errorf("%s, %s: status %d, %d requests, and %d to the other cluster\n%s%s", command, name, status, len(requests), len(others), stdout, stderr)
			}
			for _, r := range requests {
				if !test.check(r) {
					t.Errorf("%s, %s: %+v", command, name, r)
				}
			}
		}
	}
}

// --kubeconfig names a kubeconfig file. KUBECONFIG names several files, which the program merges like kubectl.
func TestKubeconfigChoosesTheCluster(t *testing.T) {
	east, west, kubeconfig, _ := twoClusters(t)
	first := filepath.Join(t.TempDir(), "first")
	writeFile(t, first, `{"apiVersion":"v1","kind":"Config","current-context":"mine","contexts":[{"name":"mine","context":{"cluster":"west","user":"alice"}}]}`)
	for command, args := range runnable() {
		for env, own := range map[string][]string{
			first + string(os.PathListSeparator) + kubeconfig: nil,
			"/nonexistent": {"--kubeconfig", kubeconfig, "--cluster", "west"},
		} {
			t.Setenv("KUBECONFIG", env)
			status, stdout, stderr := run(t.Context(), t, newObject, slices.Concat(args, own)...)
			requests := west.take()
			if status == 2 || len(requests) == 0 || !bearer("alice")(requests[0]) || len(east.take()) > 0 {
				t.Errorf("%s, %q: status %d, %d requests\n%s%s", command, own, status, len(requests), stdout, stderr)
			}
		}
	}
}

// --server selects a cluster even without a kubeconfig, and the output names the server.
func TestServerNeedsNoKubeconfig(t *testing.T) {
	_, west, kubeconfig, replace := twoClusters(t)
	t.Setenv("KUBECONFIG", "/nonexistent")
	args := strings.Fields(replace.Replace("explain arn:aws:iam::111122223333:role/b --token carol --server {west} --certificate-authority {ca}"))
	for name, more := range map[string][]string{
		"--server " + west.URL:             nil,
		"east (--server " + west.URL + ")": {"--kubeconfig", kubeconfig},
	} {
		status, stdout, stderr := run(t.Context(), t, "", append(args, more...)...)
		if want := name + "/kube-system/aws-auth: data.mapRoles[0]"; status != 0 || !strings.Contains(stdout, want) {
			t.Errorf("status %d, want %q in\n%s%s", status, want, stdout, stderr)
		}
	}
}

// --request-timeout ends a request that the API server does not answer. The output says that the API server did not answer in time.
func TestRequestTimeout(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server notices that the client closes the connection only after it has read the body
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	for command, args := range runnable() {
		status, stdout, stderr := run(t.Context(), t, newObject, append(args, "--server", server.URL, "--token", "x", "--request-timeout", "20ms")...)
		if diagnoses(command) {
			if status != 1 || !strings.Contains(stdout, "does not answer in time") {
				t.Errorf("%s: status %d\n%s%s", command, status, stdout, stderr)
			}
			continue
		}
		if want := "the API server did not answer within the time limit, which --request-timeout sets ("; status != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d\n%s%s", command, status, stdout, stderr)
		}
	}
}

// -n is the namespace of aws-auth in most commands, which accept only kube-system. It is the namespace of the guard in history and rollback,
// and the namespace of the request in get --can. whoami and doctor accept every namespace.
func TestNamespaceFlag(t *testing.T) {
	_, _, kubeconfig, _ := twoClusters(t)
	for command, args := range runnable() {
		good, bad, message := []string{"-n", "kube-system"}, []string{"-n", "team"}, "aws-auth is always in the namespace kube-system"
		switch command {
		case "get":
			good, bad, message = []string{"--can", "get pods", "-n", "team"}, []string{"-n", "team"}, "-n and --subresource describe the request of --can; add --can"
		case "whoami", "doctor": // every namespace is allowed
			good, bad, message = []string{"-n", "team"}, []string{"-n", "team", "surplus"}, "unknown command"
		case "history", "history show", "rollback":
			good, bad, message = []string{"-n", "guard"}, []string{"-n", "team"}, "there is no history in the namespace team"
		}
		if status, stdout, stderr := run(t.Context(), t, newObject, slices.Concat(args, good, []string{"--kubeconfig", kubeconfig})...); status == 2 {
			t.Errorf("%s %q: status %d\n%s%s", command, good, status, stdout, stderr)
		}
		if status, _, stderr := run(t.Context(), t, newObject, slices.Concat(args, bad, []string{"--kubeconfig", kubeconfig})...); status != 2 || !strings.Contains(stderr, message) {
			t.Errorf("%s %q: status %d\n%s", command, bad, status, stderr)
		}
	}
}

// If a flag is wrong, the error names this flag. If the kubeconfig has no context, cluster or user of the given name, the error quotes the
// name.
func TestWrongClusterFlagsAreNamed(t *testing.T) {
	_, _, kubeconfig, _ := twoClusters(t)
	for args, want := range map[string]string{
		"--request-timeout soon":   `invalid argument "soon" for "--request-timeout" flag: must be a time such as 10s or 1m, or 0 for no limit`,
		"--request-timeout -1s":    `invalid argument "-1s" for "--request-timeout" flag: must be a time`,
		"--as a --as-user-extra x": `invalid argument "x" for "--as-user-extra" flag: must be KEY=VALUE`,
		"--as-group ops":           "--as-group needs --as (",
		"--as-uid 7":               "--as-uid needs --as (",
		"--context other":          `context "other" does not exist`,
		"--cluster other":          `cluster "other" does not exist`,
		"--user other":             `auth info "other" does not exist`,
		"--token x --old a b":      "--token is for the live object; use it without FILE",
		"-n kube-system b":         "--namespace is for the live object; use it without FILE",
	} {
		status, _, stderr := run(t.Context(), t, "", append([]string{"lint", "--kubeconfig", kubeconfig}, strings.Fields(args)...)...)
		if strings.HasPrefix(want, "--token") || strings.HasPrefix(want, "--namespace") {
			status, _, stderr = run(t.Context(), t, "", append([]string{"lint"}, strings.Fields(args)...)...)
		}
		if status != 2 || !strings.Contains(stderr, "error: "+want) && !strings.Contains(stderr, "reading the kubeconfig: "+want) {
			t.Errorf("%s: status %d, %s", args, status, stderr)
		}
	}
}

// A shell completes the names of contexts, clusters and users in the kubeconfig.
func TestNamesOfTheKubeconfigAreCompleted(t *testing.T) {
	_, _, kubeconfig, _ := twoClusters(t)
	t.Setenv("KUBECONFIG", kubeconfig)
	for command, args := range runnable() {
		for flag, want := range map[string]string{"--context": "east\nuntrusted\nwest\n:4\n", "--cluster": "east\nuntrusted\nwest\n:4\n", "--user": "alice\nbob\nexec\nfile\nnobody\nsudo\n:4\n"} {
			if _, stdout, _ := run(t.Context(), t, "", slices.Concat([]string{"__complete"}, args, []string{flag, ""})...); stdout != want {
				t.Errorf("%s %s: %q", command, flag, stdout)
			}
		}
	}
}
