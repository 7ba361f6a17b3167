package servingcert

import (
	"context"
	"crypto/x509"
	"math/big"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// Reissue returns another CA with the same key. change can modify the certificate before Reissue signs it.
func (a *Authority) Reissue(change func(*x509.Certificate)) (*Authority, error) {
	template := *a.Cert
	template.SerialNumber = new(big.Int).Add(a.Cert.SerialNumber, big.NewInt(1))
	change(&template)
	cert, err := create(&template, &template, a.key, a.key)
	return &Authority{cert, a.key}, err
}

// Reconcile lets the watch receive these objects and reconciles once.
func (m *SelfManaged) Reconcile(ctx context.Context, secret *corev1.Secret, config *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	m.api.secret.object.Store(secret)
	m.api.config.object.Store(config)
	m.api.secret.seen.Store(true)
	m.reconcile(ctx)
	return nil
}
