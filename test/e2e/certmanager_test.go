//go:build e2e

package e2e_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The Certificates of certs.mode cert-manager, and the Secrets in which cert-manager keeps their keys.
const (
	leafCertificate = release
	leafSecret      = release + "-tls"
	caCertificate   = release + "-issuing-ca"
	caSecret        = release + "-issuing-ca"
)

// TestCertManager installs a release with certs.mode cert-manager, beside a real cert-manager. No review is lost while
// cert-manager renews the certificates, even if it has to make a new CA.
func TestCertManager(t *testing.T) {
	alone(t)
	startCertManager(t)
	t.Cleanup(func() { clean(t) }) // Helm can delete the Certificates only if their definition is still there
	_ = t.Run("install", func(t *testing.T) { install(t, "cert-manager", "--set", "certs.mode=cert-manager") }) &&
		t.Run("edits", edits) &&
		t.Run("helm test", helmTest) &&
		t.Run("renew the leaf", renewLeaf) &&
		t.Run("renew the CA", renewCA) &&
		t.Run("withdraw the CA", withdrawCA) &&
		t.Run("to self-managed", certManagerToSelfManaged) &&
		t.Run("uninstall", uninstall)
}

// renewLeaf makes cert-manager renew the serving certificate with another key. No review is lost.
func renewLeaf(t *testing.T) {
	pods := readyPods(t)
	old := secretData(t.Context(), t, leafSecret)
	e := edit(t)
	e.more(50)
	renew(t, leafCertificate)
	now := newLeaf(t, pods, old)
	if bytes.Equal(now[corev1.TLSPrivateKeyKey], old[corev1.TLSPrivateKeyKey]) {
		t.Error("the new certificate has the key of the old one")
	}
	e.finishWithout("cert-manager renews the leaf")
}

// renewCA makes cert-manager renew the certificate of the CA, which keeps its key, and then the serving certificate, which the new CA
// signs. The caBundle has both certificates of the CA. No review is lost.
func renewCA(t *testing.T) {
	pods := readyPods(t)
	oldCA, oldLeaf := secretData(t.Context(), t, caSecret), secretData(t.Context(), t, leafSecret)
	e := edit(t)
	e.more(50)
	renew(t, caCertificate)
	newCA := newCertificate(t, caSecret, oldCA)
	if !bytes.Equal(newCA[corev1.TLSPrivateKeyKey], oldCA[corev1.TLSPrivateKeyKey]) {
		t.Error("the new CA has another key than the old one")
	}
	e.more(50)
	renew(t, leafCertificate)
	newLeaf(t, pods, oldLeaf)
	wantBundles(t, oldCA[corev1.TLSCertKey], newCA[corev1.TLSCertKey])
	e.finishWithout("cert-manager renews the CA")
}

