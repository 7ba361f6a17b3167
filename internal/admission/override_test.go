package admission_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// annotated returns an edit that sets an annotation of the guard and an unrelated annotation.
func annotated(name, value string) func(map[string]any) {
	return set("metadata", map[string]any{
		"name": "aws-auth", "namespace": "kube-system",
		"annotations": map[string]any{"kubectl.kubernetes.io/last-applied-configuration": "{}", validate.AnnotationPrefix + name: value},
	})
}

// The admission package passes overrides to package validate, and reports each override in warnings, logs, metrics and the
// audit event. Tests of package validate cover the effect of overrides.
func TestBreakGlassIsReported(t *testing.T) {
	t.Parallel()
	reason := "incident 4711:\nthe node role\tgoes " + strings.Repeat("x", 200)
	change := request("UPDATE", configMap(admin+node), configMap(admin+path, annotated("break-glass", reason)))
	got := review(t, validate.Policy{}, change)
	if !got.Allowed || len(got.Warnings) != 3 || !strings.HasPrefix(got.Warnings[0], `break-glass overrules every denial of this request: incident 4711:\nthe node role\tg`) || len(got.Warnings[0]) > 256 {
		t.Errorf("got %+v", got.AdmissionResponse)
	}
	if want := `break-glass: incident 4711:\nthe node role\tgoes xxx`; !strings.HasPrefix(got.AuditAnnotations["overrides"], want) || got.AuditAnnotations["rules"] != "node-role-removed,role-path" {
		t.Errorf("audit annotations: %v", got.AuditAnnotations)
	}
	if diff := cmp.Diff([]string{"reviewed UPDATE warn dry=false 2ms", "overridden break-glass"}, got.events); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	change.DryRun = new(true)
	if diff := cmp.Diff([]string{"reviewed UPDATE warn dry=true 2ms", "overridden break-glass in a dry run"}, review(t, validate.Policy{}, change).events); diff != "" {
		t.Errorf("metrics of a dry run (-want +got):\n%s", diff)
	}
	if list, _ := got.log["overrides"].([]any); len(list) != 1 || got.log["level"] != "WARN" {
		t.Errorf("log: %v", got.log)
	}

	change.UserInfo.Groups = []string{"dev"}
	if got = review(t, validate.Policy{}, change); got.Allowed || got.AuditAnnotations["overrides"] != "" || len(got.events) != 4 {
		t.Errorf("without the right: got %+v, %q", got.AdmissionResponse, got.events)
	}
	if got = review(t, validate.Policy{OverrideGroups: []string{"dev"}}, change); !got.Allowed {
		t.Errorf("with the right by configuration: got %+v", got.AdmissionResponse)
	}
}

// The guard reads override annotations even if the data is unchanged.
func TestBreakGlassInMetadataOnly(t *testing.T) {
	t.Parallel()
	change := request("UPDATE", configMap(admin), configMap(admin, annotated("break-glass", "x")))
	if got := review(t, validate.Policy{}, change); !got.Allowed || len(got.Warnings) != 1 || got.log["overrides"] == nil {
		t.Errorf("got %+v", got.AdmissionResponse)
	}
	change.UserInfo.Groups = nil
	if got := review(t, validate.Policy{}, change); got.Allowed || got.AuditAnnotations["rules"] != "break-glass-denied" {
		t.Errorf("without the right: got %+v", got.AdmissionResponse)
	}
	change.OldObject = change.Object
	if got := review(t, validate.Policy{}, change); !got.Allowed || got.Warnings != nil {
		t.Errorf("left as it was: got %+v", got.AdmissionResponse)
	}
}

// Break-glass for a deletion expires at the time in its annotation.
func TestBreakGlassForDeletionExpires(t *testing.T) {
	t.Parallel()
	for expiry, allowed := range map[string]bool{"2026-03-01T12:30:00Z": true, "2026-03-01T11:59:59Z": false} {
		stored := configMap(admin, annotated("break-glass", "delete "+expiry+" moved"))
		got := review(t, validate.Policy{}, request("DELETE", stored, runtime.RawExtension{}))
		if got.Allowed != allowed || (got.AuditAnnotations["overrides"] != "") != allowed {
			t.Errorf("until %s: got %+v", expiry, got.AdmissionResponse)
		}
	}
}

