package chart_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// caName is the name of the Secret with the CAs.
const caName = release + "-ca"

// installed is a release that one of the two helms manages. The cluster has no nodes, so no pod runs. The test writes
// the CAs in place of a pod.
type installed struct {
	*testing.T
	helm program
	// force has helm's options that replace every object, instead of patching it.
	force []string
}

// TestRelease installs, upgrades and uninstalls the chart with both versions of Helm.
func TestRelease(t *testing.T) {
	for name, r := range map[string]installed{
		"helm 3": {helm: helm3, force: []string{"--force"}},
		"helm 4": {helm: helm4, force: []string{"--server-side=false", "--force-replace"}},
	} {
		t.Run(name, func(t *testing.T) {
			r.T = t
			t.Cleanup(func() { // for a test that fails before uninstall
				if _, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(context.Background(), release, metav1.GetOptions{}); err == nil {
					r.run("uninstall", release)
				}
			})
			r.run("install", release, chart)
			r.settledRefusing()
			r.upgradeKeepsCAs()
			r.upgradeRenames()
			r.run("upgrade", release, chart, "--reset-values")
			r.wantNoBackstop()
			r.settledRefusing()
			// Force makes helm replace every object. The API server must not refuse this because of an immutable
			// field.
			r.forceEmptiesData()
			r.deletedSecretStaysInRelease()
			r.uninstall()
		})
	}
}

// TestModes: an upgrade can change the source of the certificates. Helm 4 uses server-side apply, so it overwrites the caBundle that
// the guard wrote only with the option that docs/how-to/certificates.md names.
func TestModes(t *testing.T) {
	bundle := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(bundle, cluster.Admin.CAData, 0o600); err != nil {
		t.Fatal(err)
	}
	toSecret := []string{"upgrade", release, chart, "--set", "certs.mode=secret,certs.secret.name=given", "--set-file", "certs.secret.caBundle=" + bundle}
	for name, tt := range map[string]struct {
		helm program
		more []string
	}{
		"helm 3": {helm3, nil},
		"helm 4": {helm4, []string{"--force-conflicts"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := installed{T: t, helm: tt.helm}
			r.run("install", release, chart)
			t.Cleanup(func() { r.run("uninstall", release) })
			r.writeCAs([]byte("the guard's"))
			if tt.more != nil {
				_, err := tt.helm.run(t, cluster.Kubeconfig, append(toSecret, "--namespace", namespace)...)
				if err == nil {
					t.Fatal("without --force-conflicts, Helm 4 overwrites the caBundle that the guard wrote")
				}
				wantSays(t, err.Error(), ".clientConfig.caBundle")
				wantOnPage(t, "../../docs/how-to/certificates.md", err.Error(), "Error: UPGRADE FAILED: ", `with "awsauth-guard"`)
			}
			r.run(append(toSecret, tt.more...)...)
			r.wantBundles(cluster.Admin.CAData)
			r.run("upgrade", release, chart, "--reset-values")
			r.wantBundles(nil)
			r.writeCAs([]byte("the guard's"))
			r.run("upgrade", release, chart, "--reset-values", "--set", "replicaCount=3")
			r.wantBundles([]byte("the guard's"))
		})
	}
}

// wantOnPage checks that a page has a part of a message: the part that begins with the text from and ends with the
// text to.
func wantOnPage(t *testing.T, page, said, from, to string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(said, from)
	end := strings.Index(said, to) + len(to)
	if begin < 0 || end < begin || !strings.Contains(string(text), "\n"+said[begin:end]) {
		t.Errorf("%s does not have\n%s", page, said)
	}
}

func (r installed) run(args ...string) {
	r.Helper()
	if _, err := r.helm.run(r.T, cluster.Kubeconfig, append(args, "--namespace", namespace)...); err != nil {
		r.Fatal(err)
	}
}

// settledRefusing waits until the API server refuses changes of aws-auth because no webhook answers.
func (r installed) settledRefusing() {
	r.Helper()
	settled(r.T, "the API server refuses changes, because no webhook answers", func(err error) bool { return err != nil && strings.Contains(err.Error(), "failed calling webhook") })
}

