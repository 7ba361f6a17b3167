package live_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// readOnly refuses every write.
type readOnly struct{ *world }

func (readOnly) Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	return nil, errors.New("no")
}

type configuration = admissionregistrationv1.ValidatingWebhookConfiguration

// charts is the configuration as the chart renders it, and a certificate that it vouches for.
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

// The configuration that the chart renders enforces, and one that may not is not taken for it.
func TestEnforced(t *testing.T) {
	t.Parallel()
	type hook = admissionregistrationv1.ValidatingWebhook
	for name, test := range map[string]struct {
		change func(c *configuration, h *hook)
		want   string // the reason; empty is that it is enforced
	}{
		"as rendered":       {func(*configuration, *hook) {}, ""},
		"gone":              {nil, "there is no ValidatingWebhookConfiguration"},
		"no webhook":        {func(c *configuration, _ *hook) { c.Webhooks = nil }, "no webhook of it calls"},
		"observed only":     {func(c *configuration, _ *hook) { c.Webhooks = c.Webhooks[1:] }, "no webhook of it calls"},
		"another Service":   {func(_ *configuration, h *hook) { h.ClientConfig.Service.Name = "x" }, "no webhook of it calls"},
		"another namespace": {func(_ *configuration, h *hook) { h.ClientConfig.Service.Namespace = "x" }, "no webhook of it calls"},
		"another path":      {func(_ *configuration, h *hook) { h.ClientConfig.Service.Path = new("/") }, "no webhook of it calls"},
		"a URL":             {func(_ *configuration, h *hook) { h.ClientConfig.Service = nil }, "no webhook of it calls"},
		"more webhooks":     {func(c *configuration, _ *hook) { c.Webhooks = append([]hook{{Name: "other"}}, c.Webhooks...) }, ""},
		"failurePolicy Ignore": {func(_ *configuration, h *hook) {
			h.FailurePolicy = new(admissionregistrationv1.Ignore)
		}, ""},
		"matchPolicy Exact": {func(_ *configuration, h *hook) { h.MatchPolicy = new(admissionregistrationv1.Exact) }, ""},
		"no rules":          {func(_ *configuration, h *hook) { h.Rules = nil }, "do not cover CREATE"},
		"no UPDATE":         {func(_ *configuration, h *hook) { h.Rules[0].Operations = h.Rules[0].Operations[:1] }, "do not cover UPDATE"},
		"other resources":   {func(_ *configuration, h *hook) { h.Rules[0].Resources = []string{"secrets"} }, "do not cover CREATE"},
		"another group":     {func(_ *configuration, h *hook) { h.Rules[0].APIGroups = []string{"apps"} }, "do not cover CREATE"},
		"cluster's objects": {func(_ *configuration, h *hook) {
			h.Rules[0].Scope = new(admissionregistrationv1.ClusterScope)
		}, "do not cover CREATE"},
		"everything": {func(_ *configuration, h *hook) {
			h.Rules = []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{"*"},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}},
			}}
		}, ""},
		"another namespace is selected": {func(_ *configuration, h *hook) {
			h.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] = "x"
		}, "namespaceSelector does not select kube-system"},
		"all namespaces": {func(_ *configuration, h *hook) { h.NamespaceSelector = &metav1.LabelSelector{} }, ""},
		"kube-system is left out": {func(_ *configuration, h *hook) {
			h.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "kubernetes.io/metadata.name", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system"}},
			}}
		}, "namespaceSelector does not select kube-system"},
		"a label that is not known": {func(_ *configuration, h *hook) {
			h.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
				{Key: "control-plane", Operator: metav1.LabelSelectorOpDoesNotExist},
			}}
		}, "asks for the label control-plane"},
		"some objects": {func(_ *configuration, h *hook) {
			h.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"guarded": "yes"}}
		}, "objectSelector does not select aws-auth"},
		"an unknown condition": {func(_ *configuration, h *hook) {
			h.MatchConditions = append(h.MatchConditions, admissionregistrationv1.MatchCondition{Name: "x", Expression: `request.userInfo.username != "mallory"`})
		}, "matchCondition x is not one of the chart's"},
		"a changed condition": {func(_ *configuration, h *hook) {
			h.MatchConditions[0].Expression += ` && false`
		}, "is not one of the chart's"},
		"everybody bypasses": {func(_ *configuration, h *hook) {
			h.MatchConditions[2].Expression = `!(has(request.userInfo.groups) && "system:authenticated" in request.userInfo.groups)`
		}, "matchCondition not-bypass is not one of the chart's"},
		"another group bypasses": {func(_ *configuration, h *hook) {
			h.MatchConditions[2].Expression = `!(has(request.userInfo.groups) &&  "our:bypass" in request.userInfo.groups)`
		}, "matchCondition not-bypass is not one of the chart's"},
		"the group in other words": {func(_ *configuration, h *hook) {
			h.MatchConditions[2].Expression = "!(has(request.userInfo.groups) &&\n  \"awsauth-guard:bypass\" in request.userInfo.groups)"
		}, ""},
		"the usual port":   {func(_ *configuration, h *hook) { h.ClientConfig.Service.Port = new(int32(443)) }, ""},
		"another port":     {func(_ *configuration, h *hook) { h.ClientConfig.Service.Port = new(int32(8443)) }, "it calls the port 8443 of the Service"},
		"fewer conditions": {func(_ *configuration, h *hook) { h.MatchConditions = h.MatchConditions[:1] }, ""},
		"no caBundle":      {func(_ *configuration, h *hook) { h.ClientConfig.CABundle = nil }, "caBundle is empty"},
		"no certificate":   {func(_ *configuration, h *hook) { h.ClientConfig.CABundle = []byte("x") }, "caBundle holds no certificate"},
		"another's caBundle": {func(_ *configuration, h *hook) {
			ca, err := servingcert.NewAuthority(time.Now(), time.Hour)
			if err != nil {
				t.Error(err)
			}
			h.ClientConfig.CABundle = servingcert.EncodeCertificates(ca.Cert)
		}, "does not vouch for the certificate that is served"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin), func(w *world) {
				config, cert := charts(t)
				r := w.join(func(r *replica, o *live.Options) {
					r.cert = cert
					o.Webhook = live.Webhook{Namespace: "awsauth-guard", Name: "awsauth-guard", Path: "/validate-aws-auth", BypassGroup: "awsauth-guard:bypass"}
				})
				want(t, "before it is known", r.value("enforced"), -1.0)
				if test.change == nil {
					config = nil
				} else {
					test.change(config, &config.Webhooks[0])
				}
				r.Configured(config)
				got, line := r.value("enforced"), r.String()
				switch {
				case test.want == "" && (got != 1 || line != "guard: enforced"):
					t.Errorf("%v: %s", got, line)
				case test.want != "" && (got != 0 || !strings.HasPrefix(line, "guard: not enforced: ") || !strings.Contains(line, test.want)):
					t.Errorf("%v: %s", got, line)
				}
				if n := r.event(live.NotEnforced); n > 1 || (n == 1) != (test.want != "") {
					t.Errorf("%d Events", n)
				}
			})
		})
	}
}

