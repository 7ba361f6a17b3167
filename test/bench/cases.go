package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/bench/rego"
)

// reviewCase is an UPDATE of aws-auth by an administrator.
type reviewCase struct {
	name           string
	entries, bytes int // of the new document
	noOp           bool
	handler        *admission.Handler
	asking         *admission.Handler // the same with IAM, which has answered before
	policy         *rego.Policy
	request        *admissionv1.AdmissionRequest
	data           map[string]string // the new document
}

// protected is what both the guard and the policy in Rego protect.
var protected = []access.Protected{{ARN: adminRole, Groups: []string{admins}}}

func newCases() ([]*reviewCase, error) {
	handler := newHandler(nil)
	principals, err := newDirectory()
	if err != nil {
		return nil, err
	}
	asking := newHandler(principals)
	regoPolicy, err := rego.New(context.Background(), protected)
	if err != nil {
		return nil, err
	}
	noOp := newEdit(10)
	noOp.old = noOp.new
	edits := []edit{noOp, newEdit(10), newEdit(100), newEdit(1000), largestEdit()}
	cases := make([]*reviewCase, 0, len(edits))
	for i, e := range edits {
		request, err := newRequest(e)
		if err != nil {
			return nil, err
		}
		c := &reviewCase{
			name: "edit", entries: e.entries, bytes: size(e.new), noOp: i == 0,
			handler: handler, asking: asking, policy: regoPolicy, request: request, data: e.new,
		}
		if c.noOp {
			c.name = "no-op"
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%s of %d entries: %w", c.name, c.entries, err)
		}
		cases = append(cases, c)
	}
	return cases, nil
}

// newHandler returns a handler as the webhook has it: a protected principal, metrics, and a log in JSON.
// With a directory it asks IAM.
func newHandler(directory admission.Directory) *admission.Handler {
	var rules []string
	for _, rule := range validate.Rules() {
		rules = append(rules, rule.ID)
	}
	policy := validate.Policy{
		Protected:   protected,
		AdminGroups: []string{admins},
		IAMMode:     validate.Off,
	}
	if directory != nil {
		policy.IAMMode = validate.Deny
	}
	return admission.New(admission.Options{
		Policy:   func() validate.Policy { return policy },
		Recorder: metrics.New(rules), Directory: directory,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // what is thrown away is written first
	})
}

// newRequest returns the review of an edit by someone whom the old document maps, so that the rules about the
// requester have all their work to do.
func newRequest(e edit) (*admissionv1.AdmissionRequest, error) {
	before, err := configMap(e.old)
	if err != nil {
		return nil, err
	}
	after, err := configMap(e.new)
	if err != nil {
		return nil, err
	}
	return &admissionv1.AdmissionRequest{
		UID:       "0d1c8a52-7d6f-4c9b-9c3e-0f5b8e0a6d11",
		Kind:      metav1.GroupVersionKind{Version: "v1", Kind: "ConfigMap"},
		Resource:  metav1.GroupVersionResource{Version: "v1", Resource: "configmaps"},
		Name:      "aws-auth",
		Namespace: "kube-system",
		Operation: admissionv1.Update,
		UserInfo: authenticationv1.UserInfo{
			Username: "platform-admin:alice",
			Groups:   []string{admins, "platform:admins", "system:authenticated"},
			Extra: map[string]authenticationv1.ExtraValue{
				"arn":          {"arn:aws:sts::" + account + ":assumed-role/PlatformAdmin/alice"},
				"canonicalArn": {adminRole},
				"sessionName":  {"alice"},
				"accessKeyId":  {"ASIAEXAMPLEEXAMPLE00"},
			},
		},
		Object:    runtime.RawExtension{Raw: after},
		OldObject: runtime.RawExtension{Raw: before},
	}, nil
}

// check makes sure that what is measured is the whole work: a review without findings, a text without errors.
func (c *reviewCase) check() error {
	for _, handler := range []*admission.Handler{c.handler, c.asking} {
		response := handler.Review(context.Background(), c.request)
		if !response.Allowed || len(response.Warnings) > 0 {
			return fmt.Errorf("the guard is expected to allow it in silence: %v, warnings %q", response.Result, response.Warnings)
		}
	}
	users, roles, _, err := configmap.ParseMap(c.data)
	if err != nil {
		return fmt.Errorf("the authenticator is expected to read it: %w", err)
	}
	if n := len(users) + len(roles); n != c.entries {
		return fmt.Errorf("the authenticator reads %d entries, not %d", n, c.entries)
	}
	if why, err := c.deny(context.Background()); err != nil || len(why) > 0 {
		return fmt.Errorf("the policy in Rego is expected to allow it: %v, %w", why, err)
	}
	return nil
}

// deny asks the policy in Rego, from the request's bytes as the guard is asked.
func (c *reviewCase) deny(ctx context.Context) ([]rego.Denial, error) {
	return c.policy.Deny(ctx, rego.Request{
		Operation: string(c.request.Operation),
		Username:  c.request.UserInfo.Username,
		Object:    c.request.Object.Raw,
		OldObject: c.request.OldObject.Raw,
	})
}

// review measures request to response.
func (c *reviewCase) review(b *testing.B) {
	b.Helper()
	measure(b, c.handler, c.request)
}

// reviewAsking measures the same where IAM is asked, and what it says is remembered.
func (c *reviewCase) reviewAsking(b *testing.B) {
	b.Helper()
	measure(b, c.asking, c.request)
}

func measure(b *testing.B, handler *admission.Handler, request *admissionv1.AdmissionRequest) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if response := handler.Review(b.Context(), request); !response.Allowed {
			b.Fatal(response.Result)
		}
	}
}

// parseMap measures the authenticator's own parsing of the new data.
func (c *reviewCase) parseMap(b *testing.B) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, _, err := configmap.ParseMap(c.data); err != nil {
			b.Fatal(err)
		}
	}
}

// rego measures the policy in Rego, a prepared query.
func (c *reviewCase) rego(b *testing.B) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if why, err := c.deny(b.Context()); err != nil || len(why) > 0 {
			b.Fatal(why, err)
		}
	}
}
