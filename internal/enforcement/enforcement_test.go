package enforcement_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/enforcement"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

type configuration = admissionregistrationv1.ValidatingWebhookConfiguration

// charts returns the ValidatingWebhookConfiguration as the chart renders it, and a certificate that its caBundle trusts.
func charts(t *testing.T) (*configuration, *tls.Certificate) {
	t.Helper()
	text, err := os.ReadFile("../../test/chart/testdata/golden/default.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		if !strings.Contains(document, "kind: ValidatingWebhookConfiguration") {
			continue
		}
		config := new(configuration)
		if err := yaml.Unmarshal([]byte(document), config); err != nil {
			t.Fatal(err)
		}
		ca, err := servingcert.NewAuthority(time.Now(), 24*365*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := ca.Sign(time.Now(), 24*time.Hour, []string{"awsauth-guard.awsauth-guard.svc"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range config.Webhooks {
			config.Webhooks[i].ClientConfig.CABundle = servingcert.EncodeCertificates(ca.Cert)
			config.Webhooks[i].ObjectSelector = new(metav1.LabelSelector) // the API server's default
		}
		return config, &leaf.Certificate
	}
	t.Fatal("the chart renders no configuration")
	return nil, nil
}

// replica is one process and its recorded metrics and Events.
type replica struct {
	*enforcement.Enforcement

	config *enforcement.Configuration
	stop   func()

	mu       sync.Mutex
	cert     *tls.Certificate
	leads    bool
	won      func() // called when the replica becomes the leader
	selfTest bool
	answer   func() ([]string, error) // returns the warnings and the error of the API server to the self-test
	mode     validate.Mode
	tests    int     // the number of self-tests
	enforced float64 // -1: the metric has no series
	events   []string
	logged   logtest.Log
}

const admin = "- rolearn: arn:aws:iam::111122223333:role/Admin\n  username: admin\n  groups: [system:masters]\n"

// start starts a replica with a fake clock. The replica is the leader, and the stored aws-auth has these roles.
func start(t *testing.T, roles string, change ...func(*replica)) *replica {
	t.Helper()
	r := &replica{config: enforcement.NewConfiguration(), leads: true, enforced: -1, mode: validate.Enforce}
	for _, c := range change {
		c(r)
	}
	r.Enforcement = enforcement.New(enforcement.Options{
		Webhook:     enforcement.Webhook{Namespace: "awsauth-guard", Name: "awsauth-guard", Path: "/validate-aws-auth", BypassGroup: "awsauth-guard:bypass"},
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return r.cert, nil }, Configuration: r.config,
		SelfTest: func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.selfTest }, Prober: r, Identity: identity{},
		Policy: func() validate.Policy { return validate.Policy{Mode: r.mode} }, Election: r, Events: r, Recorder: r,
		Logger: slog.New(slog.NewTextHandler(&r.logged, nil)), Timing: enforcement.DefaultTiming(), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := r.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	r.stop = func() { cancel(); running.Wait() }
	r.Stored(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}, Data: map[string]string{"mapRoles": roles}})
	synctest.Wait()
	return r
}

type identity struct{}

func (identity) Name() string               { return "guard" }
func (identity) Find(context.Context) error { return nil }

// after advances the clock.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// set sets the ValidatingWebhookConfiguration.
func (r *replica) set(config *configuration) {
	r.config.Set(config, time.Time{})
	synctest.Wait()
}

func (r *replica) change(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

func (r *replica) IsLeader() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.leads
}
func (r *replica) OnWon(call func()) { r.won = call }

func (r *replica) Delete(context.Context) ([]string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tests++
	return r.answer()
}

func (r *replica) Enforced(is bool) {
	r.change(func() {
		r.enforced = 0
		if is {
			r.enforced = 1
		}
	})
}
func (r *replica) EnforcedUnknown() { r.change(func() { r.enforced = -1 }) }
func (r *replica) Panicked(string)  {}
func (r *replica) Warn(reason kube.Reason, _ string) {
	r.change(func() { r.events = append(r.events, string(reason)) })
}
func (r *replica) Normal(reason kube.Reason, message string) { r.Warn(reason, message) }

// want checks the metric of Enforced, and all Events of the replica up to now.
func (r *replica) want(t *testing.T, what string, enforced float64, events ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.enforced != enforced {
		t.Errorf("%s: enforced is %v, want %v", what, r.enforced, enforced)
	}
	if diff := cmp.Diff(events, r.events); diff != "" {
		t.Errorf("%s: Events (-want +got):\n%s", what, diff)
	}
}

