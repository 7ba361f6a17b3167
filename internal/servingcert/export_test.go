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
	var secrets, configs []any
	if secret != nil {
		secrets = append(secrets, secret)
	}
	if config != nil {
		configs = append(configs, config)
	}
	if err := m.cluster.secret.store.Replace(secrets, ""); err != nil {
		return err
	}
	if err := m.cluster.config.store.Replace(configs, ""); err != nil {
		return err
	}
	m.cluster.secret.synced = func() bool { return true }
	m.look(ctx)
	return nil
}
