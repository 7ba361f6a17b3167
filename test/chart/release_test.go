package chart_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestRelease installs, upgrades and removes the chart with helm. There are no nodes, so that no pod
// runs; the test writes what the pods would.
func TestRelease(t *testing.T) {
	run := func(args ...string) {
		t.Helper()
		if _, err := helmIn(t, cluster.Kubeconfig, append(args, "--namespace", namespace)...); err != nil {
			t.Fatal(err)
		}
	}
	configurations := admin.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	secrets := admin.CoreV1().Secrets(namespace)
	t.Cleanup(func() { // after a failure
		if _, err := configurations.Get(context.Background(), release, metav1.GetOptions{}); err == nil {
			run("uninstall", release)
		}
	})

	run("install", release, chart)
	settled(t, "changes are refused", func(err error) bool { return err != nil && strings.Contains(err.Error(), "failed calling webhook") })
	caBundle := cluster.Admin.CAData
	patch, err := json.Marshal(map[string]any{"webhooks": []any{
		map[string]any{"name": "aws-auth.awsauth-guard.io", "clientConfig": map[string]any{"caBundle": caBundle}},
		map[string]any{"name": "observe.awsauth-guard.io", "clientConfig": map[string]any{"caBundle": caBundle}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := configurations.Patch(t.Context(), release, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	_, err2 := secrets.Patch(t.Context(), release+"-ca", types.MergePatchType, []byte(`{"data":{"ca.crt":"eA=="}}`), metav1.PatchOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}

	run("upgrade", release, chart, "--set", "webhook.failurePolicy=Ignore,guardConfig.mode=warn,ports.webhook=10250,commonLabels.team=platform")
	configuration, err1 := configurations.Get(t.Context(), release, metav1.GetOptions{})
	secret, err2 := secrets.Get(t.Context(), release+"-ca", metav1.GetOptions{})
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for i := range configuration.Webhooks {
		if w := &configuration.Webhooks[i]; !bytes.Equal(w.ClientConfig.CABundle, caBundle) || *w.FailurePolicy != "Ignore" {
			t.Errorf("%s has lost its caBundle, or fails with %s", w.Name, *w.FailurePolicy)
		}
	}
	if string(secret.Data["ca.crt"]) != "x" {
		t.Error("the Secret has lost its data")
	}
	policies := admin.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings()
	if _, err := policies.Get(t.Context(), release+"-backstop", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}

	run("upgrade", release, chart, "--reset-values")
	if _, err := policies.Get(t.Context(), release+"-backstop", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the backstop stays with failurePolicy Fail: %v", err)
	}
	settled(t, "changes are refused", func(err error) bool { return err != nil && strings.Contains(err.Error(), "failed calling webhook") })

	run("upgrade", release, chart, "--force") // it replaces every object, which no field of theirs may forbid

	run("uninstall", release)
	settled(t, "aws-auth can be changed", func(err error) bool { return err == nil || apierrors.IsAlreadyExists(err) })
	const selector = "app.kubernetes.io/instance=" + release
	options := metav1.ListOptions{LabelSelector: selector}
	webhooks, err1 := configurations.List(t.Context(), options)
	roles, err2 := admin.RbacV1().ClusterRoles().List(t.Context(), options)
	left, err3 := secrets.List(t.Context(), options)
	leases, err4 := admin.CoordinationV1().Leases(namespace).List(t.Context(), options)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	if n := len(webhooks.Items) + len(roles.Items) + len(left.Items) + len(leases.Items); n > 0 {
		t.Errorf("%d objects are left", n)
	}
}
