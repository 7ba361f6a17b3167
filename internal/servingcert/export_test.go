package servingcert

import (
	"context"
	"crypto/x509"
	"math/big"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// Reissue returns another CA with the same key. It calls change before it signs.
func (a *Authority) Reissue(change func(*x509.Certificate)) (*Authority, error) {
	template := *a.Cert
	template.SerialNumber = new(big.Int).Add(a.Cert.SerialNumber, big.NewInt(1))
	change(&template)
	cert, err := create(&template, &template, a.key, a.key)
	return &Authority{cert, a.key}, err
}

// Reconcile reconciles once, after the watch has shown these objects.
func (m *SelfManaged) Reconcile(ctx context.Context, secret *corev1.Secret, config *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	m.api.secret.object.Store(secret)
	m.api.config.object.Store(config)
	m.api.secret.seen.Store(true)
	m.reconcile(ctx)
	return nil
}