// The check accepts the configuration of the chart. It finds the fault in each configuration with which the API server may not call the
// guard.
func TestRegistrationIsChecked(t *testing.T) {
	t.Parallel()
	type webhook = admissionregistrationv1.ValidatingWebhook
	for name, test := range map[string]struct {
		change func(c *configuration, h *webhook)
		want   string // the reason; empty: the guard is enforced
	}{
		"as rendered":       {func(*configuration, *webhook) {}, ""},
		"gone":              {nil, "there is no ValidatingWebhookConfiguration"},
		"no webhook":        {func(c *configuration, _ *webhook) { c.Webhooks = nil }, "no webhook in it calls"},
		"observed only":     {func(c *configuration, _ *webhook) { c.Webhooks = c.Webhooks[1:] }, "no webhook in it calls"},
		"another Service":   {func(_ *configuration, h *webhook) { h.ClientConfig.Service.Name = "x" }, "no webhook in it calls"},
		"another namespace": {func(_ *configuration, h *webhook) { h.ClientConfig.Service.Namespace = "x" }, "no webhook in it calls"},
		"another path":      {func(_ *configuration, h *webhook) { h.ClientConfig.Service.Path = new("/") }, "no webhook in it calls"},
		"a URL":             {func(_ *configuration, h *webhook) { h.ClientConfig.Service = nil }, "no webhook in it calls"},
		"more webhooks": {func(c *configuration, _ *webhook) {
			c.Webhooks = append([]webhook{{Name: "other"}}, c.Webhooks...)
		}, ""},
		"failurePolicy Ignore": {func(_ *configuration, h *webhook) {
			h.FailurePolicy = new(admissionregistrationv1.Ignore)
		}, ""},
		"matchPolicy Exact": {func(_ *configuration, h *webhook) { h.MatchPolicy = new(admissionregistrationv1.Exact) }, ""},
		"no rules":          {func(_ *configuration, h *webhook) { h.Rules = nil }, "do not cover CREATE"},
		"no UPDATE":         {func(_ *configuration, h *webhook) { h.Rules[0].Operations = h.Rules[0].Operations[:1] }, "do not cover UPDATE"},
		"other resources":   {func(_ *configuration, h *webhook) { h.Rules[0].Resources = []string{"secrets"} }, "do not cover CREATE"},
		"another group":     {func(_ *configuration, h *webhook) { h.Rules[0].APIGroups = []string{"apps"} }, "do not cover CREATE"},
		"cluster's objects": {func(_ *configuration, h *webhook) {
			h.Rules[0].Scope = new(admissionregistrationv1.ClusterScope)
		}, "do not cover CREATE"},
		"everything": {func(_ *configuration, h *webhook) {
			h.Rules = []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{"*"},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
			}}
		}, ""},
		"another namespace is selected": {func(_ *configuration, h *webhook) {
			h.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] = "x"
		}, "namespaceSelector does not select kube-system"},
		"all namespaces": {func(_ *configuration, h *webhook) { h.NamespaceSelector = &metav1.LabelSelector{} }, ""},
		"kube-system is left out": {func(_ *configuration, h *webhook) {
			h.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}},
			}}
		}, "namespaceSelector does not select kube-system"},
		"a label that is not known": {func(_ *configuration, h *webhook) {
			h.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "control-plane", Operator: metav1.LabelSelectorOpDoesNotExist},
			}}
		}, "requires the label control-plane"},
		"some objects": {func(_ *configuration, h *webhook) {
			h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"guarded": "yes"}}
		}, "objectSelector does not select aws-auth"},
		"an unknown condition": {func(_ *configuration, h *webhook) {
			h.MatchConditions = append(h.MatchConditions, admissionregistrationv1.MatchCondition{Name: "x", Expression: `request.userInfo.username != "mallory"`})
		}, "matchCondition x is not one of the chart's"},
		"a changed condition": {func(_ *configuration, h *webhook) {
			h.MatchConditions[0].Expression += ` && false`
		}, "is not one of the chart's"},
		"every user bypasses": {func(_ *configuration, h *webhook) {
			h.MatchConditions[2].Expression = `!(has(request.userInfo.groups) && "system:authenticated" in request.userInfo.groups)`
		}, "matchCondition not-bypass is not one of the chart's"},
		"another group bypasses": {func(_ *configuration, h *webhook) {
			h.MatchConditions[2].Expression = `!(has(request.userInfo.groups) &&  "our:bypass" in request.userInfo.groups)`
		}, "matchCondition not-bypass is not one of the chart's"},
		"the group in other words": {func(_ *configuration, h *webhook) {
			h.MatchConditions[2].Expression = "!(has(request.userInfo.groups) &&\n  \"awsauth-guard:bypass\" in request.userInfo.groups)"
		}, ""},
		"the usual port":   {func(_ *configuration, h *webhook) { h.ClientConfig.Service.Port = new(int32(443)) }, ""},
		"another port":     {func(_ *configuration, h *webhook) { h.ClientConfig.Service.Port = new(int32(8443)) }, "it calls port 8443 of the Service"},
		"fewer conditions": {func(_ *configuration, h *webhook) { h.MatchConditions = h.MatchConditions[:1] }, ""},
		"no caBundle":      {func(_ *configuration, h *webhook) { h.ClientConfig.CABundle = nil }, "caBundle is empty"},
		"no certificate":   {func(_ *configuration, h *webhook) { h.ClientConfig.CABundle = []byte("x") }, "caBundle contains no certificate"},
		"another's caBundle": {func(_ *configuration, h *webhook) {
			ca, err := servingcert.NewAuthority(time.Now(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			h.ClientConfig.CABundle = servingcert.EncodeCertificates(ca.Cert)
		}, "does not trust the serving certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				config, cert := charts(t)
				r := start(t, admin, func(r *replica) { r.cert = cert })
				defer r.stop()
				r.want(t, "before it is known", -1)
				if test.change == nil {
					config = nil
				} else {
					test.change(config, &config.Webhooks[0])
				}
				r.set(config)
				after(time.Minute)
				if test.want == "" {
					r.want(t, "enforced", 1)
				} else {
					r.want(t, "not enforced", 0, "NotEnforced")
				}
				if line := r.String(); test.want == "" && line != "guard: enforced" || test.want != "" && (!strings.HasPrefix(line, "guard: not enforced: ") || !strings.Contains(line, test.want)) {
					t.Error(line)
				}
			})
		})
	}
}