// The certificate may become another one, or end, without any change of the configuration.
func TestEnforcedByTime(t *testing.T) {
	t.Parallel()
	run(t, roles(admin), func(w *world) {
		config, cert := charts(t)
		r := w.join(func(r *replica, o *live.Options) {
			r.cert = cert
			o.Webhook = live.Webhook{Namespace: "awsauth-guard", Name: "awsauth-guard", Path: "/validate-aws-auth", BypassGroup: "awsauth-guard:bypass"}
		})
		r.Configured(config)
		want(t, "at first", r.value("enforced"), 1.0)
		after(25 * time.Hour)
		want(t, "when the certificate has ended", r.value("enforced"), 0.0)
		want(t, "Events", r.event(live.NotEnforced), 1)
	})
}

// What was found before this replica led is told when it does.
func TestNotEnforcedBeforeItLed(t *testing.T) {
	t.Parallel()
	run(t, roles(admin), func(w *world) {
		first, second := w.join(), w.join()
		first.Configured(nil)
		second.Configured(nil)
		after(time.Minute)
		want(t, "Events", []int{first.event(live.NotEnforced), second.event(live.NotEnforced)}, []int{1, 0})
		second.lead()
		after(time.Minute)
		want(t, "Events of the next leader", []int{first.event(live.NotEnforced), second.event(live.NotEnforced)}, []int{1, 1})
	})
}

