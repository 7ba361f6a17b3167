//go:build e2e

package e2e_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestSecretAndIgnore installs a release with a certificate from a Secret (certs.mode secret) and with failurePolicy
// Ignore. With this policy, the chart also installs the backstop.
func TestSecretAndIgnore(t *testing.T) {
	alone(t)
	ca := newCA(t)
	bundle := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(bundle, ca.pem, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "namespace", namespace)
	if _, err := admin.CoreV1().Secrets(namespace).Create(t.Context(), ca.leaf(t), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_ = t.Run("install", func(t *testing.T) {
		install(t, "secret", "--set", "certs.mode=secret,certs.secret.name=given,webhook.failurePolicy=Ignore", "--set-file", "certs.secret.caBundle="+bundle)
	}) &&
		t.Run("edits", backstoppedEdits) &&
		t.Run("helm test", helmTest) &&
		t.Run("memory", memory) &&
		t.Run("rotate the leaf", func(t *testing.T) { rotateLeaf(t, ca) }) &&
		t.Run("no pod", backstop) &&
		t.Run("uninstall", uninstall)
}

// backstoppedEdits is like edits, for a release with the backstop. The guard refuses an edit. The backstop refuses a deletion, because
// the API server evaluates policies before it calls webhooks.
func backstoppedEdits(t *testing.T) {
	kubectl(t, "annotate", "configmap", "aws-auth", "-n", "kube-system", "e2e.test/note=harmless")
	kubectlFails(t, refusal, "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch", unreadable)
	kubectlFails(t, "[deleted]", "delete", "configmap", "aws-auth", "-n", "kube-system")
	otherConfigMaps(t)
}

// rotateLeaf writes a new serving certificate of the same CA into the Secret while a client edits aws-auth. It waits until every pod
// serves the certificate. No review is lost.
func rotateLeaf(t *testing.T, ca *authority) {
	t.Helper()
	pods := readyPods(t)
	e := edit(t)
	e.more(50)
	secret := ca.leaf(t)
	if _, err := admin.CoreV1().Secrets(namespace).Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantServing(t, pods, secret.Data[corev1.TLSCertKey])
	e.finishWithout("rotation of the leaf in a Secret")
}

// backstop makes changes in a cluster without pods of the webhook. The backstop refuses the most harmful ones, and the API server
// admits all others, even a text that the authenticator can't parse.
func backstop(t *testing.T) {
	kubectl(t, "scale", "deployment", release, "--namespace", namespace, "--replicas=0")
	eventually(t, late, "no pod answers", func(ctx context.Context) error {
		if isRefused(ctx) == nil {
			return errors.New("a pod still answers")
		}
		return nil
	})
	kubectl(t, "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch", `{"data":{"mapUsers":"- ["}}`)
	kubectlFails(t, "[deleted]", "delete", "configmap", "aws-auth", "-n", "kube-system")
	for _, worst := range []string{
		`{"data":{"mapRoles":""}}`,
		`{"data":{"mapRoles":null}}`,
		`{"immutable":true}`,
		`{"data":{"mapRoles":"- rolearn: arn:aws:iam::111122223333:role/nodes\n  username: nodes\n"}}`, // the protected principal has no entry
	} {
		kubectlFails(t, "ValidatingAdmissionPolicy", "patch", "configmap", "aws-auth", "-n", "kube-system", "--type", "merge", "--patch", worst)
	}
	otherConfigMaps(t)
	kubectl(t, "annotate", "configmap", "aws-auth", "-n", "kube-system", "e2e.test/eks=yes", "--as=eks:node-manager", "--as-group=system:masters")
	kubectl(t, "delete", "configmap", "aws-auth", "-n", "kube-system", "--as=me", "--as-group=system:masters", "--as-group=awsauth-guard:bypass")
	if _, err := awsAuth().Create(t.Context(), good(), metav1.CreateOptions{}); err != nil {
		t.Errorf("with failurePolicy Ignore and no pod: %v", err)
	}
}

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

func newCA(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// leaf signs a certificate for the Service, and returns the Secret with it.
func (a *authority) leaf(t *testing.T) *corev1.Secret {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{release + "." + namespace + ".svc"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(12 * time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "given", Namespace: namespace},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
			corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
		},
	}
}
