package enforcement

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Webhook describes the enforcing webhook that the ValidatingWebhookConfiguration must have for this process.
type Webhook struct {
	// Namespace and Name are the namespace and the name of the Service. If they are empty, the check accepts every Service and
	// every name in the certificate.
	Namespace, Name string
	// Port is the port of the Service. 0 means 443, which is the port in the chart.
	Port int32
	// Path is the path of the enforcing webhook.
	Path string
	// BypassGroup is the group whose members the matchConditions of the webhook may exclude. Empty means that they may
	// exclude no group.
	BypassGroup string
}

// defaultPort is the API server's default for the port of the Service (admissionregistration.k8s.io/v1, ServiceReference).
const defaultPort = 443

// check is the input for a check of the registration.
type check struct {
	webhook Webhook
	config  *admissionregistrationv1.ValidatingWebhookConfiguration // nil if it doesn't exist
	labels  map[string]string                                       // the labels of the stored aws-auth
	present bool                                                    // aws-auth exists
	cert    *tls.Certificate                                        // the serving certificate; nil if there is none yet
	now     time.Time
}

// matchingWebhook returns the webhook by which the API server calls this process for every change of aws-auth. If it can't
// prove that there is such a webhook, it returns an error with the reason.
func (v *check) matchingWebhook() (*admissionregistrationv1.ValidatingWebhook, error) {
	if v.config == nil {
		return nil, errors.New("there is no ValidatingWebhookConfiguration")
	}
	err := fmt.Errorf("no webhook in it calls the path %s of the Service %s/%s", v.webhook.Path, v.webhook.Namespace, v.webhook.Name)
	for i := range v.config.Webhooks {
		hook := &v.config.Webhooks[i]
		if !v.callsThisProcess(&hook.ClientConfig) {
			continue
		}
		if err = v.checkWebhook(hook); err == nil {
			return hook, nil
		}
		err = fmt.Errorf("the webhook %s: %w", hook.Name, err)
	}
	return nil, err
}

func (v *check) callsThisProcess(c *admissionregistrationv1.WebhookClientConfig) bool {
	if c.Service == nil || c.Service.Path == nil || *c.Service.Path != v.webhook.Path {
		return false
	}
	return v.webhook.Name == "" || c.Service.Name == v.webhook.Name && c.Service.Namespace == v.webhook.Namespace
}

// checkWebhook returns nil if the API server certainly calls a webhook for every change of aws-auth. Otherwise the error is
// the reason. checkWebhook follows the logic of the API server (kubernetes v1.36.3, apiserver/pkg/admission/plugin/webhook:
// generic/webhook.go, ShouldCallHook). It ignores failurePolicy and matchPolicy, which have no effect while this process
// answers.
func (v *check) checkWebhook(hook *admissionregistrationv1.ValidatingWebhook) error {
	called, port := int32(defaultPort), cmp.Or(v.webhook.Port, defaultPort)
	if p := hook.ClientConfig.Service.Port; p != nil {
		called = *p
	}
	if called != port {
		return fmt.Errorf("it calls port %d of the Service, which has port %d", called, port)
	}
	for _, operation := range []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update, admissionregistrationv1.Delete} {
		if !slices.ContainsFunc(hook.Rules, func(r admissionregistrationv1.RuleWithOperations) bool { return covers(&r, operation) }) {
			return fmt.Errorf("its rules do not cover %s of ConfigMaps", operation)
		}
	}
	if err := checkNamespaceSelector(hook.NamespaceSelector); err != nil {
		return err
	}
	if err := v.checkObjectSelector(hook.ObjectSelector); err != nil {
		return err
	}
	for i := range hook.MatchConditions {
		if err := v.checkCondition(&hook.MatchConditions[i]); err != nil {
			return err
		}
	}
	return v.checkBundle(hook.ClientConfig.CABundle)
}

func covers(r *admissionregistrationv1.RuleWithOperations, operation admissionregistrationv1.OperationType) bool {
	has := func(list []string, values ...string) bool {
		return slices.ContainsFunc(list, func(s string) bool { return slices.Contains(values, s) })
	}
	return (slices.Contains(r.Operations, operation) || slices.Contains(r.Operations, admissionregistrationv1.OperationAll)) &&
		has(r.APIGroups, "", "*") && has(r.APIVersions, "v1", "*") && has(r.Resources, "configmaps", "*", "*/*") &&
		(r.Scope == nil || *r.Scope != admissionregistrationv1.ClusterScope)
}

// checkNamespaceSelector returns nil if the selector certainly selects kube-system. This process knows only one label of the
// namespace: kubernetes.io/metadata.name. So a selector with any other label is an error.
func checkNamespaceSelector(s *metav1.LabelSelector) error {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return fmt.Errorf("its namespaceSelector is invalid: %w", err)
	}
	if s == nil {
		return errors.New("its namespaceSelector selects nothing")
	}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		if r.Key() != corev1.LabelMetadataName {
			return fmt.Errorf("its namespaceSelector requires the label %s, which kube-system may not have", r.Key())
		}
	}
	if !selector.Matches(labels.Set{corev1.LabelMetadataName: metav1.NamespaceSystem}) {
		return errors.New("its namespaceSelector does not select kube-system")
	}
	return nil
}

func (v *check) checkObjectSelector(s *metav1.LabelSelector) error {
	if s == nil {
		return errors.New("its objectSelector selects nothing")
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		return fmt.Errorf("its objectSelector is invalid: %w", err)
	case selector.Empty():
		return nil
	case !v.present:
		return errors.New("its objectSelector requires labels, which a new aws-auth may not have")
	case !selector.Matches(labels.Set(v.labels)):
		return errors.New("its objectSelector does not select aws-auth")
	}
	return nil
}

// The expressions of the matchConditions in the chart. isAWSAuth selects aws-auth. notEKS excludes requests of EKS, and
// notBypass excludes requests of the bypass group. space matches the white space that checkCondition ignores.
var (
	space     = regexp.MustCompile(`\s+`)
	isAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`
	notEKS    = `!(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))`
	notBypass = `!(has(request.userInfo.groups) && %q in request.userInfo.groups)`
)

func (v *check) checkCondition(c *admissionregistrationv1.MatchCondition) error {
	expression := strings.TrimSpace(space.ReplaceAllString(c.Expression, " "))
	if expression == isAWSAuth || expression == notEKS {
		return nil
	}
	if group := v.webhook.BypassGroup; group != "" && expression == fmt.Sprintf(notBypass, group) {
		return nil
	}
	return fmt.Errorf("its matchCondition %s is not one of the chart's conditions and may exclude changes", c.Name)
}

// checkBundle verifies the serving certificate with the CAs of a caBundle, as the API server does.
func (v *check) checkBundle(bundle []byte) error {
	if len(bundle) == 0 {
		return errors.New("its caBundle is empty, so the API server uses its own roots, which the guard doesn't know")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return errors.New("its caBundle contains no certificate")
	}
	if v.cert == nil || v.cert.Leaf == nil {
		return errors.New("no certificate is served yet")
	}
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool(), CurrentTime: v.now}
	for _, der := range v.cert.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			options.Intermediates.AddCert(cert)
		}
	}
	if v.webhook.Name != "" {
		options.DNSName = v.webhook.Name + "." + v.webhook.Namespace + ".svc"
	}
	_, err := v.cert.Leaf.Verify(options)
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		// The error of crypto/x509 contains the time, so the log would have a new reason at each check.
		return errors.New("the serving certificate or its CA has expired or is not valid yet")
	}
	if err != nil {
		return fmt.Errorf("its caBundle does not trust the serving certificate: %w", err)
	}
	return nil
}