// writeCAs writes the caBundle and the Secret with the CAs, as the leader does.
func (r installed) writeCAs(caBundle []byte) {
	r.Helper()
	patch, err := json.Marshal(map[string]any{"webhooks": []any{
		map[string]any{"name": "aws-auth.awsauth-guard.io", "clientConfig": map[string]any{"caBundle": caBundle}},
		map[string]any{"name": "observe.awsauth-guard.io", "clientConfig": map[string]any{"caBundle": caBundle}},
	}})
	if err != nil {
		r.Fatal(err)
	}
	options := metav1.PatchOptions{FieldManager: "awsauth-guard"}
	_, err1 := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Patch(r.Context(), release, types.StrategicMergePatchType, patch, options)
	_, err2 := admin.CoreV1().Secrets(namespace).Patch(r.Context(), caName, types.MergePatchType, []byte(`{"data":{"ca.crt":"eA=="}}`), options)
	if err := errors.Join(err1, err2); err != nil {
		r.Fatal(err)
	}
}

// wantBundles checks that each webhook has the caBundle.
func (r installed) wantBundles(want []byte) {
	r.Helper()
	configuration, err := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(r.Context(), release, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	for i := range configuration.Webhooks {
		if w := &configuration.Webhooks[i]; !bytes.Equal(w.ClientConfig.CABundle, want) {
			r.Errorf("%s: caBundle is %q, want %q", w.Name, w.ClientConfig.CABundle, want)
		}
	}
}

// upgradeKeepsCAs checks that an upgrade applies other values, and keeps the caBundle and the data of the Secret with the CAs.
func (r installed) upgradeKeepsCAs() {
	r.Helper()
	caBundle := cluster.Admin.CAData
	r.writeCAs(caBundle)
	r.run("upgrade", release, chart, "--set", "webhook.failurePolicy=Ignore,guardConfig.mode=warn,ports.webhook=10250,commonLabels.team=platform")
	r.wantBundles(caBundle)
	configuration, err1 := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().Get(r.Context(), release, metav1.GetOptions{})
	secret, err2 := admin.CoreV1().Secrets(namespace).Get(r.Context(), caName, metav1.GetOptions{})
	_, err3 := admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Get(r.Context(), release+"-backstop", metav1.GetOptions{})
	if err := errors.Join(err1, err2, err3); err != nil {
		r.Fatal(err)
	}
	if policy := *configuration.Webhooks[0].FailurePolicy; policy != "Ignore" {
		r.Errorf("the failurePolicy is %s, want Ignore", policy)
	}
	if string(secret.Data["ca.crt"]) != "x" {
		r.Error("the Secret has lost its data")
	}
}

// upgradeRenames sets nameOverride to a part of the release's name, and to another name. With the part, the objects keep their
// names, so their selectors must stay the same: the API server refuses a change of a Deployment's selector.
func (r installed) upgradeRenames() {
	r.Helper()
	for override, name := range map[string]string{"guard": release, "other": release + "-other"} {
		r.run("upgrade", release, chart, "--reset-values", "--set", "nameOverride="+override)
		service, err1 := admin.CoreV1().Services(namespace).Get(r.Context(), name, metav1.GetOptions{})
		deployment, err2 := admin.AppsV1().Deployments(namespace).Get(r.Context(), name, metav1.GetOptions{})
		if err := errors.Join(err1, err2); err != nil {
			r.Fatal(err)
		}
		for key, value := range service.Spec.Selector {
			if got := deployment.Spec.Template.Labels[key]; got != value {
				r.Errorf("the Service selects by %s=%s, and the pods have %q", key, value, got)
			}
		}
	}
}

func (r installed) wantNoBackstop() {
	r.Helper()
	policies := admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if _, err := policies.Get(r.Context(), release+"-backstop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		r.Errorf("an upgrade to failurePolicy Fail does not delete the backstop: %v", err)
	}
}

// forceEmptiesData checks the warning of docs/how-to/restore.md and docs/how-to/certificates.md: an upgrade that
// replaces every object empties the history and the CAs. Other upgrades keep the history.
func (r installed) forceEmptiesData() {
	r.Helper()
	const name = release + "-history"
	configMaps := admin.CoreV1().ConfigMaps(namespace)
	kept := func() int {
		r.Helper()
		cm, err := configMaps.Get(r.Context(), name, metav1.GetOptions{})
		if err != nil {
			r.Fatal(err)
		}
		return len(cm.BinaryData)
	}
	r.writeCAs(cluster.Admin.CAData)
	if _, err := configMaps.Patch(r.Context(), name, types.MergePatchType, []byte(`{"binaryData":{"v000000000001":"eA=="}}`), metav1.PatchOptions{FieldManager: "awsauth-guard"}); err != nil {
		r.Fatal(err)
	}
	r.run("upgrade", release, chart, "--set", "replicaCount=3")
	if kept() != 1 {
		r.Error("an upgrade empties the history")
	}
	r.run(append([]string{"upgrade", release, chart}, r.force...)...)
	secret, err := admin.CoreV1().Secrets(namespace).Get(r.Context(), caName, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	if kept() != 0 || len(secret.Data) > 0 {
		r.Errorf("%v leaves %d versions and %d keys: the pages say otherwise", r.force, kept(), len(secret.Data))
	}
	for _, page := range []string{"how-to/restore", "how-to/certificates"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			r.Fatal(err)
		}
		if !strings.Contains(string(text), "`helm upgrade --force` (Helm 4: `--force-replace`)") {
			r.Errorf("docs/%s.md does not warn of the option", page)
		}
	}
}

// deletedSecretStaysInRelease deletes the Secret with the CAs, and creates it again as the leader does (internal/servingcert). The
// next upgrade accepts the new Secret as a part of the release and keeps the CAs.
func (r installed) deletedSecretStaysInRelease() {
	r.Helper()
	secrets := admin.CoreV1().Secrets(namespace)
	r.writeCAs(cluster.Admin.CAData)
	secret, err1 := secrets.Get(r.Context(), caName, metav1.GetOptions{})
	err2 := secrets.Delete(r.Context(), caName, metav1.DeleteOptions{})
	if err := errors.Join(err1, err2); err != nil {
		r.Fatal(err)
	}
	body, err := json.Marshal(corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: caName, Namespace: namespace, Labels: secret.Labels, Annotations: secret.Annotations},
		Type:       secret.Type, Data: secret.Data,
	})
	if err != nil {
		r.Fatal(err)
	}
	if _, err := secrets.Patch(r.Context(), caName, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: "awsauth-guard"}); err != nil {
		r.Fatal(err)
	}
	r.run("upgrade", release, chart, "--set", "replicaCount=3,commonLabels.team=security")
	after, err := secrets.Get(r.Context(), caName, metav1.GetOptions{})
	if err != nil {
		r.Fatal(err)
	}
	if string(after.Data["ca.crt"]) != "x" || after.Labels["team"] != "security" {
		r.Errorf("after the upgrade, the Secret has the labels %v and %d keys", after.Labels, len(after.Data))
	}
}

// uninstall uninstalls the release. It checks that the API server admits changes of aws-auth, and that no webhook configuration,
// ClusterRole, Secret or Lease of the release remains.
func (r installed) uninstall() {
	r.Helper()
	r.run("uninstall", release)
	settled(r.T, "aws-auth can be changed", func(err error) bool { return err == nil || apierrors.IsAlreadyExists(err) })
	options := metav1.ListOptions{LabelSelector: "app.kubernetes.io/instance=" + release}
	webhooks, err1 := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations().List(r.Context(), options)
	roles, err2 := admin.RbacV1().ClusterRoles().List(r.Context(), options)
	left, err3 := admin.CoreV1().Secrets(namespace).List(r.Context(), options)
	leases, err4 := admin.CoordinationV1().Leases(namespace).List(r.Context(), options)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		r.Fatal(err)
	}
	if n := len(webhooks.Items) + len(roles.Items) + len(left.Items) + len(leases.Items); n > 0 {
		r.Errorf("%d objects are left", n)
	}
}
