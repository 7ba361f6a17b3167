package admission_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// outcome holds the audit annotations and the counts of an observed review.
type outcome struct {
	Audit  map[string]string
	Events []string
}

// observe sends the request on the observing path, and returns the response and the calls of the Recorder.
func observe(t *testing.T, policy func() validate.Policy, r *admissionv1.AdmissionRequest) (*admissionv1.AdmissionResponse, []string) {
	t.Helper()
	var recorded counts
	h := admission.New(admission.Options{Policy: policy, Recorder: &recorded, Now: clock()})
	return h.Observe(t.Context(), r), recorded.events
}

func TestObserveAdmitsAndWarns(t *testing.T) {
	t.Parallel()
	none := runtime.RawExtension{}
	breakGlass := set("metadata", map[string]any{"name": "aws-auth", "annotations": map[string]any{validate.BreakGlassAnnotation: "INC-1"}})
	robot := func(r *admissionv1.AdmissionRequest) { r.UserInfo.Groups = []string{"awsauth-guard:bypass"} }
	for _, tt := range []struct {
		name     string
		request  *admissionv1.AdmissionRequest
		warnings []string // a substring of each warning
		want     outcome
	}{
		{"good", request("UPDATE", configMap(admin+node), configMap(admin+node+team)), nil, outcome{
			map[string]string{"verdict": "allow"}, []string{"reviewed UPDATE allow dry=false 2ms"},
		}},
		{"a fault", request("UPDATE", configMap(admin+node), configMap(admin+node+path)), []string{"[role-path]"}, outcome{
			map[string]string{"verdict": "warn", "rules": "role-path", "would-deny": "role-path"},
			[]string{"reviewed UPDATE warn dry=false 2ms", "would deny role-path"},
		}},
		{
			"a fault in a dry run", request("UPDATE", configMap(admin+node), configMap(admin+node+path), func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }), []string{"[role-path]"}, outcome{
				map[string]string{"verdict": "warn", "rules": "role-path", "would-deny": "role-path"},
				[]string{"reviewed UPDATE warn dry=true 2ms", "would deny role-path in a dry run"},
			},
		},
		{"a deletion", request("DELETE", configMap(team), none), []string{"[deleted]"}, outcome{
			map[string]string{"verdict": "warn", "rules": "deleted", "would-deny": "deleted"},
			[]string{"reviewed DELETE warn dry=false 2ms", "would deny deleted"},
		}},
		// The enforcing path would admit a change with break-glass, too, so nothing is counted as "would deny".
		{
			"break-glass", request("UPDATE", configMap(admin), configMap(admin+path, breakGlass)),
			[]string{"break-glass overrules every denial of this request: INC-1", "[role-path]"},
			outcome{
				map[string]string{"verdict": "warn", "rules": "role-path", "overrides": "break-glass: INC-1"},
				[]string{"reviewed UPDATE warn dry=false 2ms", "overridden break-glass"},
			},
		},
		{
			"break-glass without the right", request("UPDATE", configMap(admin), configMap(admin+path, breakGlass), robot),
			[]string{"[role-path]", "[break-glass-denied]"},
			outcome{
				map[string]string{"verdict": "warn", "rules": "break-glass-denied,role-path", "would-deny": "break-glass-denied,role-path"},
				[]string{"reviewed UPDATE warn dry=false 2ms", "would deny break-glass-denied", "would deny role-path"},
			},
		},
		{"another object", request("UPDATE", none, none, func(r *admissionv1.AdmissionRequest) { r.Name = "other" }), nil, outcome{
			map[string]string{"verdict": "skipped"}, []string{"reviewed UPDATE skipped dry=false 2ms"},
		}},
		{
			"no object", request("UPDATE", configMap(admin), none),
			[]string{"awsauth-guard could not evaluate this request and admits it: the request has no object [internal-error]"},
			outcome{
				map[string]string{"verdict": "error", "rules": "internal-error", "would-deny": "internal-error"},
				[]string{"reviewed UPDATE error dry=false 2ms", "would deny internal-error"},
			},
		},
		{
			"no request", &admissionv1.AdmissionRequest{},
			[]string{"could not evaluate this request and admits it"},
			outcome{
				map[string]string{"verdict": "error", "rules": "internal-error", "would-deny": "internal-error"},
				[]string{"reviewed  error dry=false 2ms", "would deny internal-error"},
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, events := observe(t, nil, tt.request)
			if !got.Allowed || got.Result != nil || got.UID != tt.request.UID {
				t.Errorf("got %+v", got)
			}
			if !contains(got.Warnings, tt.warnings) {
				t.Errorf("warnings %q, want %q", got.Warnings, tt.warnings)
			}
			if diff := cmp.Diff(tt.want, outcome{got.AuditAnnotations, events}); diff != "" {
				t.Errorf("audit annotations and metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// The observing path admits a request even if a rule panics or the object exceeds the size limit.
func TestObserveAdmitsRequestsThatCannotBeEvaluated(t *testing.T) {
	t.Parallel()
	large := configMap(admin, set("binaryData", map[string]any{"x": strings.Repeat("x", 3<<20)}))
	for name, tt := range map[string]struct {
		policy func() validate.Policy
		object runtime.RawExtension
		want   string
	}{
		"panic": {func() validate.Policy { panic("at\nthe disco") }, configMap(admin + path), "panic: at"},
		"size":  {nil, large, "the object takes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, events := observe(t, tt.policy, request("UPDATE", configMap(admin), tt.object))
			if !got.Allowed || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], tt.want) || len(got.Warnings[0]) > 256 || strings.ContainsAny(got.Warnings[0], "\n") {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff([]string{"reviewed UPDATE error dry=false 2ms", "would deny internal-error"}, events); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

// The observing path admits every hostile text.
func TestObserveAdmitsHostileText(t *testing.T) {
	t.Parallel()
	h := admission.New(admission.Options{})
	texts := hostile()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if got := h.Observe(t.Context(), request("UPDATE", configMap(admin+node), configMap(texts[name]))); !got.Allowed {
			t.Errorf("%s: refused: %v", name, got.Result)
		}
	}
}

// Both paths refuse a request that isn't a valid review. They share the limits, so a request on one path waits for requests
// on the other.
func TestObserverSharesLimits(t *testing.T) {
	t.Parallel()
	entered, leave := make(chan struct{}), make(chan struct{})
	h := admission.New(admission.Options{Concurrency: 1, Policy: func() validate.Policy {
		entered <- struct{}{}
		<-leave
		return validate.Policy{}
	}})
	post := func(handler http.Handler, query, body string) int {
		r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	if code := post(h.Observer(), "", "{"); code != http.StatusBadRequest {
		t.Errorf("no review: got %d", code)
	}
	change := fmt.Sprintf(`{"request":{"uid":"u","operation":"DELETE","name":"aws-auth","namespace":"kube-system","resource":{"resource":"configmaps"},"oldObject":%s}}`, configMap(admin).Raw)
	first := make(chan int)
	go func() { first <- post(h, "", change) }()
	<-entered
	if code := post(h.Observer(), "?timeout=100ms", change); code != http.StatusTooManyRequests {
		t.Errorf("beside a review on the other path: got %d", code)
	}
	close(leave)
	if code := <-first; code != http.StatusOK {
		t.Errorf("the first review: got %d", code)
	}
}
