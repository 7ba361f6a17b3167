package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The guard admits every review of another object without evaluating it, even if the object is invalid.
func TestOtherObjectsAreSkipped(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*admissionv1.AdmissionRequest){
		"another name":            func(r *admissionv1.AdmissionRequest) { r.Name = "leader-election" },
		"a name in another case":  func(r *admissionv1.AdmissionRequest) { r.Name = "AWS-Auth" },
		"another namespace":       func(r *admissionv1.AdmissionRequest) { r.Namespace = "default" },
		"no namespace":            func(r *admissionv1.AdmissionRequest) { r.Namespace = "" },
		"another resource":        func(r *admissionv1.AdmissionRequest) { r.Resource.Resource = "secrets" },
		"another resource's kind": func(r *admissionv1.AdmissionRequest) { r.Kind.Kind = "Secret" },
		"another group":           func(r *admissionv1.AdmissionRequest) { r.Resource.Group = "example.org" },
		"a subresource":           func(r *admissionv1.AdmissionRequest) { r.SubResource = "status" },
		"one of a collection": func(r *admissionv1.AdmissionRequest) {
			r.Name, r.Operation, r.Object = "", "DELETE", runtime.RawExtension{}
			r.OldObject = configMap("broken: [", set("metadata", map[string]any{"name": "other"}))
		},
		"a generated name": func(r *admissionv1.AdmissionRequest) {
			r.Name, r.Operation, r.OldObject = "", "CREATE", runtime.RawExtension{Raw: []byte("null")}
			r.Object = configMap("broken: [", set("metadata", map[string]any{"generateName": "aws-"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := review(t, validate.Policy{}, request("UPDATE", configMap(admin), configMap("broken: ["), edit))
			if !got.Allowed || got.Warnings != nil || got.log["verdict"] != "skipped" || got.log["object"] == nil {
				t.Errorf("got %+v, log %v", got.AdmissionResponse, got.log)
			}
			if len(got.events) != 1 || !strings.Contains(got.events[0], " skipped ") {
				t.Errorf("metrics: %q", got.events)
			}
		})
	}
}

// The guard refuses a request that it can't evaluate.
func TestBrokenRequestsAreRefused(t *testing.T) {
	t.Parallel()
	good, null, none := configMap(admin), runtime.RawExtension{Raw: []byte("null")}, runtime.RawExtension{}
	raw := func(text string) runtime.RawExtension { return runtime.RawExtension{Raw: []byte(text)} }
	as := func(edit func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
		return request("UPDATE", good, configMap(admin+team), edit)
	}
	for name, r := range map[string]*admissionv1.AdmissionRequest{
		"nothing at all":            {},
		"no uid":                    as(func(r *admissionv1.AdmissionRequest) { r.UID = "" }),
		"no resource and kind":      as(func(r *admissionv1.AdmissionRequest) { r.Resource.Resource, r.Kind.Kind = "", "" }),
		"no operation":              as(func(r *admissionv1.AdmissionRequest) { r.Operation = "" }),
		"CONNECT":                   as(func(r *admissionv1.AdmissionRequest) { r.Operation = "CONNECT" }),
		"an operation that is long": as(func(r *admissionv1.AdmissionRequest) { r.Operation = admissionv1.Operation(strings.Repeat("X", 1<<20)) }),
		"a uid that is long": as(func(r *admissionv1.AdmissionRequest) {
			r.UID = types.UID(strings.Repeat("\n", 1<<16))
			r.Operation = "X"
		}),
		"no object":                 request("UPDATE", good, none),
		"no object in a creation":   request("CREATE", none, null),
		"no old object":             request("UPDATE", null, good),
		"a deletion of nothing":     request("DELETE", null, null),
		"a deletion of no name":     request("DELETE", none, none, func(r *admissionv1.AdmissionRequest) { r.Name = "" }),
		"an object of another kind": request("UPDATE", good, configMap(admin, set("kind", "Secret"))),
		"an object of no kind":      request("UPDATE", good, raw(`{"metadata":{"name":"aws-auth"},"data":{"mapRoles":""}}`)),
		"an object of v2":           request("UPDATE", good, configMap(admin, set("apiVersion", "v2"))),
		"both of another kind":      request("UPDATE", configMap(admin, set("kind", "Secret")), configMap(admin, set("kind", "Secret"))),
		"an old object of another":  request("DELETE", configMap(admin, set("kind", "Secret")), none),
		"an object that is a list":  request("UPDATE", good, raw(`[]`)),
		"an object that is cut":     request("UPDATE", good, runtime.RawExtension{Raw: good.Raw[:len(good.Raw)-1]}),
		"two objects in one":        request("UPDATE", good, raw(string(good.Raw)+string(good.Raw))),
		"data that is a list":       request("UPDATE", good, configMap("", set("data", []string{"x"}))),
		"data that holds a number":  request("UPDATE", good, configMap("", set("data", map[string]any{"mapRoles": 5}))),
		"both data hold a number":   request("UPDATE", configMap("", set("data", map[string]any{"a": 5})), configMap("", set("data", map[string]any{"a": 5}))),
		"immutable that is text":    request("UPDATE", good, configMap(admin, set("immutable", "true"))),
		"a name that is a number":   request("UPDATE", good, configMap(admin+team, set("metadata", map[string]any{"name": 5}))),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := review(t, validate.Policy{}, r)
			if got.Allowed || got.Result.Code != 403 || got.Result.Reason != "Forbidden" || got.Result.Status != "Failure" {
				t.Fatalf("got %+v", got.AdmissionResponse)
			}
			if m := got.Result.Message; len(m) > 4096 || !strings.Contains(m, "[internal-error]") && len(m) < 4096 {
				t.Errorf("the message has %d bytes: %.200s", len(m), m)
			}
			if diff := cmp.Diff(map[string]string{"verdict": "error", "rules": "internal-error"}, got.AuditAnnotations); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			want := []string{
				fmt.Sprintf("reviewed %s error dry=false 2ms", r.Operation),
				fmt.Sprintf("rejected internal-error %s dry=false", r.Operation),
			}
			if diff := cmp.Diff(want, got.events); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
			if got.log["level"] != "ERROR" || got.log["err"] == "" {
				t.Errorf("log: %v", got.log)
			}
		})
	}
}

