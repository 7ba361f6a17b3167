package admission_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// with returns an edit that adds fields to the metadata.
func with(fields map[string]any) func(map[string]any) {
	return func(object map[string]any) {
		maps.Copy(object["metadata"].(map[string]any), fields)
	}
}

// deleting returns an aws-auth that is being deleted, with its remaining finalizers.
func deleting(mapRoles string, finalizers ...string) runtime.RawExtension {
	fields := map[string]any{"deletionTimestamp": "2026-03-01T11:00:00Z", "deletionGracePeriodSeconds": 0}
	if len(finalizers) > 0 {
		fields["finalizers"] = finalizers
	}
	return configMap(mapRoles, with(fields))
}

// If an update removes the last finalizer of a deleted aws-auth, the guard evaluates it as a deletion. It answers the
// request as an update.
func TestUpdateThatCompletesDeletionIsEvaluatedAsDeletion(t *testing.T) {
	t.Parallel()
	const full = admin + node
	for name, tt := range map[string]struct {
		before, after runtime.RawExtension
		want          string // rules; empty means admitted without a warning, being-deleted means admitted with one
	}{
		"the last finalizer":                  {deleting(full, "a"), deleting(full), "deleted,last-admin,node-role-removed"},
		"the timestamp in the old one only":   {deleting(full, "a"), configMap(full), "deleted,last-admin,node-role-removed"},
		"and the data with it":                {deleting(full, "a"), deleting("[]"), "deleted,last-admin,node-role-removed"},
		"two at once":                         {deleting(full, "a", "b"), deleting(full), "deleted,last-admin,node-role-removed"},
		"of an empty one":                     {deleting("", "a"), deleting(""), ""},
		"of an empty one that is filled then": {deleting("", "a"), deleting(full), "being-deleted"},
		"no deletion":                         {configMap(full, with(map[string]any{"finalizers": []string{"a"}})), configMap(full), ""},
	} {
		a := review(t, validate.Policy{}, request(admissionv1.Update, tt.before, tt.after))
		if got := a.AuditAnnotations["rules"]; got != tt.want || a.Allowed != (tt.want == "" || tt.want == "being-deleted") {
			t.Errorf("%s: allowed %t, rules %q, want %q", name, a.Allowed, got, tt.want)
		}
		if !a.Allowed && (a.Result.Code != http.StatusUnprocessableEntity || a.Result.Reason != metav1.StatusReasonInvalid || len(a.Result.Details.Causes) == 0) {
			t.Errorf("%s: %+v", name, a.Result)
		}
	}
}

// The guard evaluates every update of an aws-auth that is being deleted, also an update of only metadata. It warns about the
// deletion.
func TestUpdatesDuringDeletionAreEvaluated(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*admissionv1.AdmissionRequest{
		"the same":    request(admissionv1.Update, deleting(admin, "a"), deleting(admin, "a")),
		"a finalizer": request(admissionv1.Update, deleting(admin, "a", "b"), deleting(admin, "b")),
		"the data":    request(admissionv1.Update, deleting(admin, "a"), deleting(admin+node, "a")),
	} {
		a := review(t, validate.Policy{}, r)
		if got := a.AuditAnnotations["rules"]; !a.Allowed || got != "being-deleted" {
			t.Errorf("%s: allowed %t, rules %q", name, a.Allowed, got)
		}
	}
}

// U+FFFD is the Unicode replacement character. If mapRoles of the new object has this character, the guard evaluates the change even if the
// data is unchanged. It treats mapRoles of the new object as if it mapped no principals. In the old object it counts the principals.
func TestReplacementCharacterIsEvaluated(t *testing.T) {
	t.Parallel()
	off := validate.Policy{Rules: map[string]validate.Severity{"replacement-character": validate.Off}}
	replaced, good := configMap("# Andr\ufffd\n"+admin), configMap("# André\n"+admin)
	escaped := runtime.RawExtension{Raw: []byte(strings.ReplaceAll(string(replaced.Raw), "\ufffd", `\ufffd`))}
	if !json.Valid(escaped.Raw) || bytes.Equal(escaped.Raw, replaced.Raw) {
		t.Fatal("U+FFFD is not escaped")
	}
	raw := runtime.RawExtension{Raw: []byte(strings.ReplaceAll(string(replaced.Raw), "\ufffd", "\xe9"))}
	elsewhere := configMap(admin, set("data", map[string]any{"mapRoles": admin, "note": "\ufffd"}))
	for name, tt := range map[string]struct {
		before, after runtime.RawExtension
		policy        validate.Policy
		want          string
	}{
		"new":                {good, replaced, validate.Policy{}, "emptied,last-admin,replacement-character"},
		"new, as an escape":  {good, escaped, validate.Policy{}, "emptied,last-admin,replacement-character"},
		"new, as it is":      {good, raw, validate.Policy{}, "emptied,last-admin,replacement-character"},
		"the same":           {replaced, replaced, validate.Policy{}, "emptied,last-admin,replacement-character"},
		"the same, rule off": {escaped, escaped, off, "emptied,last-admin"},
		"repaired":           {replaced, good, validate.Policy{}, ""},
		"repaired and lost":  {replaced, configMap("# André\n" + node), validate.Policy{}, "last-admin,mass-removal"},
		"another key":        {elsewhere, elsewhere, validate.Policy{}, ""},
	} {
		a := review(t, tt.policy, request(admissionv1.Update, tt.before, tt.after))
		if diff := cmp.Diff(tt.want, a.AuditAnnotations["rules"]); diff != "" || a.Allowed != (tt.want == "") {
			t.Errorf("%s: allowed %t, rules (-want +got):\n%s", name, a.Allowed, diff)
		}
	}
	if a := review(t, validate.Policy{}, request(admissionv1.Create, runtime.RawExtension{}, replaced)); a.Allowed {
		t.Error("creating the object with U+FFFD: allowed")
	}
	if a := review(t, validate.Policy{}, request(admissionv1.Delete, replaced, runtime.RawExtension{})); a.Allowed || !strings.Contains(a.AuditAnnotations["rules"], "deleted") {
		t.Errorf("deleting the object with U+FFFD: allowed %t, rules %q", a.Allowed, a.AuditAnnotations["rules"])
	}
}
