package admission_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

// send posts body to target, as the API server does. It returns the review in the response and the HTTP status.
func send(t *testing.T, h http.Handler, target, contentType string, body io.Reader) (answer admissionv1.AdmissionReview, status int) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, target, body)
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("the answer is not a review: %v\n%s", err, w.Body)
	}
	return answer, w.Code
}

func asReview(t *testing.T, r *admissionv1.AdmissionRequest) string {
	t.Helper()
	body, err := json.Marshal(admissionv1.AdmissionReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
		Request:  r,
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestReviewsAreAnsweredOverHTTP(t *testing.T) {
	t.Parallel()
	var recorded counts
	h := admission.New(admission.Options{Recorder: &recorded})
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	bad := asReview(t, request("UPDATE", configMap(admin), configMap(admin+path)))

	answer, _ := send(t, h, "/", "application/json", strings.NewReader(good))
	if !answer.Response.Allowed || answer.Response.UID != "0a1b" || answer.APIVersion != "admission.k8s.io/v1" || answer.Kind != "AdmissionReview" {
		t.Errorf("a good change: got %+v", answer)
	}
	answer, _ = send(t, h, "/", "application/json", strings.NewReader(bad))
	if answer.Response.Allowed || answer.Response.Result.Code != 422 || answer.Response.UID != "0a1b" {
		t.Errorf("a bad change: got %+v", answer)
	}
	if len(recorded.events) != 3 {
		t.Errorf("metrics: %q", recorded.events)
	}
}

func TestBrokenBodiesAreRefused(t *testing.T) {
	t.Parallel()
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	for name, tt := range map[string]struct {
		contentType, body string
		status            int // HTTP status
		code              int32
	}{
		"empty":                   {jsonType, "", 400, 400},
		"not JSON":                {jsonType, "<review/>", 400, 400},
		"YAML":                    {jsonType, "kind: AdmissionReview\napiVersion: admission.k8s.io/v1\n", 400, 400},
		"cut":                     {jsonType, good[:len(good)/2], 400, 400},
		"followed by more":        {jsonType, good + good, 400, 400},
		"a list":                  {jsonType, "[]", 400, 400},
		"text":                    {jsonType, `"review"`, 400, 400},
		"deeply nested":           {jsonType, strings.Repeat("[", 7<<20), 400, 400},
		"NULs":                    {jsonType, strings.Repeat("\x00", 1<<20), 400, 400},
		"of another content type": {"text/plain", good, 415, 415},
		"of no content type":      {"", good, 415, 415},
		"too large":               {jsonType, good + strings.Repeat(" ", 7<<20), 413, 413},
		"without a kind":          {jsonType, `{"request":{"uid":"0a1b"}}`, 200, 403},
		"without a request":       {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 200, 403},
		"null":                    {jsonType, "null", 200, 403},
		"of no request":           {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`, 200, 403},
		"of an empty request":     {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, 200, 403},
		"of a wrong type":         {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":5}}`, 400, 400},
		"of another kind":         {jsonType, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","namespace":"kube-system"}}`, 400, 400},
		"of another version":      {jsonType, strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v2", 1), 400, 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recorded counts
			h := admission.New(admission.Options{Recorder: &recorded})
			answer, status := send(t, h, "/", tt.contentType, strings.NewReader(tt.body))
			if answer.Response.Allowed || answer.Response.Result.Code != tt.code || status != tt.status {
				t.Errorf("got the status %d, %+v with %+v, want %d and the code %d", status, answer.Response, answer.Response.Result, tt.status, tt.code)
			}
			if answer.Kind != "AdmissionReview" || answer.APIVersion != "admission.k8s.io/v1" {
				t.Errorf("the answer is a %q of %q", answer.Kind, answer.APIVersion)
			}
			if want := "reviewed  error dry=false "; !strings.HasPrefix(recorded.events[0], want) {
				t.Errorf("metrics: %q, want %s", recorded.events, want)
			}
		})
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	w := httptest.NewRecorder()
	admission.New(admission.Options{}).ServeHTTP(w, r)
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: got the status %d", w.Code)
	}
}

// The guard answers a v1beta1 review from an older API server with a v1beta1 response.
func TestV1Beta1ReviewIsAnswered(t *testing.T) {
	t.Parallel()
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	body := strings.Replace(good, "admission.k8s.io/v1", "admission.k8s.io/v1beta1", 1)
	answer, _ := send(t, admission.New(admission.Options{}), "/", "application/json; charset=utf-8", strings.NewReader(body))
	if !answer.Response.Allowed || answer.APIVersion != "admission.k8s.io/v1beta1" {
		t.Errorf("got %+v", answer)
	}
}

// No request makes a rule or the guard panic, and every refusal has a message.
func FuzzReview(f *testing.F) {
	for _, after := range []string{admin, admin + path, "broken: [", "{", "- a\n---\n- b", "&a [*a]", "- &a {rolearn: *a}", "\xff\x00"} {
		f.Add("UPDATE", "ann", "aws-auth", string(configMap(admin).Raw), string(configMap(after).Raw))
	}
	f.Add("DELETE", "eks:x", "", string(configMap(admin).Raw), "null")
	f.Add("CREATE", "", "", "", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"}}`)
	h := admission.New(admission.Options{})
	f.Fuzz(func(t *testing.T, operation, user, name, before, after string) {
		got := h.Review(t.Context(), request(admissionv1.Operation(operation), runtime.RawExtension{Raw: []byte(before)}, runtime.RawExtension{Raw: []byte(after)},
			func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username, r.Name = user, name }))
		if got.Allowed != (got.Result == nil) || !got.Allowed && got.Result.Message == "" {
			t.Errorf("got %+v", got)
		}
		if strings.Contains(fmt.Sprint(got.Result, got.Warnings), "the guard failed") || got.Result != nil && strings.Contains(got.Result.Message, "panic") {
			t.Errorf("got %+v", got)
		}
	})
}

// The guard answers every HTTP request with a review. A refusal has a message, and no request causes a panic. The guard admits a request only
// if its body is valid JSON with the uid of a review.
func FuzzHTTP(f *testing.F) {
	for _, after := range []string{admin + team, path, "&a [*a]"} {
		text, err := json.Marshal(admissionv1.AdmissionReview{
			TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"},
			Request:  request("UPDATE", configMap(admin), configMap(after)),
		})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(jsonType, "timeout=10s", text)
	}
	f.Add("text/plain", "timeout=%", []byte("{}"))
	f.Add(jsonType, "", []byte(`{"request":{"uid":"a","kind":{"kind":"Secret"},"namespace":"x"}}`))
	h := admission.New(admission.Options{})
	f.Fuzz(func(t *testing.T, contentType, query string, body []byte) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", bytes.NewReader(body))
		r.URL.RawQuery = query
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var answer admissionv1.AdmissionReview
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
			t.Fatalf("the answer is not a review: %v\n%s", err, w.Body)
		}
		if got := answer.Response; !got.Allowed {
			if got.Result == nil || got.Result.Message == "" || strings.Contains(got.Result.Message, "panic") {
				t.Errorf("refused with %+v", got.Result)
			}
			return
		}
		if !json.Valid(body) || w.Code != http.StatusOK || answer.Response.UID == "" {
			t.Errorf("allowed with the status %d: %q", w.Code, body)
		}
	})
}

// entries returns mapRoles with n entries.
func entries(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- rolearn: arn:aws:iam::111122223333:role/team-%d\n  username: team-%d:{{SessionName}}\n  groups:\n  - system:masters\n  - team-%d\n", i, i, i)
	}
	return b.String()
}

func BenchmarkNoOp(b *testing.B) {
	text := entries(10)
	meta := func(version string) func(map[string]any) {
		return set("metadata", map[string]any{"name": "aws-auth", "resourceVersion": version, "annotations": map[string]any{"last-applied": text}})
	}
	r := request("UPDATE", configMap(text, meta("1")), configMap(text, meta("2")))
	h := admission.New(admission.Options{})
	for b.Loop() {
		if !h.Review(b.Context(), r).Allowed {
			b.Fatal("refused")
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := entries(n)
			r := request("UPDATE", configMap(text), configMap(text+team))
			h := admission.New(admission.Options{})
			for b.Loop() {
				if !h.Review(b.Context(), r).Allowed {
					b.Fatal("refused")
				}
			}
		})
	}
}
