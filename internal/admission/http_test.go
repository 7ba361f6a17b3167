package admission_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

// post sends a body as the API server does and returns the review that comes back.
func post(t *testing.T, h *admission.Handler, contentType, body string) admissionv1.AdmissionReview {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/validate-aws-auth", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.Webhook().ServeHTTP(w, r)
	var answer admissionv1.AdmissionReview
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Response == nil {
		t.Fatalf("the answer is no review: %v\n%s", err, w.Body)
	}
	return answer
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

func TestHTTP(t *testing.T) {
	t.Parallel()
	var recorded counts
	h := admission.New(admission.Options{Recorder: &recorded})
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	bad := asReview(t, request("UPDATE", configMap(admin), configMap(admin+path)))

	answer := post(t, h, "application/json", good)
	if !answer.Response.Allowed || answer.Response.UID != "0a1b" || answer.APIVersion != "admission.k8s.io/v1" || answer.Kind != "AdmissionReview" {
		t.Errorf("a good change: got %+v", answer)
	}
	answer = post(t, h, "application/json", bad)
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
	const jsonType = "application/json"
	for name, tt := range map[string]struct {
		contentType, body string
		code              int32
	}{
		"empty":                   {jsonType, "", 403},
		"not JSON":                {jsonType, "<review/>", 400},
		"cut":                     {jsonType, good[:len(good)/2], 400},
		"a list":                  {jsonType, "[]", 400},
		"text":                    {jsonType, `"review"`, 400},
		"of another content type": {"text/plain", good, 400},
		"too large":               {jsonType, good + strings.Repeat(" ", 7<<20), 413},
		"without a kind":          {jsonType, `{"request":{"uid":"0a1b"}}`, 403},
		"without a request":       {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}`, 403},
		"of no request":           {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":null}`, 403},
		"of an empty request":     {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{}}`, 403},
		"of a wrong type":         {jsonType, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":5}}`, 400},
		"of another kind":         {jsonType, `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","namespace":"kube-system"}}`, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer := post(t, admission.New(admission.Options{}), tt.contentType, tt.body)
			if answer.Response.Allowed || answer.Response.Result.Code != tt.code {
				t.Errorf("got %+v with %+v, want the code %d", answer.Response, answer.Response.Result, tt.code)
			}
		})
	}
}

// Whatever arrives: no panic, and what is refused says why.
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
		if got.Result != nil && strings.Contains(got.Result.Message, "panic while judging") {
			t.Error(got.Result.Message)
		}
		for _, w := range got.Warnings {
			if strings.Contains(w, "could not judge") {
				t.Error(w)
			}
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
