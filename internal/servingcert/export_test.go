package servingcert

import (
	"context"
	"crypto/x509"
	"math/big"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// Again is another CA with the same key, changed before it is signed.
func (a *Authority) Again(change func(*x509.Certificate)) (*Authority, error) {
	template := *a.Cert
	template.SerialNumber = new(big.Int).Add(a.Cert.SerialNumber, big.NewInt(1))
	change(&template)
	cert, err := create(&template, &template, a.key, a.key)
	return &Authority{cert, a.key}, err
}

// Look looks once, after the watch has shown these objects.
func (m *SelfManaged) Look(ctx context.Context, secret *corev1.Secret, config *admissionregistrationv1.ValidatingWebhookConfiguration) error {
	m.cluster.secret.object.Store(secret)
	m.cluster.config.object.Store(config)
	m.cluster.secret.seen.Store(true)
	m.look(ctx)
	return nil
}
