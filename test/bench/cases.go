package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/configmap"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// variants is the number of new documents of a case. They differ in mapRoles. The guard's cache of decoded sections has room for
// 8 sections, so the mapRoles of the next new document is never in the cache. The sections of the old document, and mapUsers,
// which is the same in both documents, are always in the cache after the first review.
const variants = 16

// reviewCase is an UPDATE of aws-auth by an administrator. Its variants have the same old document and different new ones.
type reviewCase struct {
	name           string
	entries, bytes int  // number of entries and bytes of the new document
	noOp           bool // the new document equals the old one
	handler        *admission.Handler
	asking         *admission.Handler // looks up principals in IAM, and has the results in its cache
	withEntries    *admission.Handler // knows the cluster's access entries
	requests       [variants]*admissionv1.AdmissionRequest
	data           [variants]map[string]string // the new documents
}

// protected is the list of protected principals: the admin.
var protected = []access.Protected{{ARN: adminRole, Groups: []string{admins}}}

func newCases() ([]*reviewCase, error) {
	handler, withEntries := newHandler(nil, nil), newHandler(nil, accessEntries())
	principals, err := newDirectory()
	if err != nil {
		return nil, err
	}
	asking := newHandler(principals, nil)
	cases := []*reviewCase{{name: "no-op", entries: 10, noOp: true}, {entries: 10}, {entries: 100}, {entries: 1000}, {entries: largestEdit().entries}}
	for _, c := range cases {
		c.handler, c.asking, c.withEntries = handler, asking, withEntries
		for i := range variants {
			e := newEdit(c.entries, i)
			if c.noOp {
				e.old = e.new
			} else {
				c.name = "edit"
			}
			c.data[i], c.bytes = e.new, size(e.new)
			if c.requests[i], err = newRequest(e); err != nil {
				return nil, err
			}
		}
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("%s of %d entries: %w", c.name, c.entries, err)
		}
	}
	return cases, nil
}

// newHandler returns a handler like the one of the webhook: with a protected principal, metrics, and a log in JSON.
// It looks up new principals in IAM if directory is not nil. It uses access entries if cluster is not nil.
func newHandler(directory admission.Directory, cluster *access.Cluster) *admission.Handler {
	var rules []string
	for _, rule := range validate.Rules() {
		rules = append(rules, rule.ID)
	}
	policy := validate.Policy{
		Protected:   protected,
		AdminGroups: []string{admins},
		IAMMode:     validate.Off,
		Cluster:     cluster,
	}
	if directory != nil {
		policy.IAMMode = validate.Deny
	}
	return admission.New(admission.Options{
		Policy:   func() validate.Policy { return policy },
		Recorder: metrics.New(rules), Directory: directory,
		Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)), //nolint:sloglint // the benchmark includes the encoding of the log
	})
}

// accessEntries returns a cluster with 100 access entries. No principal of the cases has one of them.
func accessEntries() *access.Cluster {
	c := &access.Cluster{Mode: access.ModeAPIAndConfigMap}
	for i := range 100 {
		c.AccessEntries = append(c.AccessEntries, access.AccessEntry{
			PrincipalARN: fmt.Sprintf("arn:aws:iam::%s:role/entries/access-%02d", account, i), Type: "STANDARD", Groups: []string{"viewers"},
		})
	}
	return c
}

// newRequest returns the request of an edit. The old document maps the requester, so the rules about the requester
// have an access to evaluate.
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

// check makes sure that the benchmark measures all of the work. It returns an error if the guard has a finding on the
// case, or if the authenticator doesn't parse the expected number of entries from its text.
func (c *reviewCase) check() error {
	for _, handler := range []*admission.Handler{c.handler, c.asking, c.withEntries} {
		response := handler.Review(context.Background(), c.requests[0])
		if !response.Allowed || len(response.Warnings) > 0 {
			return fmt.Errorf("the guard is expected to allow it without a warning: %v, warnings %q", response.Result, response.Warnings)
		}
	}
	users, roles, _, err := configmap.ParseMap(c.data[0])
	if err != nil {
		return fmt.Errorf("the authenticator is expected to read it: %w", err)
	}
	if n := len(users) + len(roles); n != c.entries {
		return fmt.Errorf("the authenticator reads %d entries, not %d", n, c.entries)
	}
	return nil
}

// operation does the measured work once. call is the number of the call. Consecutive calls use different variants.
type operation func(call int) error

// review reviews a request without look-ups in IAM and without access entries.
func (c *reviewCase) review(call int) error { return c.ask(c.handler, call) }

// reviewAsking reviews a request with look-ups in IAM. The cache has the results of the look-ups.
func (c *reviewCase) reviewAsking(call int) error { return c.ask(c.asking, call) }

// reviewWithEntries reviews a request with the cluster's access entries.
func (c *reviewCase) reviewWithEntries(call int) error { return c.ask(c.withEntries, call) }

func (c *reviewCase) ask(handler *admission.Handler, call int) error {
	if response := handler.Review(context.Background(), c.requests[call%variants]); !response.Allowed {
		return fmt.Errorf("the guard refused an edit: %v", response.Result)
	}
	return nil
}

// parseMap parses the new document with the authenticator's own function.
func (c *reviewCase) parseMap(call int) error {
	_, _, _, err := configmap.ParseMap(c.data[call%variants])
	return err
}