// A configuration that cannot be read for ten minutes is not known any more.
func TestConfigurationIsLost(t *testing.T) {
	t.Parallel()
	run(t, roles(admin), func(w *world) {
		config, cert := charts(t)
		var lost atomic.Pointer[time.Time]
		lost.Store(new(time.Time))
		r := w.join(func(r *replica, o *live.Options) {
			r.cert = cert
			o.Webhook = live.Webhook{Namespace: "awsauth-guard", Name: "awsauth-guard", Path: "/validate-aws-auth", BypassGroup: "awsauth-guard:bypass"}
			o.ConfigurationLost = func() time.Time { return *lost.Load() }
		})
		r.Configured(config)
		lost.Store(new(time.Now()))
		after(9 * time.Minute)
		want(t, "after 9 minutes", r.value("enforced"), 1.0)
		after(2 * time.Minute)
		want(t, "after 11 minutes", r.value("enforced"), -1.0)
		if text := r.String(); !strings.Contains(text, "not known") {
			t.Errorf("it says %q", text)
		}
		lost.Store(new(time.Time))
		after(time.Minute)
		want(t, "when it can be read again", r.value("enforced"), 1.0)

		r.Configured(nil)
		lost.Store(new(time.Now()))
		after(11 * time.Minute)
		r.Configured(config)
		lost.Store(new(time.Time))
		after(time.Minute)
		want(t, "Events of one that is right when it is read again", []int{r.event(live.NotEnforced), r.event(live.Enforced)}, []int{1, 1})
	})
}

var errRefused = apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "aws-auth",
	errors.New(`admission webhook "aws-auth.awsauth-guard.io" denied the request: data: … [deleted]`))

// The self-test proves nothing else than that somebody else than us has answered.
func TestSelfTest(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		mode     validate.Mode
		stored   map[string]string
		warnings []string
		err      error
		want     float64
	}{
		{"refused", validate.Enforce, roles(admin), nil, errRefused, 1},
		{"admitted", validate.Enforce, roles(admin), nil, nil, 0},
		{"only warned of", validate.Enforce, roles(admin), []string{"data: … [deleted]"}, nil, 0},
		{"warned of in mode warn", validate.WarnMode, roles(admin), []string{"data: … [deleted]"}, nil, 1},
		{"not warned of", validate.WarnMode, roles(admin), []string{"other"}, nil, 0},
		{"by another webhook", validate.Enforce, roles(admin), nil, errors.New(`admission webhook "other" denied the request`), 1},
		{"not answered", validate.Enforce, roles(admin), nil, errors.New(`Internal error occurred: failed calling webhook "aws-auth.awsauth-guard.io": failed to call webhook: Post "https://x": EOF`), 0},
		{"another one is not answered", validate.Enforce, roles(admin), nil, errors.New(`Internal error occurred: failed calling webhook "other": failed to call webhook: Post "https://x": EOF`), 1},
		{"not found", validate.Enforce, roles(admin), nil, apierrors.NewNotFound(schema.GroupResource{}, "aws-auth"), 1},
		{"nobody is mapped", validate.Enforce, roles("[]"), nil, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, test.stored, func(w *world) {
				config, cert := charts(t)
				r := w.join(func(r *replica, o *live.Options) {
					r.cert, r.settings.SelfTest, r.policy.Mode = cert, true, test.mode
					r.refuses = func() ([]string, error) { return test.warnings, test.err }
					if len(test.stored["mapRoles"]) < 5 {
						r.policy.Protected = nil
					}
					o.Webhook = live.Webhook{Namespace: "awsauth-guard", Name: "awsauth-guard", Path: "/validate-aws-auth", BypassGroup: "awsauth-guard:bypass"}
				})
				r.Configured(config)
				after(20 * time.Second)
				want(t, "tested once", []float64{float64(r.count("tests")), r.value("enforced")}, []float64{1, 1})
				r.Reconfigured() // tests again, and too soon to be believed
				after(5 * time.Second)
				want(t, "tested twice", []float64{float64(r.count("tests")), r.value("enforced")}, []float64{2, 1})
				after(60 * time.Second)
				want(t, "enforced", r.value("enforced"), test.want)
				want(t, "the own name", r.Self(), "guard")
				tests := r.count("tests")
				if tests < 3 || tests > 5 {
					t.Errorf("%d tests", tests)
				}
				r.change(func() { r.refuses = func() ([]string, error) { return nil, errRefused } })
				after(40 * time.Second)
				want(t, "enforced again", r.value("enforced"), 1.0)
				r.change(func() { r.settings.SelfTest = false })
				tests = r.count("tests")
				after(5 * time.Minute)
				if got := r.count("tests"); got > tests+1 {
					t.Errorf("%d tests although they are off", got-tests)
				}
			})
		})
	}
}
