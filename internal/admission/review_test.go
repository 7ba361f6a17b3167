package admission_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	admin = "- rolearn: arn:aws:iam::111122223333:role/Admin\n  username: admin\n  groups: [system:masters]\n"
	node  = "- rolearn: arn:aws:iam::111122223333:role/node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n"
	team  = "- rolearn: arn:aws:iam::111122223333:role/team\n  username: team\n  groups: [dev]\n"
	// An entry with a fault: its role ARN has a path.
	path = "- rolearn: arn:aws:iam::111122223333:role/team/dev\n  username: dev\n  groups: [dev]\n"
)

// configMap returns an aws-auth as the API server sends it. The edit functions add fields.
func configMap(mapRoles string, edit ...func(map[string]any)) runtime.RawExtension {
	object := map[string]any{
		"apiVersion": "v1",
		"kind":       "ConfigMap",
		"metadata":   map[string]any{"name": "aws-auth", "namespace": "kube-system", "resourceVersion": "7"},
		"data":       map[string]any{"mapRoles": mapRoles},
	}
	for _, e := range edit {
		e(object)
	}
	raw, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	return runtime.RawExtension{Raw: raw}
}

func set(key string, value any) func(map[string]any) {
	return func(object map[string]any) { object[key] = value }
}

// request returns an AdmissionRequest for aws-auth. The edit functions change it.
func request(operation admissionv1.Operation, before, after runtime.RawExtension, edit ...func(*admissionv1.AdmissionRequest)) *admissionv1.AdmissionRequest {
	r := &admissionv1.AdmissionRequest{
		UID:       "0a1b",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Name:      "aws-auth",
		Namespace: "kube-system",
		Operation: operation,
		UserInfo:  authenticationv1.UserInfo{Username: "ann", Groups: []string{"system:masters"}},
		OldObject: before,
		Object:    after,
	}
	for _, e := range edit {
		e(r)
	}
	return r
}

// counts is a Recorder that records its calls as text.
type counts struct{ events []string }

func (c *counts) Reviewed(operation, verdict string, dryRun bool, took time.Duration) {
	c.events = append(c.events, fmt.Sprintf("reviewed %s %s dry=%t %s", operation, verdict, dryRun, took))
}

func (c *counts) Rejected(rule, operation string, dryRun bool) {
	c.events = append(c.events, fmt.Sprintf("rejected %s %s dry=%t", rule, operation, dryRun))
}

func (c *counts) WouldDeny(rule string, dryRun bool) {
	c.events = append(c.events, "would deny "+rule+inDryRun(dryRun))
}

func (c *counts) Overridden(kind string, dryRun bool) {
	c.events = append(c.events, "overridden "+kind+inDryRun(dryRun))
}

func (c *counts) Panicked(rule string) { c.events = append(c.events, "panicked "+rule) }

func inDryRun(dryRun bool) string {
	if dryRun {
		return " in a dry run"
	}
	return ""
}

func (c *counts) Unasked(principals int) {
	c.events = append(c.events, fmt.Sprintf("unasked %d", principals))
}
func (c *counts) WithoutAccessEntries() { c.events = append(c.events, "without access entries") }

// answer is a response with its counts and log lines.
type answer struct {
	*admissionv1.AdmissionResponse
	events []string
	log    map[string]any
	panics []map[string]any // log lines of rules that panicked
}

// epoch is the time of the requests in the tests.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// clock returns a clock that starts at the epoch and advances by 2 ms at each call.
func clock() func() time.Time {
	now := epoch.Add(-2 * time.Millisecond)
	return func() time.Time {
		now = now.Add(2 * time.Millisecond)
		return now
	}
}

// review sends a request to a new Handler with the policy. It checks that the response has the uid of the request, and that
// the Handler logs one line about the review.
func review(t *testing.T, policy validate.Policy, r *admissionv1.AdmissionRequest) answer {
	t.Helper()
	var log bytes.Buffer
	var recorded counts
	h := admission.New(admission.Options{
		Policy:   func() validate.Policy { return policy },
		Recorder: &recorded,
		Logger:   slog.New(slog.NewJSONHandler(&log, nil)),
		Now:      clock(),
	})
	a := answer{AdmissionResponse: h.Review(t.Context(), r), events: recorded.events}
	if a.UID != r.UID {
		t.Errorf("the response has the uid %q, the request %q", a.UID, r.UID)
	}
	for text := range strings.Lines(log.String()) {
		var line map[string]any
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("a log line is not JSON: %v\n%s", err, text)
		}
		switch {
		case line["msg"] == "a rule panicked":
			a.panics = append(a.panics, line)
		case a.log == nil && line["msg"] == "review":
			a.log = line
		default:
			t.Errorf("the review wrote more than one line of log:\n%s", &log)
		}
	}
	for key := range a.AuditAnnotations {
		if strings.Contains(key, "/") {
			t.Errorf("the API server drops the audit annotation %q", key)
		}
	}
	return a
}

