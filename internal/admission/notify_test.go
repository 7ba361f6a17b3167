package admission_test

import (
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// notes is a Notifier that records its calls as text.
type notes []string

func (n *notes) Admitted(_ time.Time, requester string, overrides []string) {
	*n = append(*n, fmt.Sprintf("admitted %s %v", requester, overrides))
}

func (n *notes) Refused(requester string, rules []string) {
	*n = append(*n, fmt.Sprintf("refused %s %v", requester, rules))
}

// A Notifier receives admitted changes and refused changes, and no other reviews.
func TestNotifierReceivesAdmittedAndRefusedChanges(t *testing.T) {
	t.Parallel()
	none, one, two, faulty := runtime.RawExtension{}, configMap(admin+node), configMap(admin+node+team), configMap(admin+node+path)
	binary := set("binaryData", map[string]any{"k": base64.StdEncoding.EncodeToString([]byte{0, 1, 0xff})})
	annotated := func(key, value string) func(map[string]any) {
		return set("metadata", map[string]any{"name": "aws-auth", "annotations": map[string]any{key: value}})
	}
	dry := func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }
	other := func(r *admissionv1.AdmissionRequest) { r.Name = "another" }
	admitted := []string{"admitted ann []"}
	for _, tt := range []struct {
		name     string
		request  *admissionv1.AdmissionRequest
		want     []string
		observed []string // on the observing path
	}{
		{"an update", request("UPDATE", one, two), admitted, admitted},
		{"a creation", request("CREATE", none, one), admitted, admitted},
		{"a deletion", request("DELETE", one, none), []string{"refused ann [deleted last-admin node-role-removed]"}, admitted},
		{"binary data", request("UPDATE", one, configMap(admin+node, binary)), admitted, admitted},
		{"a fault", request("UPDATE", one, faulty), []string{"refused ann [role-path]"}, admitted},
		{"break-glass", request("UPDATE", one, configMap(admin+node+path, annotated(validate.BreakGlassAnnotation, "INC"))), []string{"admitted ann [break-glass]"}, admitted},
		{"break-glass for later", request("UPDATE", one, configMap(admin+node, annotated(validate.BreakGlassAnnotation, "INC"))), []string{"admitted ann [break-glass]"}, nil},
		{"nothing", request("UPDATE", one, one), nil, nil},
		{"a label", request("UPDATE", one, configMap(admin+node, set("metadata", map[string]any{"name": "aws-auth", "labels": map[string]any{"a": "b"}}))), nil, nil},
		{"an annotation of ours", request("UPDATE", one, configMap(admin+node, annotated(validate.AnnotationPrefix+"x", "y"))), nil, nil},
		{"a dry run", request("UPDATE", one, two, dry), nil, nil},
		{"a dry run with a fault", request("UPDATE", one, faulty, dry), nil, nil},
		{"another object", request("UPDATE", one, two, other), nil, nil},
		{"an object that cannot be read", request("UPDATE", one, runtime.RawExtension{Raw: []byte("[]")}), []string{"refused ann [internal-error]"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var enforced, observed notes
			admission.New(admission.Options{Notifier: &enforced, Now: clock()}).Review(t.Context(), tt.request)
			admission.New(admission.Options{Notifier: &observed, Now: clock()}).Observe(t.Context(), tt.request)
			if diff := cmp.Diff(tt.want, []string(enforced)); diff != "" {
				t.Errorf("enforced (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.observed, []string(observed)); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
		})
	}
}

// If the guard may restore versions, it admits its own update. It still refuses its own deletion.
func TestRestoreIsNotRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request  *admissionv1.AdmissionRequest
		restores bool
		allowed  bool
	}{
		"an update":                {request("UPDATE", configMap(admin), configMap(node)), true, true},
		"where it may not":         {request("UPDATE", configMap(admin), configMap(node)), false, false},
		"a deletion":               {request("DELETE", configMap(admin), runtime.RawExtension{}), true, false},
		"another user's":           {request("UPDATE", configMap(admin), configMap(node), func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "bob" }), true, false},
		"a body that is no object": {request("UPDATE", configMap(admin), runtime.RawExtension{Raw: []byte("{")}), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := admission.New(admission.Options{Now: clock(), Self: func() string { return "ann" }, Restores: func() bool { return tt.restores }})
			if response := h.Review(t.Context(), tt.request); response.Allowed != tt.allowed {
				t.Errorf("allowed is %t: %v", response.Allowed, response.Result)
			}
		})
	}
}

// The guard answers its self-test without counting it. It counts the same request by other users, and its own other
// requests.
func TestSelfTestIsNotCounted(t *testing.T) {
	t.Parallel()
	none, one, dry := runtime.RawExtension{}, configMap(admin), func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }
	for name, tt := range map[string]struct {
		request *admissionv1.AdmissionRequest
		self    string
		counted bool
	}{
		"its own":                 {request("DELETE", one, none, dry), "ann", false},
		"another user's":          {request("DELETE", one, none, dry), "guard", true},
		"before it knows who":     {request("DELETE", one, none, dry, func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "" }), "", true},
		"no dry run":              {request("DELETE", one, none), "ann", true},
		"a dry run of its update": {request("UPDATE", one, configMap(admin+path), dry), "ann", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recorded counts
			var received notes
			h := admission.New(admission.Options{Recorder: &recorded, Notifier: &received, Now: clock(), Self: func() string { return tt.self }})
			if response := h.Review(t.Context(), tt.request); response.Allowed {
				t.Error("it is allowed")
			}
			if counted := len(recorded.events) > 0; counted != tt.counted {
				t.Errorf("counted: %q", recorded.events)
			}
			if refused := len(received) > 0; refused != (name == "no dry run") {
				t.Errorf("the notifier received %q", received)
			}
		})
	}
}