// withdrawCA takes the steps of docs/how-to/certificates.md to withdraw a CA whose key has leaked. It deletes the Secrets
// with the CA and with the serving certificate, so that cert-manager makes a CA with another key. Then it writes a caBundle
// with only this CA. The cainjector doesn't add the previous CAs again.
func withdrawCA(t *testing.T) {
	pods := readyPods(t)
	oldCA, oldLeaf := secretData(t.Context(), t, caSecret), secretData(t.Context(), t, leafSecret)
	e := edit(t)
	e.more(50)
	kubectl(t, "delete", "secret", caSecret, leafSecret, "--namespace", namespace)
	deleted := time.Now()
	newCA := newCertificate(t, caSecret, oldCA)
	leaf := newCertificate(t, leafSecret, oldLeaf)
	figure("%-34s %.1f s", "  both Secrets are there again after", time.Since(deleted).Seconds())
	if bytes.Equal(newCA[corev1.TLSPrivateKeyKey], oldCA[corev1.TLSPrivateKeyKey]) {
		t.Error("the new CA has the key of the old one")
	}
	newLeaf(t, pods, oldLeaf)
	wantBundles(t, oldCA[corev1.TLSCertKey], newCA[corev1.TLSCertKey])
	e.finishWithout("both Secrets deleted")

	e = edit(t)
	e.more(50)
	// One request changes both webhooks. If a request changed only one, the cainjector could overwrite the other with the
	// caBundle that it had read earlier.
	ca := base64.StdEncoding.EncodeToString(leaf[corev1.ServiceAccountRootCAKey])
	kubectl(t, "patch", "validatingwebhookconfiguration", release, "--type", "json", "--patch",
		`[{"op":"replace","path":"/webhooks/0/clientConfig/caBundle","value":"`+ca+`"},
		{"op":"replace","path":"/webhooks/1/clientConfig/caBundle","value":"`+ca+`"}]`)
	e.more(300) // enough edits, so that the API server opens connections with the new caBundle
	renew(t, leafCertificate)
	newLeaf(t, pods, leaf)
	for _, bundle := range webhookBundles(t.Context(), t, release) {
		if !bytes.Equal(bundle, newCA[corev1.TLSCertKey]) {
			t.Errorf("caBundle should have only the new CA, and is\n%s", bundle)
		}
	}
	e.finishWithout("previous CAs withdrawn")
}

// certManagerToSelfManaged changes certs.mode to self-managed. The leader keeps cert-manager's CA in caBundle until all
// pods serve a certificate of the new CA.
func certManagerToSelfManaged(t *testing.T) {
	before := readyPods(t)
	e := edit(t)
	e.more(50)
	upgrade(t)
	gone(t, before)
	e.finishWithout("cert-manager to self-managed")
}

// renew makes cert-manager issue a certificate again. It adds the condition Issuing to the status of the Certificate, as
// `cmctl renew` does.
func renew(t *testing.T, certificate string) {
	t.Helper()
	status := fmt.Sprintf(`{"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": %q, "namespace": %q},
		"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "a test renews it"}]}}`, certificate, namespace)
	if _, err := run(t, status, kubectlPath, "apply", "--server-side", "--force-conflicts", "--subresource", "status", "--filename", "-"); err != nil {
		t.Fatal(err)
	}
}

// newCertificate waits until a Secret has another certificate than old, and returns the data of the Secret.
func newCertificate(t *testing.T, secret string, old map[string][]byte) (data map[string][]byte) {
	t.Helper()
	eventually(t, soon, secret+" has a new certificate", func(ctx context.Context) error {
		now, err := admin.CoreV1().Secrets(namespace).Get(ctx, secret, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if data = now.Data; len(data[corev1.TLSCertKey]) == 0 || bytes.Equal(data[corev1.TLSCertKey], old[corev1.TLSCertKey]) {
			return errors.New("it has the old certificate")
		}
		return nil
	})
	return data
}

// newLeaf waits until cert-manager has written another serving certificate than old, each pod serves it, and each
// caBundle has its CA. It returns the data of the Secret.
func newLeaf(t *testing.T, pods []corev1.Pod, old map[string][]byte) map[string][]byte {
	t.Helper()
	data := newCertificate(t, leafSecret, old)
	wantServing(t, pods, data[corev1.TLSCertKey])
	wantBundles(t, data[corev1.ServiceAccountRootCAKey])
	return data
}

// wantBundles waits until the cainjector has written the CAs into each caBundle.
func wantBundles(t *testing.T, cas ...[]byte) {
	t.Helper()
	eventually(t, soon, "each caBundle has the CAs", func(ctx context.Context) error {
		for _, bundle := range webhookBundles(ctx, t, release) {
			for _, ca := range cas {
				if !bytes.Contains(bundle, ca) {
					return fmt.Errorf("caBundle is\n%s", bundle)
				}
			}
		}
		return nil
	})
}

// secretData returns the data of a Secret of the release.
func secretData(ctx context.Context, t *testing.T, name string) map[string][]byte {
	t.Helper()
	secret, err := admin.CoreV1().Secrets(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}
