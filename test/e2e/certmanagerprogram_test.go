//go:build e2e

package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// certManager is the namespace of cert-manager's service accounts, and the name of the release of its chart.
const certManager = "cert-manager"

// startCertManager starts cert-manager's controllers and cainjector beside the cluster. They have the rights that
// cert-manager's chart gives to their service accounts, and no others. cert-manager ends with the test, and its objects
// are removed.
func startCertManager(t *testing.T) {
	t.Helper()
	program, chart := os.Getenv("E2E_CERT_MANAGER"), os.Getenv("E2E_CERT_MANAGER_CHART")
	if program == "" || chart == "" {
		t.Fatal("run.sh sets E2E_CERT_MANAGER and E2E_CERT_MANAGER_CHART")
	}
	const definitions = "customresourcedefinition.apiextensions.k8s.io"
	if found := kubectl(t, "get", definitions, "certificates.cert-manager.io", "--ignore-not-found", "--output", "name"); found != "" {
		t.Fatal("the cluster has a cert-manager, which this test would remove")
	}
	manifest, _, err := output(t, "", helmPath, "template", certManager, chart, "--namespace", certManager, "--kube-version", "1.30.0",
		"--set", "crds.enabled=true", "--show-only", "templates/crd-*.yaml",
		"--show-only", "templates/serviceaccount.yaml", "--show-only", "templates/rbac.yaml",
		"--show-only", "templates/cainjector-serviceaccount.yaml", "--show-only", "templates/cainjector-rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := run(t, manifest, kubectlPath, "delete", "--ignore-not-found", "--filename", "-"); err != nil {
			t.Error(err)
		}
		kubectl(t, "delete", "namespace", certManager, "--ignore-not-found")
	})
	kubectl(t, "create", "namespace", certManager)
	if _, err := run(t, manifest, kubectlPath, "apply", "--server-side", "--filename", "-"); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "wait", "--for=condition=Established", definitions, "--selector", "app.kubernetes.io/instance="+certManager, "--timeout", soon.String())

	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.CommandContext(t.Context(), program,
		"-controller", serviceAccountKubeconfig(t, certManager), "-cainjector", serviceAccountKubeconfig(t, certManager+"-cainjector"))
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); t.Failed() && err == nil {
			t.Logf("cert-manager's log:\n%s", text)
		}
	})
}

// serviceAccountKubeconfig writes a kubeconfig with a token of a service account in the namespace certManager. The token
// is valid for an hour. It returns the path of the file.
func serviceAccountKubeconfig(t *testing.T, name string) string {
	t.Helper()
	token, err := admin.CoreV1().ServiceAccounts(certManager).CreateToken(t.Context(), name, new(authenticationv1.TokenRequest), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rules := clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	config, err := rules.Load()
	if err == nil {
		err = clientcmdapi.MinifyConfig(config)
	}
	if err != nil {
		t.Fatal(err)
	}
	config.AuthInfos = map[string]*clientcmdapi.AuthInfo{name: {Token: token.Status.Token}}
	config.Contexts[config.CurrentContext].AuthInfo = name
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return file
}