// The guard refuses a change if a rule panics. It admits such a change by EKS with a warning, and a change with break-glass.
// The test can't run in parallel with other tests, because it replaces a rule of the whole process.
func TestPanicOfRuleRefuses(t *testing.T) {
	rule := validate.Rules()[0]
	check := rule.Check
	t.Cleanup(func() { rule.Check = check })
	rule.Check = func(*validate.Pass) { panic("at\nthe disco") }

	change := request("UPDATE", configMap(admin), configMap(admin+team))
	got := review(t, validate.Policy{}, change)
	if got.Allowed || got.Result.Code != 422 || !strings.Contains(got.Result.Message, "["+rule.ID+"]") {
		t.Errorf("got %+v", got.AdmissionResponse)
	}
	if diff := cmp.Diff([]string{"reviewed UPDATE deny dry=false 2ms", "rejected " + rule.ID + " UPDATE dry=false", "panicked " + rule.ID}, got.events); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if len(got.panics) != 1 || got.panics[0]["rule"] != rule.ID || got.panics[0]["uid"] != "0a1b" || got.panics[0]["panic"] != "at\nthe disco" ||
		!strings.Contains(fmt.Sprint(got.panics[0]["stack"]), "TestPanicOfRuleRefuses") {
		t.Errorf("the log does not say which rule and where: %v", got.panics)
	}

	change.UserInfo.Username = "eks:node-manager"
	got = review(t, validate.Policy{}, change)
	if !got.Allowed || !contains(got.Warnings, []string{"[" + rule.ID + "]"}) {
		t.Errorf("EKS: got %+v", got.AdmissionResponse)
	}
	if diff := cmp.Diff([]string{"reviewed UPDATE warn dry=false 2ms", "would deny " + rule.ID, "panicked " + rule.ID}, got.events); diff != "" {
		t.Errorf("EKS: metrics (-want +got):\n%s", diff)
	}

	change = request("UPDATE", configMap(admin), configMap(admin+team, annotated("break-glass", "a rule is broken")))
	got = review(t, validate.Policy{}, change)
	if !got.Allowed || len(got.panics) != 1 {
		t.Errorf("break-glass: got %+v", got.AdmissionResponse)
	}
}