func TestAllowRemovalIsReported(t *testing.T) {
	t.Parallel()
	var nodes, arns []string
	for i := range 40 {
		nodes = append(nodes, strings.ReplaceAll(node, "role/node", fmt.Sprintf("role/node-%d", i)))
		arns = append(arns, fmt.Sprintf("arn:aws:iam::111122223333:role/node-%d", i))
	}
	got := review(t, validate.Policy{}, request("UPDATE", configMap(admin+strings.Join(nodes, "")), configMap(admin, annotated("allow-removal", strings.Join(arns, ",")))))
	if !got.Allowed || len(got.Warnings) != 30 || got.Warnings[0] != "allow-removal overrules the guard for this node role: arn:aws:iam::111122223333:role/node-0" ||
		got.Warnings[29] != "11 more findings are not shown" {
		t.Errorf("got %+v", got.AdmissionResponse)
	}
	if diff := cmp.Diff([]string{"reviewed UPDATE warn dry=false 2ms", "overridden allow-removal"}, got.events); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if list, _ := got.log["overrides"].([]any); len(list) != 21 || list[20] != "20 more" {
		t.Errorf("log of overrides: %v", got.log["overrides"])
	}
	if list, _ := got.log["losses"].([]any); len(list) != 20 || got.log["losses_more"] != 20. {
		t.Errorf("log of losses: %v", got.log)
	}
}

func TestModeWarnAdmits(t *testing.T) {
	t.Parallel()
	policy := validate.Policy{Mode: validate.WarnMode, Rules: map[string]validate.Severity{"role-path": validate.Off}}
	got := review(t, policy, request("UPDATE", configMap(admin+node), configMap(admin+path)))
	if diff := cmp.Diff([]string{"reviewed UPDATE warn dry=false 2ms", "would deny node-role-removed"}, got.events); diff != "" || !got.Allowed {
		t.Errorf("allowed is %t, metrics (-want +got):\n%s", got.Allowed, diff)
	}
	if len(got.Warnings) != 1 || !strings.HasPrefix(got.Warnings[0], "mode warn: would be refused: data.mapRoles: ") {
		t.Errorf("got the warnings %q", got.Warnings)
	}
}

// The log names the principals that gain or lose groups, and contains no other part of the objects.
func TestLogNamesPrincipalsWithChangedAccess(t *testing.T) {
	t.Parallel()
	many := make([]string, 25)
	for i := range many {
		many[i] = fmt.Sprintf("g%02d", i)
	}
	wide := "- rolearn: arn:aws:iam::111122223333:role/wide\n  username: hidden\n  groups: [" + strings.Join(many, ", ") + "]\n"
	alone := "- rolearn: arn:aws:iam::111122223333:role/alone\n  username: alone\n"
	got := review(t, validate.Policy{}, request("UPDATE", configMap(admin+team+alone), configMap(strings.Replace(admin, "system:masters", "ops, system:masters", 1)+wide), func(r *admissionv1.AdmissionRequest) {
		r.UserInfo.Groups = nil
	}))
	line := func(role string, groups ...any) any {
		return map[string]any{"principal": "arn:aws:iam::111122223333:role/" + role, "groups": append([]any{}, groups...)}
	}
	var wideGroups []any
	for _, g := range many[:20] {
		wideGroups = append(wideGroups, g)
	}
	want := map[string]any{
		"gains":  []any{line("Admin", "ops"), line("wide", append(wideGroups, "5 more")...)},
		"losses": []any{line("team", "dev"), line("alone")},
	}
	if diff := cmp.Diff(want, map[string]any{"gains": got.log["gains"], "losses": got.log["losses"]}); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if strings.Contains(fmt.Sprint(got.log), "hidden") {
		t.Errorf("the log holds more of the object: %v", got.log)
	}
}