func (a answer) causes() (list []string) {
	if a.Result != nil && a.Result.Details != nil {
		for _, c := range a.Result.Details.Causes {
			list = append(list, c.Field+": "+c.Message)
		}
	}
	return list
}

// contains reports whether there are as many texts as parts, and each text contains its part.
func contains(texts, parts []string) bool {
	return slices.EqualFunc(texts, parts, strings.Contains)
}

func TestReviewVerdicts(t *testing.T) {
	t.Parallel()
	none := runtime.RawExtension{}
	eks := func(r *admissionv1.AdmissionRequest) {
		r.UserInfo = authenticationv1.UserInfo{Username: "eks:node-manager"}
	}
	unnamed := func(r *admissionv1.AdmissionRequest) { r.Name = "" }
	dry := func(r *admissionv1.AdmissionRequest) { r.DryRun = new(true) }
	asAdmin := func(r *admissionv1.AdmissionRequest) {
		r.UserInfo = authenticationv1.UserInfo{
			Username: "admin", Groups: []string{"system:masters", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{"canonicalarn": {"arn:aws:iam::111122223333:role/Admin"}},
		}
	}
	masters := strings.Replace(team, "dev", "system:masters", 1)
	protect := validate.Policy{Protected: []access.Protected{{ARN: "arn:aws:iam::111122223333:role/Admin", Groups: []string{"system:masters"}}}}
	tests := []struct {
		name     string
		policy   validate.Policy
		request  *admissionv1.AdmissionRequest
		code     int32    // 0 means that the request is admitted
		causes   []string // a substring of each cause
		warnings []string // a substring of each warning
		rules    string
		events   []string
	}{
		{
			name: "a good update", request: request("UPDATE", configMap(admin+node), configMap(admin+node+team)),
			events: []string{"reviewed UPDATE allow dry=false 2ms"},
		},
		{
			name: "a good creation", request: request("CREATE", none, configMap(node+team)),
			events: []string{"reviewed CREATE allow dry=false 2ms"},
		},
		{
			name: "the first administrator", request: request("CREATE", none, configMap(admin+node)),
			warnings: []string{"[admin-grant]"}, rules: "admin-grant",
			events: []string{"reviewed CREATE warn dry=false 2ms"},
		},
		{
			name: "a fault", request: request("UPDATE", configMap(admin+node), configMap(admin+node+path)),
			code:   422,
			causes: []string{"data.mapRoles[2].rolearn: line 7 of mapRoles: "}, rules: "role-path",
			events: []string{"reviewed UPDATE deny dry=false 2ms", "rejected role-path UPDATE dry=false"},
		},
		{
			name: "a fault in a creation", request: request("CREATE", none, configMap(node+path), dry),
			code:   422,
			causes: []string{"data.mapRoles[1].rolearn: line 4 of mapRoles: "}, rules: "role-path",
			events: []string{"reviewed CREATE deny dry=true 2ms", "rejected role-path CREATE dry=true"},
		},
		{
			name: "a fault beside an old one", request: request("UPDATE", configMap(admin+path), configMap(admin+path+strings.ReplaceAll(path, "dev", "ops"))),
			code:     422,
			causes:   []string{"data.mapRoles[2].rolearn: line 7 of mapRoles: "},
			warnings: []string{"data.mapRoles[1].rolearn: "}, rules: "role-path",
			events: []string{"reviewed UPDATE deny dry=false 2ms", "rejected role-path UPDATE dry=false"},
		},
		{
			name: "an old fault stays", request: request("UPDATE", configMap(admin+path), configMap(admin+path+team)),
			warnings: []string{"[role-path]"}, rules: "role-path",
			events: []string{"reviewed UPDATE warn dry=false 2ms"},
		},
		{
			name: "a protected principal loses its group", policy: protect,
			request: request("UPDATE", configMap(admin+masters), configMap(strings.Replace(admin, "masters", "other", 1)+masters)),
			code:    422, causes: []string{"[protected-principal]"}, rules: "protected-principal",
			events: []string{"reviewed UPDATE deny dry=false 2ms", "rejected protected-principal UPDATE dry=false"},
		},
		{
			name: "a requester locks themselves out", request: request("UPDATE", configMap(admin+node+masters), configMap(node+masters), asAdmin),
			code: 422, causes: []string{"[self-lockout]"}, rules: "self-lockout",
			events: []string{"reviewed UPDATE deny dry=false 2ms", "rejected self-lockout UPDATE dry=false"},
		},
		{
			name: "a deletion", request: request("DELETE", configMap(team), none),
			code: 403, causes: []string{"[deleted]"}, rules: "deleted",
			events: []string{"reviewed DELETE deny dry=false 2ms", "rejected deleted DELETE dry=false"},
		},
		{
			name: "a deletion of the collection", request: request("DELETE", configMap(team), none, unnamed),
			code: 403, causes: []string{"[deleted]"}, rules: "deleted",
			events: []string{"reviewed DELETE deny dry=false 2ms", "rejected deleted DELETE dry=false"},
		},
		{
			name: "EKS writes a fault", request: request("UPDATE", configMap(admin), configMap(admin+path), eks),
			warnings: []string{"[role-path]"}, rules: "role-path",
			events: []string{"reviewed UPDATE warn dry=false 2ms", "would deny role-path"},
		},
		{
			name: "only labels change", request: request("UPDATE", configMap(admin+path), configMap(admin+path, set("metadata", map[string]any{"name": "aws-auth", "labels": map[string]any{"a": "b"}}))),
			events: []string{"reviewed UPDATE allow dry=false 2ms"},
		},
		{
			name: "empty fields appear", request: request("UPDATE", configMap(admin+path), configMap(admin+path, set("binaryData", map[string]any{}), set("immutable", false))),
			events: []string{"reviewed UPDATE allow dry=false 2ms"},
		},
		{
			name: "immutable appears", request: request("UPDATE", configMap(admin+path), configMap(admin+path, set("immutable", true))),
			code: 422, causes: []string{"immutable: "},
			warnings: []string{"[role-path]"}, rules: "immutable,role-path",
			events: []string{"reviewed UPDATE deny dry=false 2ms", "rejected immutable UPDATE dry=false"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := review(t, tt.policy, tt.request)
			if got.Allowed != (tt.code == 0) || !got.Allowed && got.Result.Code != tt.code {
				t.Errorf("allowed is %t with %+v, want the code %d", got.Allowed, got.Result, tt.code)
			}
			if !contains(got.causes(), tt.causes) || !contains(got.Warnings, tt.warnings) {
				t.Errorf("got the causes %q and warnings %q, want %q and %q", got.causes(), got.Warnings, tt.causes, tt.warnings)
			}
			if got.AuditAnnotations["rules"] != tt.rules {
				t.Errorf("audit annotations are %v, want the rules %q", got.AuditAnnotations, tt.rules)
			}
			if diff := cmp.Diff(tt.events, got.events); diff != "" {
				t.Errorf("metrics (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDenialHasStatusAndCause(t *testing.T) {
	t.Parallel()
	objects := map[admissionv1.Operation]runtime.RawExtension{"CREATE": configMap(admin + path), "DELETE": configMap(team)}
	for operation, want := range map[admissionv1.Operation]*metav1.Status{
		"CREATE": {Status: "Failure", Code: 422, Reason: "Invalid", Details: &metav1.StatusDetails{Name: "aws-auth", Kind: "ConfigMap"}},
		"DELETE": {Status: "Failure", Code: 403, Reason: "Forbidden", Details: &metav1.StatusDetails{Name: "aws-auth", Kind: "ConfigMap"}},
	} {
		got := review(t, validate.Policy{}, request(operation, objects[operation], objects[operation]))
		ignore := cmp.Options{cmpopts.IgnoreFields(metav1.Status{}, "Message"), cmpopts.IgnoreFields(metav1.StatusDetails{}, "Causes")}
		if diff := cmp.Diff(want, got.Result, ignore); diff != "" {
			t.Errorf("%s (-want +got):\n%s", operation, diff)
		}
		if len(got.causes()) != 1 || got.Result.Message != got.causes()[0] {
			t.Errorf("%s: the message %q differs from the only cause %q", operation, got.Result.Message, got.causes())
		}
		if got.Result.Details.Causes[0].Type != metav1.CauseTypeFieldValueInvalid {
			t.Errorf("%s: the cause has the type %q", operation, got.Result.Details.Causes[0].Type)
		}
	}
}

func TestReviewIsLogged(t *testing.T) {
	t.Parallel()
	got := review(t, validate.Policy{}, request("UPDATE", configMap(admin), configMap(admin+path), func(r *admissionv1.AdmissionRequest) {
		r.UserInfo.Username = "eks:node-manager"
		r.DryRun = new(true)
	}))
	want := map[string]any{
		"level": "INFO", "msg": "review", "uid": "0a1b", "operation": "UPDATE", "requester": "eks:node-manager", "dry_run": true,
		"verdict": "warn", "rules": []any{"role-path"}, "would_deny": []any{"role-path"}, "duration_seconds": .002,
	}
	if diff := cmp.Diff(want, got.log, cmpopts.IgnoreMapEntries(func(k string, _ any) bool { return k == "time" })); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

// A Handler without options has the default policy, which refuses a deletion.
func TestHandlerWorksWithoutOptions(t *testing.T) {
	t.Parallel()
	got := admission.New(admission.Options{}).Review(context.Background(), request("DELETE", configMap(admin), runtime.RawExtension{}))
	if got.Allowed {
		t.Error("a deletion is allowed")
	}
}
