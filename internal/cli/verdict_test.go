package cli_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/extract"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// Reasons why the test doesn't compare lint and the webhook on a case, or compares them without the requester of the
// case.
const (
	deletion     = "a deletion, which lint cannot express"
	overrides    = "sets an override annotation"
	manifestOnly = "has a fault that only a manifest can have, and that kubectl or the API server refuses"
	noConfig     = "has a policy that no configuration file can hold"
	eks          = "the requester is EKS itself"
	variable     = "holds a template, which lint does not evaluate before another tool has rendered it"
	otherLogin   = "the requester's username and groups do not come from the old version"
)

// empty is the old object for a case that has none, so that lint evaluates the case as an edit.
const empty = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: aws-auth\n"

// For every case that lint and the webhook can both evaluate, they give the same verdict by the same rules. They get
// the case as an update without override annotations, with the same old object, configuration and requester.
func TestLintAndWebhookAgree(t *testing.T) {
	left := map[string][]string{}
	compared, withRequester := 0, 0
	for _, c := range allCases(t) {
		name := filepath.Base(filepath.Dir(c.File)) + "/" + filepath.Base(c.File)
		before := string(c.Manifest(true))
		if c.Change.Old == nil && c.Change.New != nil {
			before, c.Change.Operation, c.Change.Old = empty, validate.Update, &awsauth.Object{}
		}
		guard, reason := configOf(c)
		if reason == "" {
			reason = incomparable(c)
		}
		if reason != "" {
			left[reason] = append(left[reason], name)
			continue
		}
		dir := t.TempDir()
		p := comparison{c, filepath.Join(dir, "old.yaml"), filepath.Join(dir, "new.yaml"), filepath.Join(dir, "guard.yaml")}
		writeFile(t, p.old, before)
		writeFile(t, p.new, string(c.Manifest(false)))
		writeFile(t, p.config, guard)
		t.Run(name, func(t *testing.T) {
			compared++
			p.compare(t, validate.Requester{}, "")
			arn, reason := asARN(c)
			if reason != "" {
				left[reason] = append(left[reason], name)
				return
			}
			withRequester++
			p.compare(t, c.Change.Requester, arn)
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		t.Logf("%3d cases left out, %s: %s", len(left[reason]), reason, strings.Join(left[reason], " "))
	}
	t.Logf("%d cases compared, %d of them with their requester", compared, withRequester)
	if compared < 300 || withRequester < compared*9/10 {
		t.Error("too few cases are compared")
	}
}

func allCases(t *testing.T) []*rulecase.Case {
	t.Helper()
	var cases []*rulecase.Case
	for _, pattern := range []string{"../validate/testdata/rules/*/*.txtar", "../validate/testdata/verdict/*.txtar", "../validate/testdata/deleted/*.txtar"} {
		list, err := rulecase.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, list...)
	}
	return cases
}

// incomparable returns the reason why lint or the webhook can't evaluate a case, or "" if both can.
func incomparable(c *rulecase.Case) string {
	change := c.Change
	if change.New == nil {
		return deletion
	}
	r, err := extract.File("new.yaml", c.Manifest(false))
	r.RefuseTemplates()
	if err == nil && len(r.Unrendered) > 0 {
		return variable
	}
	for key, value := range change.New.Annotations {
		if strings.HasPrefix(key, validate.AnnotationPrefix) && value != change.Old.Annotations[key] {
			return overrides
		}
	}
	for _, o := range []*awsauth.Object{change.Old, change.New} {
		if d := o.Parse(); len(d.NotText) > 0 || len(d.DuplicateKeys) > 0 {
			return manifestOnly
		}
	}
	return ""
}

// configOf returns the policy of a case as the text of a GuardConfig, or the reason why no GuardConfig can express it.
func configOf(c *rulecase.Case) (text, reason string) {
	p := c.Policy
	guard := config.Config{
		APIVersion: config.APIVersion, Kind: config.Kind, Mode: p.Mode, AdminGroups: p.AdminGroups, Rules: p.Rules,
		AccessEntries: p.AccessEntries, Overrides: config.Overrides{Groups: p.OverrideGroups},
	}
	for _, principal := range p.Protected {
		guard.Protected = append(guard.Protected, config.Protected{ARN: principal.ARN, Groups: principal.Groups})
	}
	yaml, err := guard.YAML()
	if err == nil {
		_, err = config.Parse("guard.yaml", yaml)
	}
	if err != nil {
		return "", noConfig
	}
	return string(yaml), ""
}

// asARN returns the value of --as-arn for the requester of a case, or the reason why no value is possible. For a
// requester without an ARN the value is empty, because lint without --as-arn assumes such a requester.
func asARN(c *rulecase.Case) (arn, reason string) {
	r := c.Change.Requester
	if r.IsEKS() {
		return "", eks
	}
	if r.ARN() == "" {
		return "", ""
	}
	parsed, err := awsauth.ParseARN(r.ARN())
	if err != nil {
		return "", otherLogin
	}
	arn, session := r.ARN(), ""
	for key, values := range r.Extra {
		switch {
		case len(values) == 0:
		case strings.EqualFold(key, "sessionName"):
			session = values[0]
		case strings.EqualFold(key, "arn"):
			arn = values[0]
		}
	}
	if parsed.Service == "iam" && parsed.IsRole() && arn == r.ARN() && session != "" {
		arn = "arn:" + parsed.Partition + ":sts::" + parsed.Account + ":assumed-role/" + parsed.Name() + "/" + session
	}
	login := c.Change.Old.Load().Resolve(arn)
	username, groups := login.Username, login.Groups
	if len(login.Matches) > 0 {
		username, groups, _ = login.Matches[0].Render(awsauth.Caller{AccountID: parsed.Account, SessionName: session})
	}
	if !login.Mapped || username != r.Username || !slices.Equal(loginGroups(groups), loginGroups(r.Groups)) {
		return "", otherLogin
	}
	return arn, ""
}

// loginGroups returns the groups of a login, sorted and without duplicates. It leaves out the group that the API server
// adds.
func loginGroups(groups []string) []string {
	set := slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "system:authenticated" })
	slices.Sort(set)
	return slices.Compact(set)
}

