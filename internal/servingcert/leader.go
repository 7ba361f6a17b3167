package servingcert

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// callTimeout bounds one look of the leader at the API server, with all that it writes. It is
// shorter than the time from the last attempt to renew a lease to its end, which is 5 s.
const callTimeout = 4 * time.Second

// objects are what is stored; nil is what is not.
type objects struct {
	secret *corev1.Secret
	config *admissionregistrationv1.ValidatingWebhookConfiguration
}

// lead reads both objects and writes what they should hold. It returns what is stored then, or
// the ones that were seen before where that cannot be read.
func (m *SelfManaged) lead(ctx context.Context, seen objects) (objects, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	config, err := m.cluster.readConfig(ctx, m.o.WebhookConfiguration)
	if err != nil {
		return seen, err
	}
	secret, err := m.cluster.readSecret(ctx, m.o.Secret)
	if err != nil {
		return seen, err
	}
	stored := objects{secret, config}
	if secret == nil {
		err = fmt.Errorf("there is no Secret %s to keep the CA in: create an empty one with kubectl -n %s create secret generic %s",
			m.o.Secret, m.o.Secret.Namespace, m.o.Secret.Name)
	} else {
		stored.secret, err = m.keepSecret(ctx, secret, bundlesOf(config))
	}
	if apierrors.IsConflict(err) {
		return stored, nil // an event of the other's change is on its way
	}
	var bundleErr error
	stored.config, bundleErr = m.keepBundles(ctx, config)
	if apierrors.IsConflict(bundleErr) {
		bundleErr = nil
	}
	return stored, errors.Join(err, bundleErr)
}

// keepSecret writes what the Secret should hold, if that is something else.
func (m *SelfManaged) keepSecret(ctx context.Context, secret *corev1.Secret, live [][]*x509.Certificate) (*corev1.Secret, error) {
	now := m.now()
	state, problem := DecodeState(secret.Data)
	m.memory.Observe(now, state, live)
	if !m.led {
		m.memory.Lead(now)
		m.led = true
	}
	planned, step, err := Plan(Situation{Now: now, State: state, Rotate: secret.Annotations[RotateAnnotation], Memory: &m.memory}, m.o.Timing)
	if err != nil {
		return secret, err
	}
	data, err := EncodeState(planned, secret.Data)
	if err != nil {
		return secret, err
	}
	if !maps.EqualFunc(data, secret.Data, bytes.Equal) {
		if secret, err = m.cluster.writeSecret(ctx, secret, data); err != nil {
			return secret, err
		}
		if step == StepNone {
			step = StepClean
		}
		m.logStep(step, planned, problem)
	}
	m.memory.Know(now, planned)
	return secret, nil
}

// logStep says what became of the CAs, and what was wrong with them before.
func (m *SelfManaged) logStep(step Step, s State, problem error) {
	attrs := []any{"step", string(step), "secret", m.o.Secret.String()}
	if s.Current != nil {
		attrs = append(attrs, "current", fingerprint(s.Current.Cert), "current_not_after", s.Current.Cert.NotAfter)
	}
	if s.Next != nil {
		attrs = append(attrs, "next", fingerprint(s.Next.Cert), "next_not_after", s.Next.Cert.NotAfter)
	}
	if len(s.Previous) > 0 {
		attrs = append(attrs, "previous", fingerprints(s.Previous))
	}
	if problem != nil {
		attrs = append(attrs, "err", problem.Error())
	}
	m.log.Info("the serving CAs are changed", attrs...)
}

// keepBundles makes the caBundle of every webhook what it should be.
func (m *SelfManaged) keepBundles(ctx context.Context, config *admissionregistrationv1.ValidatingWebhookConfiguration) (*admissionregistrationv1.ValidatingWebhookConfiguration, error) {
	certs := m.memory.Bundle(m.now())
	if config == nil || len(certs) == 0 {
		return config, nil
	}
	text := EncodeCertificates(certs...)
	same := true
	for i := range config.Webhooks {
		same = same && bytes.Equal(config.Webhooks[i].ClientConfig.CABundle, text)
	}
	if same {
		return config, nil
	}
	written, err := m.cluster.writeBundles(ctx, config, text)
	if err != nil {
		return config, err
	}
	m.log.Info("the caBundle is written", "webhook_configuration", config.Name, "webhooks", len(config.Webhooks), "cas", fingerprints(certs))
	return written, nil
}
