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

// Webhook is what a ValidatingWebhookConfiguration must call for this process to be asked.
type Webhook struct {
	// Namespace and Name are those of the Service. Where they are empty, every Service is right, and the certificate
	// is not verified by its name.
	Namespace, Name string
	// Port is the Service's; 0 is 443, the port of the chart's Service.
	Port int32
	// Path is where changes are evaluated.
	Path string
	// BypassGroup is the group whose members the API server does not ask about. Empty is none.
	BypassGroup string
}

// defaultPort is what the API server takes where a configuration names none (admissionregistration.k8s.io/v1,
// ServiceReference).
const defaultPort = 443

// view is all that decides whether the API server asks this process.
type view struct {
	webhook Webhook
	config  *admissionregistrationv1.ValidatingWebhookConfiguration // nil: there is none
	labels  map[string]string                                       // of the stored aws-auth
	present bool                                                    // aws-auth is stored
	cert    *tls.Certificate                                        // that is served; nil: none yet
	now     time.Time
}

// find returns the webhook that asks this process about every change of aws-auth, or why none certainly does.
func (v *view) find() (*admissionregistrationv1.ValidatingWebhook, error) {
	if v.config == nil {
		return nil, errors.New("there is no ValidatingWebhookConfiguration")
	}
	err := fmt.Errorf("no webhook of it calls the path %s of the Service %s/%s", v.webhook.Path, v.webhook.Namespace, v.webhook.Name)
	for i := range v.config.Webhooks {
		hook := &v.config.Webhooks[i]
		if !v.isOurs(&hook.ClientConfig) {
			continue
		}
		if err = v.check(hook); err == nil {
			return hook, nil
		}
		err = fmt.Errorf("the webhook %s: %w", hook.Name, err)
	}
	return nil, err
}

func (v *view) isOurs(c *admissionregistrationv1.WebhookClientConfig) bool {
	if c.Service == nil || c.Service.Path == nil || *c.Service.Path != v.webhook.Path {
		return false
	}
	return v.webhook.Name == "" || c.Service.Name == v.webhook.Name && c.Service.Namespace == v.webhook.Namespace
}

// check says what keeps a webhook from being asked about every change, as the API server decides it
// (kubernetes v1.36.3, apiserver/pkg/admission/plugin/webhook: generic/webhook.go, ShouldCallHook).
// failurePolicy and matchPolicy make no difference while this process answers.
func (v *view) check(hook *admissionregistrationv1.ValidatingWebhook) error {
	called, port := int32(defaultPort), cmp.Or(v.webhook.Port, defaultPort)
	if p := hook.ClientConfig.Service.Port; p != nil {
		called = *p
	}
	if called != port {
		return fmt.Errorf("it calls the port %d of the Service, which has %d", called, port)
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

// checkNamespaceSelector wants kube-system to be selected whatever other labels it has: they are not known here.
func checkNamespaceSelector(s *metav1.LabelSelector) error {
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return fmt.Errorf("its namespaceSelector cannot be read: %w", err)
	}
	if s == nil {
		return errors.New("its namespaceSelector selects nothing")
	}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		if r.Key() != corev1.LabelMetadataName {
			return fmt.Errorf("its namespaceSelector asks for the label %s, which kube-system may or may not have as it asks", r.Key())
		}
	}
	if !selector.Matches(labels.Set{corev1.LabelMetadataName: metav1.NamespaceSystem}) {
		return errors.New("its namespaceSelector does not select kube-system")
	}
	return nil
}

func (v *view) checkObjectSelector(s *metav1.LabelSelector) error {
	if s == nil {
		return errors.New("its objectSelector selects nothing")
	}
	selector, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case err != nil:
		return fmt.Errorf("its objectSelector cannot be read: %w", err)
	case selector.Empty():
		return nil
	case !v.present:
		return errors.New("its objectSelector asks for labels, and a new aws-auth may have none")
	case !selector.Matches(labels.Set(v.labels)):
		return errors.New("its objectSelector does not select aws-auth")
	}
	return nil
}

// The conditions that the chart renders: aws-auth, not by EKS, and not by a member of the group for emergencies.
var (
	space     = regexp.MustCompile(`\s+`)
	isAWSAuth = `(has(request.name) ? request.name : oldObject != null ? oldObject.metadata.name : "") == "aws-auth"`
	notEKS    = `!(has(request.userInfo.username) && request.userInfo.username.startsWith("eks:"))`
	notBypass = `!(has(request.userInfo.groups) && %q in request.userInfo.groups)`
)

func (v *view) checkCondition(c *admissionregistrationv1.MatchCondition) error {
	expression := strings.TrimSpace(space.ReplaceAllString(c.Expression, " "))
	if expression == isAWSAuth || expression == notEKS {
		return nil
	}
	if group := v.webhook.BypassGroup; group != "" && expression == fmt.Sprintf(notBypass, group) {
		return nil
	}
	return fmt.Errorf("its matchCondition %s is not one of the chart's, and may let changes pass", c.Name)
}

// checkBundle verifies what is served as the API server does.
func (v *view) checkBundle(bundle []byte) error {
	if len(bundle) == 0 {
		return errors.New("its caBundle is empty, and the API server's own roots are not known here")
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return errors.New("its caBundle holds no certificate")
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
		// Its own text holds the time, and would be another reason every time.
		return errors.New("the certificate that is served, or its CA, has expired or is not valid yet")
	}
	if err != nil {
		return fmt.Errorf("its caBundle does not vouch for the certificate that is served: %w", err)
	}
	return nil
}