// comparison is a case with the files for lint.
type comparison struct {
	*rulecase.Case
	old, new, config string // files
}

// outcome is the part of the result on which lint and the webhook must agree.
type outcome struct {
	Verdict string
	Rules   []string
}

func (p comparison) compare(t *testing.T, requester validate.Requester, arn string) {
	t.Helper()
	if diff := cmp.Diff(p.review(t, requester), p.lint(t, arn)); diff != "" {
		t.Errorf("as %q (-webhook +lint):\n%s", requester.Username, diff)
	}
}

func (p comparison) lint(t *testing.T, arn string) (o outcome) {
	t.Helper()
	status, stdout, stderr := run(t.Context(), t, "", "lint", p.new, "--old", p.old, "--config", p.config, "--as-arn", arn, "-o", "json")
	var result struct {
		Verdict  string `json:"verdict"`
		Findings []struct {
			Rule string `json:"rule"`
		} `json:"findings"`
	}
	if err := json.Unmarshal([]byte(stdout), &result); err != nil {
		t.Fatalf("status %d: %v\n%s", status, err, stderr)
	}
	if wantStatus := map[string]int{"allow": 0, "warn": 0, "deny": 1}[result.Verdict]; status != wantStatus {
		t.Errorf("the verdict is %s, the status %d", result.Verdict, status)
	}
	o.Verdict = result.Verdict
	for _, f := range result.Findings {
		o.Rules = append(o.Rules, f.Rule)
	}
	slices.Sort(o.Rules)
	o.Rules = slices.Compact(o.Rules)
	return o
}

func (p comparison) review(t *testing.T, requester validate.Requester) outcome {
	t.Helper()
	cfg, err := config.Load(p.config)
	if err != nil {
		t.Fatal(err)
	}
	handler := admission.New(admission.Options{Policy: cfg.Policy})
	request := &admissionv1.AdmissionRequest{
		UID: "1", Operation: admissionv1.Update, Namespace: "kube-system", Name: "aws-auth",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		OldObject: rawObject(t, p.Change.Old), Object: rawObject(t, p.Change.New),
		UserInfo: authenticationv1.UserInfo{Username: requester.Username, Groups: requester.Groups, Extra: map[string]authenticationv1.ExtraValue{}},
	}
	for key, values := range requester.Extra {
		request.UserInfo.Extra[key] = values
	}
	response := handler.Review(t.Context(), request)
	if refused := response.AuditAnnotations["verdict"] == "deny"; response.Allowed == refused {
		t.Errorf("allowed %t, verdict %s", response.Allowed, response.AuditAnnotations["verdict"])
	}
	o := outcome{Verdict: response.AuditAnnotations["verdict"]}
	if rules := response.AuditAnnotations["rules"]; rules != "" {
		o.Rules = strings.Split(rules, ",")
	}
	return o
}

// rawObject returns an object in the JSON that the API server sends.
func rawObject(t *testing.T, o *awsauth.Object) runtime.RawExtension {
	t.Helper()
	cm := corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "aws-auth", Namespace: "kube-system", Annotations: o.Annotations},
		Data:       o.Data,
	}
	cm.Finalizers = o.Finalizers
	for _, owner := range o.Owners {
		cm.OwnerReferences = append(cm.OwnerReferences, metav1.OwnerReference{Kind: owner})
	}
	if o.Deleting {
		cm.DeletionTimestamp = &metav1.Time{Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	}
	if o.Immutable {
		cm.Immutable = new(true)
	}
	for _, key := range o.BinaryData {
		if cm.BinaryData == nil {
			cm.BinaryData = map[string][]byte{}
		}
		cm.BinaryData[key] = []byte("x")
	}
	text, err := json.Marshal(cm)
	if err != nil {
		t.Fatal(err)
	}
	return runtime.RawExtension{Raw: text}
}
