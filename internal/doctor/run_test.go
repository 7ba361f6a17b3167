package doctor_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

// script returns an exec section that runs a shell script.
func script(t *testing.T, text string, args ...string) *clientcmdapi.ExecConfig {
	t.Helper()
	name := filepath.Join(t.TempDir(), "plugin")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1beta1", Command: name, Args: args, InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
	}
}

func options(config *rest.Config) doctor.Options {
	return doctor.Options{
		Config: func() (*rest.Config, error) { return config, nil }, Context: "prod", Namespace: "default",
		Now: func() time.Time { return time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC) },
	}
}

// checkCause checks that the cause of a report has this id, and that the report contains none of the secrets.
func checkCause(t *testing.T, r *doctor.Report, id string, secrets ...string) {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if r.Cause == nil || r.Cause.ID != id {
		t.Errorf("want the cause %s: %s", id, text)
	}
	for _, secret := range secrets {
		if strings.Contains(string(text), secret) {
			t.Errorf("the report has the secret %q: %s", secret, text)
		}
	}
}

func TestPluginOutputStaysHidden(t *testing.T) {
	t.Parallel()
	const secret = "k8s-aws-v1.aHR0cHM6Ly9zdHMuZXUtd2VzdC0x"
	for name, test := range map[string]struct {
		script, cause string
		args          []string
	}{
		"other text":            {"echo " + secret, "plugin-output", nil},
		"a wrong type":          {`echo '{"kind":"ExecCredential","status":{"token":["` + secret + `"]}}'`, "plugin-output", nil},
		"a token as version":    {`echo '{"kind":"ExecCredential","apiVersion":"` + secret + `"}'`, "plugin-api-version", nil},
		"a token in the error":  {"echo 'cannot use " + secret + "' >&2; exit 1", "plugin-failed", nil},
		"a secret in a flag":    {"exit 1", "plugin-failed", []string{"--client-secret", secret, "--password=" + secret}},
		"escape sequences":      {`printf '\033]0;` + secret + `\007' >&2; exit 1`, "plugin-failed", nil},
		"a very long output":    {"head -c 9000000 /dev/zero | tr '\\0' x; echo " + secret, "plugin-output", nil},
		"a very long error":     {"head -c 9000000 /dev/zero | tr '\\0' ' ' >&2; echo " + secret + " >&2; exit 1", "plugin-failed", nil},
		"no token in the JSON":  {`echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1","status":{}}'`, "plugin-output", nil},
		"no output":             {"true", "plugin-output", nil},
		"another kind of JSON":  {"echo '[]'", "plugin-output", nil},
		"a secret as last line": {"echo >&2; echo " + secret + " >&2; exit 3", "plugin-failed", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := doctor.Run(t.Context(), options(&rest.Config{Host: "https://127.0.0.1:1", ExecProvider: script(t, test.script, test.args...)}))
			checkCause(t, r, test.cause, secret, "aHR0")
		})
	}
}

func TestPluginThatWaitsIsEnded(t *testing.T) {
	t.Parallel()
	r := doctor.RunWithLimit(t.Context(), options(&rest.Config{Host: "https://127.0.0.1:1", ExecProvider: script(t, "echo 'MFA token code:' >&2; exec sleep 1000")}), 500*time.Millisecond)
	checkCause(t, r, "plugin-timeout")
	if !strings.Contains(r.Cause.Summary, "MFA token code:") {
		t.Errorf("the summary does not show the question: %s", r.Cause.Summary)
	}
}

// For a context of another provider, doctor names no command of the AWS CLI, because the AWS CLI can't write such a
// context.
func TestOtherPluginsGetNoCommandOfEKS(t *testing.T) {
	t.Parallel()
	r := doctor.Run(t.Context(), options(&rest.Config{Host: "https://10.0.0.1", ExecProvider: &clientcmdapi.ExecConfig{
		APIVersion: "client.authentication.k8s.io/v1beta1", Command: "gke-gcloud-auth-plugin-that-is-missing",
	}}))
	checkCause(t, r, "plugin-not-found", "aws ")
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	r = doctor.Run(t.Context(), options(&rest.Config{Host: server.URL, BearerToken: "a-token-of-gcloud", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}))
	checkCause(t, r, "credentials-refused", "aws ", "a-token-of-gcloud")
}

