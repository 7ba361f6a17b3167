package server_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const role = "arn:aws:iam::111122223333:role/"

// added returns the AdmissionRequest of a change that adds an entry for a role.
func added(t *testing.T, name string) *admissionv1.AdmissionRequest {
	t.Helper()
	object := func(mapRoles string) apiruntime.RawExtension {
		raw, err := json.Marshal(map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "aws-auth", "namespace": "kube-system"},
			"data": map[string]string{"mapRoles": mapRoles},
		})
		if err != nil {
			t.Fatal(err)
		}
		return apiruntime.RawExtension{Raw: raw}
	}
	entry := func(name string) string {
		return "- {rolearn: " + role + name + ", username: " + name + ", groups: [g]}\n"
	}
	r := &admissionv1.AdmissionRequest{
		UID: "u", Operation: admissionv1.Update, Namespace: "kube-system", Name: "aws-auth",
		OldObject: object(entry("old")), Object: object(entry("old") + entry(name)),
	}
	r.Resource.Version, r.Resource.Resource = "v1", "configmaps"
	return r
}

// If IAM hangs, a review waits at most for the configured budget. The webhook answers the review before IAM responds.
func TestReviewWaitsForIAMWithinBudget(t *testing.T) {
	aws := iamtest.New(t)
	aws.Setenv(t)
	cfg := config.Default()
	cfg.IAM.Mode, cfg.IAM.Budget = validate.Deny, 20*time.Millisecond
	d := server.NewDirectory(func() *config.Config { return cfg }, metrics.New(nil), slog.New(slog.DiscardHandler))
	h := admission.New(admission.Options{Directory: d, Policy: cfg.Policy})
	asked, answer := make(chan struct{}), make(chan struct{})
	hang := func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-answer
	}
	aws.Answer("GetCallerIdentity", hang, nil)
	response := h.Review(t.Context(), added(t, "new"))
	if warnings := strings.Join(response.Warnings, "\n"); !response.Allowed || !strings.Contains(warnings, "[principal-unverified]") || !strings.Contains(warnings, "no answer in time") {
		t.Errorf("allowed %t with %q", response.Allowed, warnings)
	}
	<-asked
	close(answer)
}

// If the AWS configuration can't be loaded, the lookup of a new principal has the result unknown, and the webhook admits the
// change with a warning. The metrics count the lookup but have no duration for it.
func TestUnusableAWSConfigurationAdmitsWithWarning(t *testing.T) {
	aws := iamtest.New(t)
	aws.Setenv(t)
	t.Setenv("AWS_CA_BUNDLE", t.TempDir()+"/none")
	cfg := config.Default()
	cfg.IAM.Mode = validate.Deny
	recorder := metrics.New(nil)
	d := server.NewDirectory(func() *config.Config { return cfg }, recorder, slog.New(slog.DiscardHandler))
	h := admission.New(admission.Options{Directory: d, Recorder: recorder, Policy: cfg.Policy})
	response := h.Review(t.Context(), added(t, "new"))
	if warnings := strings.Join(response.Warnings, "\n"); !response.Allowed || !strings.Contains(warnings, "[principal-unverified]") {
		t.Errorf("allowed %t with %q", response.Allowed, warnings)
	}
	if got := scrape(t, recorder); !strings.Contains(got, `awsauth_guard_iam_lookups_total{result="unknown"} 1`+"\n") || !strings.Contains(got, "awsauth_guard_iam_lookup_duration_seconds_count 0\n") {
		t.Errorf("counted\n%s", got)
	}
}

// scrape returns the metrics whose names begin with awsauth_guard_iam_.
func scrape(t *testing.T, recorder *metrics.Recorder) string {
	t.Helper()
	w := httptest.NewRecorder()
	recorder.Handler(nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody))
	var b strings.Builder
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "awsauth_guard_iam_") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// The directory uses a changed configuration. When IAM is turned on, it calls IAM and logs its identity. When an account is
// added, it looks up principals in this account.
func TestDirectoryUsesNewConfiguration(t *testing.T) {
	const other = "arn:aws:iam::222233334444:role/"
	aws := iamtest.New(t)
	aws.Setenv(t)
	aws.Add(other+"Reader", other+"there")
	aws.Trust(other+"Reader", "")
	cfg := config.Default()
	var log logtest.Log
	d := server.NewDirectory(func() *config.Config { return cfg }, metrics.New(nil), slog.New(slog.NewTextHandler(&log, nil)))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Announce()(ctx) }()
	says := func(text string) {
		t.Helper()
		eventually(t, "the log says "+text, func() bool { return strings.Contains(log.String(), text) })
	}
	ask := func() validate.Existence {
		asking, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		arn := awsauth.ARN{Partition: "aws", Service: "iam", Account: "222233334444", Resource: "role/there"}
		return d.Lookup(asking, []awsauth.ARN{arn}).Principals[arn.String()].Existence
	}
	d.Prepare()
	if log.String() != "" {
		t.Errorf("the lookups are off, but the directory logs\n%s", &log)
	}
	use := func(iam config.IAM) {
		changed := *cfg
		changed.IAM = iam
		cfg = &changed
		d.Prepare()
	}
	use(config.IAM{Mode: validate.Warn, Budget: 10 * time.Second})
	says(iamtest.Identity)
	if got := ask(); got != validate.Unknown {
		t.Errorf("without the account: %s", got)
	}
	use(config.IAM{Mode: validate.Warn, Budget: 10 * time.Second, Accounts: map[string]config.Account{"222233334444": {RoleARN: other + "Reader"}}})
	if got := ask(); got != validate.Exists {
		t.Errorf("with the account: %s\n%s", got, &log)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