// Helm creates the configuration a few seconds after the guard starts. Until Grace has passed, the guard reports no problem. Afterwards
// it reports a missing configuration. The metric is right from the beginning.
func TestNothingIsReportedDuringGrace(t *testing.T) {
	t.Parallel()
	for _, created := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			config, cert := charts(t)
			r := start(t, admin, func(r *replica) { r.cert = cert })
			defer r.stop()
			r.set(nil)
			after(15 * time.Second)
			r.want(t, "before it is created", 0)
			if strings.Contains(r.logged.String(), "ERROR") {
				t.Errorf("the log has\n%s", &r.logged)
			}
			if created {
				r.set(config)
				after(time.Minute)
				r.want(t, "created", 1)
				r.set(nil)
				r.want(t, "removed later", 0, "NotEnforced")
				return
			}
			after(time.Minute)
			r.want(t, "not created", 0, "NotEnforced")
			if strings.Count(r.logged.String(), "level=ERROR msg=\"the guard is not enforced\"") != 1 {
				t.Errorf("the log has\n%s", &r.logged)
			}
			r.set(config)
			r.want(t, "created at last", 1, "NotEnforced", "Enforced")
		})
	}
}

// The guard reports that it is not enforced when the serving certificate has expired, even if the configuration doesn't change.
func TestExpiredCertificateIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config, cert := charts(t)
		r := start(t, admin, func(r *replica) { r.cert = cert })
		defer r.stop()
		r.set(config)
		r.want(t, "at first", 1)
		after(25 * time.Hour)
		r.want(t, "when the certificate has ended", 0, "NotEnforced")
	})
}

// A new leader writes an Event about a problem that it found before it became the leader.
func TestNewLeaderReportsEarlierResult(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := start(t, admin, func(r *replica) { r.leads = false })
		defer r.stop()
		r.set(nil)
		after(time.Minute)
		r.want(t, "while another leads", 0)
		r.change(func() { r.leads = true })
		r.won()
		after(time.Second)
		r.want(t, "when it leads", 0, "NotEnforced")
	})
}

// After ten minutes without access to the configuration the result is unknown.
func TestUnreadableConfigurationMakesResultUnknown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		config, cert := charts(t)
		r := start(t, admin, func(r *replica) { r.cert = cert })
		defer r.stop()
		r.set(config)
		r.config.Set(config, time.Now())
		after(9 * time.Minute)
		r.want(t, "after 9 minutes", 1)
		after(2 * time.Minute)
		r.want(t, "after 11 minutes", -1)
		if text := r.String(); !strings.Contains(text, "unknown") {
			t.Errorf("String returns %q", text)
		}
		r.config.Set(config, time.Time{})
		after(time.Minute)
		r.want(t, "when it can be read again", 1)
		r.set(nil)
		r.config.Set(nil, time.Now())
		after(11 * time.Minute)
		r.set(config)
		after(time.Minute)
		r.want(t, "right when it is read again", 1, "NotEnforced", "Enforced")
	})
}