// If the API server redirects a request, doctor doesn't send the token to the other host. client-go would send it.
func TestTheTokenReachesNoOtherHost(t *testing.T) {
	t.Parallel()
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the other host got %s with the header %q", r.URL, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, status) }))
		r := doctor.Run(t.Context(), options(&rest.Config{Host: server.URL, BearerToken: "a-secret-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}))
		checkCause(t, r, "unreachable", "a-secret-token")
		server.Close()
	}
}

// The status 403 means missing credentials only if the body is an answer of the API server. If a proxy answers with this
// status, the API server is unreachable.
func TestForbiddenByAProxyIsNotAnonymous(t *testing.T) {
	t.Parallel()
	for body, cause := range map[string]string{
		"<html>Blocked by the proxy</html>": "unreachable",
		`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"selfsubjectreviews is forbidden: User \"system:anonymous\" cannot create","reason":"Forbidden","code":403}`: "no-credentials",
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, body)
		}))
		r := doctor.Run(t.Context(), options(&rest.Config{Host: server.URL, BearerToken: "a-secret-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}))
		checkCause(t, r, cause)
		server.Close()
	}
}

func TestAnswersOfSTS(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 5, 0, 0, time.UTC)
	const identity = `{"GetCallerIdentityResponse":{"GetCallerIdentityResult":{"Arn":"%s","Account":"111122223333","UserId":"AROA:x"}}}`
	for name, test := range map[string]struct {
		status      int
		body, cause string
		skew        time.Duration
		fails       bool
	}{
		"an identity":                        {200, fmt.Sprintf(identity, "arn:aws:sts::111122223333:assumed-role/dev/x"), "", 0, false},
		"an identity, and the clock differs": {200, fmt.Sprintf(identity, "arn:aws:sts::111122223333:assumed-role/dev/x"), "", time.Hour, false},
		"an escape sequence":                 {200, fmt.Sprintf(identity, `arn:aws:iam::111122223333:user/\u001b[2J`), "", 0, true},
		"a shell command":                    {200, fmt.Sprintf(identity, "arn:aws:iam::111122223333:user/$(id)"), "", 0, true},
		"a huge ARN":                         {200, fmt.Sprintf(identity, "arn:aws:iam::111122223333:user/"+strings.Repeat("x", 9000)), "", 0, true},
		"a huge body":                        {200, strings.Repeat(" ", 1<<20) + "{}", "", 0, true},
		"no ARN":                             {200, "{}", "", 0, true},
		"HTML":                               {407, "<html>", "", 0, true},
		"a deleted key":                      {403, `{"Error":{"Code":"InvalidClientTokenId"}}`, "credentials-rejected", 0, false},
		"a wrong signature":                  {403, `{"Error":{"Code":"SignatureDoesNotMatch","Message":"k8s-aws-v1.secret"}}`, "signature-mismatch", 0, false},
		"a signature of another time":        {403, `{"Error":{"Code":"SignatureDoesNotMatch"}}`, "clock-skew", 6 * time.Minute, false},
		"a signature of a time before":       {403, `{"Error":{"Code":"SignatureDoesNotMatch"}}`, "clock-skew", -6 * time.Minute, false},
		"another code":                       {503, `{"Error":{"Code":"ServiceUnavailable"}}`, "", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := doctor.ExplainSTS("prod", now, &http.Response{
				StatusCode: test.status, Body: io.NopCloser(strings.NewReader(test.body)), Header: http.Header{"Date": {now.Add(-test.skew).Format(http.TimeFormat)}},
			})
			switch {
			case (err != nil) != test.fails:
				t.Fatalf("got the error %v", err)
			case err != nil:
			case test.cause != "":
				checkCause(t, r, test.cause, "k8s-aws-v1.secret")
			case r.Cause != nil:
				t.Errorf("got the cause %+v", r.Cause)
			}
		})
	}
}

// An administrator who has the aws-auth of a cluster in a file needs no kubeconfig.
func TestAFileSufficesForAnAdministrator(t *testing.T) {
	t.Parallel()
	o := options(nil)
	o.Config = func() (*rest.Config, error) { return nil, doctor.ErrNoContext }
	o.Principal = "arn:aws:iam::111122223333:role/dev"
	o.ReadAWSAuth = func(context.Context) (*awsauth.Object, error) {
		return &awsauth.Object{Data: map[string]string{"mapRoles": "- rolearn: " + o.Principal + "\n  username: dev\n  groups: []\n"}}, nil
	}
	r := doctor.Run(t.Context(), o)
	last := r.Steps[len(r.Steps)-1]
	if last.Name != "aws-auth" || last.Status != doctor.StatusOK {
		t.Errorf("got %+v", r.Steps)
	}
}

// An administrator who may not read aws-auth, or who can't log in, learns what to do instead.
func TestAnAdministratorWithoutRightsGetsAnAnswer(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		http.StatusForbidden:    "you may not read aws-auth; an administrator runs kubectl get configmap",
		http.StatusUnauthorized: "the API server does not accept your credentials, so you can't read aws-auth; run doctor without --principal",
	} {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		o := options(&rest.Config{Host: server.URL, BearerToken: "a-secret-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}})
		o.Principal = "arn:aws:iam::111122223333:role/dev"
		r := doctor.Run(t.Context(), o)
		last := r.Steps[len(r.Steps)-1]
		if last.Name != "aws-auth" || last.Status != doctor.StatusUnknown || !strings.HasPrefix(last.Found, want) || r.Cause != nil {
			t.Errorf("%d: got %+v, want %s", status, r.Steps, want)
		}
		server.Close()
	}
}
