//go:build e2e

package e2e_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestModes changes certs.mode from self-managed to secret and back, by the steps of docs/how-to/certificates.md.
func TestModes(t *testing.T) {
	alone(t)
	install(t, "self-managed")
	_ = t.Run("to secret", toSecret) &&
		t.Run("to self-managed", toSelfManaged)
}

// toSecret changes certs.mode to secret without a lost review. It first sets a caBundle with the CAs of both modes,
// and then a caBundle with only the new CA.
func toSecret(t *testing.T) {
	ca := newCA(t)
	if _, err := admin.CoreV1().Secrets(namespace).Create(t.Context(), ca.leaf(t), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	live, err := base64.StdEncoding.DecodeString(kubectl(t, "get", "validatingwebhookconfiguration", release, "--output", "jsonpath={.webhooks[0].clientConfig.caBundle}"))
	if err != nil || len(live) == 0 {
		t.Fatalf("caBundle %q: %v", live, err)
	}
	bundle := func(text []byte) []string {
		file := filepath.Join(t.TempDir(), "bundle.crt")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return []string{"--set", "certs.mode=secret,certs.secret.name=given", "--set-file", "certs.secret.caBundle=" + file}
	}
	before := readyPods(t)
	e := edit(t)
	e.more(50)
	upgrade(t, bundle(append(live, ca.pem...))...)
	gone(t, before)
	e.finishWithout("certs.mode to secret, both CAs")

	e = edit(t)
	e.more(50)
	upgrade(t, bundle(ca.pem)...)
	e.more(300) // enough edits, so that the API server opens connections with the new caBundle
	e.finishWithout("certs.mode secret, its CA alone")
}

// toSelfManaged changes certs.mode back to self-managed. The caBundle is empty until the first new pod has written it. During this
// time, with failurePolicy Ignore, the API server admits every edit, even those that the guard would refuse. At the end,
// toSelfManaged sets failurePolicy Fail again, without a lost review.
func toSelfManaged(t *testing.T) {
	before := readyPods(t)
	e := edit(t)
	e.more(50)
	upgrade(t, "--set", "webhook.failurePolicy=Ignore")
	gone(t, before)
	lost := e.finish("certs.mode to self-managed, Ignore")
	for _, l := range lost {
		if !strings.Contains(l.err.Error(), admitted) {
			t.Errorf("an edit has failed: %v", l.err)
		}
	}
	if n := len(lost); n > 0 {
		figure("%-34s %.1f s", "  the guard was not asked for", lost[n-1].ended.Sub(lost[0].began).Seconds())
	}

	e = edit(t)
	e.more(50)
	upgrade(t)
	e.more(300)
	e.finishWithout("failurePolicy Fail again")
}
