package admission_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// journal is what a Journal was told, as text with the names of known contents.
type journal struct {
	names  map[string]string
	events []string
}

func (j *journal) tell(what string, a history.Admission, list []string) {
	name := func(hash string) string {
		if hash == "" {
			return "none"
		}
		return j.names[hash]
	}
	j.events = append(j.events, fmt.Sprintf("%s %s %s %s: %s to %s [%s]", what, a.How, a.Verdict, a.Requester, name(a.Old), name(a.New), strings.Join(list, " ")))
}

func (j *journal) Admitted(a history.Admission, overrides []string) {
	j.tell("admitted", a, overrides)
}
func (j *journal) Refused(a history.Admission, rules []string) { j.tell("refused", a, rules) }

// A Journal is told of what may be stored, by the hash that what is stored has, and of what was refused.
func TestJournal(t *testing.T) {
	t.Parallel()
	none, one, two, faulty := runtime.RawExtension{}, configMap(admin+node), configMap(admin+node+team), configMap(admin+node+path)
	binary := set("binaryData", map[string]any{"k": base64.StdEncoding.EncodeToString([]byte{0, 1, 0xff})})
	hash := func(text string) string { return history.Hash(map[string]string{"mapRoles": text}, nil) }
	names := map[string]string{
		hash(admin + node): "one", hash(admin + node + team): "two", hash(admin + node + path): "faulty",
		history.Hash(map[string]string{"mapRoles": admin + node}, map[string][]byte{"k": {0, 1, 0xff}}): "binary",
	}
	annotated := func(key, value string) func(map[string]any) {
		return set("metadata", map[string]any{"name": "aws-auth", "annotations": map[string]any{key: value}})
	}
	dry := func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }
	other := func(r *admissionv1.AdmissionRequest) { r.Name = "another" }
	for _, tt := range []struct {
		name     string
		request  *admissionv1.AdmissionRequest
		want     []string
		observed []string // on the other path, where it is another
	}{
		{"an update", request("UPDATE", one, two), []string{"admitted admitted allow ann: one to two []"}, []string{"admitted observed allow ann: one to two []"}},
		{"a creation", request("CREATE", none, one), []string{"admitted admitted warn ann: none to one []"}, []string{"admitted observed warn ann: none to one []"}},
		{"a deletion", request("DELETE", one, none), []string{"refused admitted deny ann: one to none [deleted last-admin node-role-removed]"}, []string{"admitted observed warn ann: one to none []"}},
		{"binary data", request("UPDATE", one, configMap(admin+node, binary)), []string{"admitted admitted warn ann: one to binary []"}, []string{"admitted observed warn ann: one to binary []"}},
		{"a fault", request("UPDATE", one, faulty), []string{"refused admitted deny ann: one to faulty [role-path]"}, []string{"admitted observed warn ann: one to faulty []"}},
		{"break-glass", request("UPDATE", one, configMap(admin+node+path, annotated(validate.BreakGlassAnnotation, "INC"))), []string{"admitted overridden warn ann: one to faulty [break-glass]"}, []string{"admitted observed warn ann: one to faulty [break-glass]"}},
		{"break-glass for later", request("UPDATE", one, configMap(admin+node, annotated(validate.BreakGlassAnnotation, "INC"))), []string{"admitted overridden warn ann: one to one [break-glass]"}, []string{"admitted observed warn ann: one to one [break-glass]"}},
		{"nothing", request("UPDATE", one, one), nil, nil},
		{"a label", request("UPDATE", one, configMap(admin+node, set("metadata", map[string]any{"name": "aws-auth", "labels": map[string]any{"a": "b"}}))), nil, nil},
		{"an annotation of ours", request("UPDATE", one, configMap(admin+node, annotated(validate.AnnotationPrefix+"x", "y"))), nil, nil},
		{"a dry run", request("UPDATE", one, two, dry), nil, nil},
		{"a dry run with a fault", request("UPDATE", one, faulty, dry), nil, nil},
		{"another object", request("UPDATE", one, two, other), nil, nil},
		{"what cannot be read", request("UPDATE", one, runtime.RawExtension{Raw: []byte("[]")}), []string{"refused admitted error ann: none to none [internal-error]"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []struct {
				name   string
				review func(*admission.Handler) *admissionv1.AdmissionResponse
				want   []string
			}{
				{"enforced", func(h *admission.Handler) *admissionv1.AdmissionResponse { return h.Review(t.Context(), tt.request) }, tt.want},
				{"observed", func(h *admission.Handler) *admissionv1.AdmissionResponse { return h.Observe(t.Context(), tt.request) }, tt.observed},
			} {
				j := &journal{names: names}
				path.review(admission.New(admission.Options{Journal: j, Now: clock()}))
				if diff := cmp.Diff(path.want, j.events); diff != "" {
					t.Errorf("%s (-want +got):\n%s", path.name, diff)
				}
			}
		})
	}
}

// Where the guard may put versions back, what it writes itself is judged and not refused; a deletion is.
func TestPutsBack(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request  *admissionv1.AdmissionRequest
		restores bool
		allowed  bool
	}{
		"an update":                {request("UPDATE", configMap(admin), configMap(node)), true, true},
		"where it may not":         {request("UPDATE", configMap(admin), configMap(node)), false, false},
		"a deletion":               {request("DELETE", configMap(admin), runtime.RawExtension{}), true, false},
		"somebody else's":          {request("UPDATE", configMap(admin), configMap(node), func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "bob" }), true, false},
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

// The guard's own test is answered and not counted; nobody else's is, and nothing else of its own.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	none, one, dry := runtime.RawExtension{}, configMap(admin), func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }
	for name, tt := range map[string]struct {
		request *admissionv1.AdmissionRequest
		self    string
		counted bool
	}{
		"its own":                 {request("DELETE", one, none, dry), "ann", false},
		"somebody else's":         {request("DELETE", one, none, dry), "guard", true},
		"before it knows who":     {request("DELETE", one, none, dry, func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = "" }), "", true},
		"no dry run":              {request("DELETE", one, none), "ann", true},
		"a dry run of its update": {request("UPDATE", one, configMap(admin+path), dry), "ann", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var recorded counts
			j := &journal{}
			h := admission.New(admission.Options{Recorder: &recorded, Journal: j, Now: clock(), Self: func() string { return tt.self }})
			if response := h.Review(t.Context(), tt.request); response.Allowed {
				t.Error("it is allowed")
			}
			if counted := len(recorded.events) > 0; counted != tt.counted {
				t.Errorf("counted: %q", recorded.events)
			}
			if told := slices.ContainsFunc(j.events, func(e string) bool { return strings.HasPrefix(e, "refused") }); told != (name == "no dry run") {
				t.Errorf("the journal: %q", j.events)
			}
		})
	}
}
