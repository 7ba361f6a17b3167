package integration_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// keepVersions creates the objects by which rollback finds an installed guard: its GuardConfig, a webhook that names its Service,
// and a history with the versions.
func keepVersions(t *testing.T, versions ...data) {
	t.Helper()
	maps := guardConfigMaps(t)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "guard"}, Data: map[string]string{"guardconfig.yaml": guardConfig}}
	if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	registerService(t)
	createEmpty(t, maps, "guard-history")
	l, err := (&guardhistory.Store{Client: maps, Name: "guard-history", Versions: keep(10)}).Change(t.Context(), func(l *guardhistory.Log) error {
		for i, d := range versions {
			l.Append(newVersion(i+1, d))
		}
		return nil
	})
	if err != nil || len(l.Versions()) != len(versions) {
		t.Fatalf("%v, %+v", err, l)
	}
}

// registerService registers a webhook that names the guard's Service, so that rollback finds the guard. No request matches this
// webhook. The webhook of the other tests doesn't name a Service, because it is registered by its URL.
func registerService(t *testing.T) {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	configurations, none := client.AdmissionregistrationV1().ValidatingWebhookConfigurations(), admissionregistrationv1.SideEffectClassNone
	configuration, err := configurations.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "by-service-"},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "aws-auth.awsauth-guard.io", SideEffects: &none, AdmissionReviewVersions: []string{"v1"},
			ClientConfig: admissionregistrationv1.WebhookClientConfig{Service: &admissionregistrationv1.ServiceReference{Namespace: guardNamespace, Name: "guard"}},
		}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := configurations.Delete(context.WithoutCancel(t.Context()), configuration.Name, metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
}

// TestRollbackGoesThroughWebhook: rollback sends a version as an ordinary update. If the guard's configuration denies
// the update, rollback doesn't send it. If the webhook denies the update, rollback prints the denial. --force
// overrides both denials.
func TestRollbackGoesThroughWebhook(t *testing.T) {
	p := newPlugin(t)
	without := data{"mapRoles": node, "mapUsers": alice} // without the protected admin
	keepVersions(t, without, base(), base().with("mapRoles", admin+node+ci))
	store(t, base().with("mapRoles", admin+node+ci))
	lenient := filepath.Join(t.TempDir(), "lenient.yaml")
	if err := os.WriteFile(lenient, []byte("apiVersion: awsauth-guard.io/v1alpha1\nkind: GuardConfig\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const history = `NUMBER   TIME                   HOW       MANAGER        VERDICT   ADMINS   NODES   ENTRIES
1        2026-03-01T12:00:01Z   changed   kubectl-edit   allow     2        1       3
2        2026-03-01T12:00:02Z   changed   kubectl-edit   allow     2        1       3
3        2026-03-01T12:00:03Z   changed   kubectl-edit   allow     2        1       3
`
	const gone = `- arn:aws:iam::111122223333:role/CI
    username: ci
    groups:   deployers
`
	const losesAdmin = `access: awsauth-guard/kube-system/aws-auth → version 1
- arn:aws:iam::111122223333:role/Admin
    username: admin
    groups:   system:masters
`
	const hinted = "    hint: keep an entry for arn:aws:iam::111122223333:role/Admin with the groups [system:masters]\n" + losesAdmin
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string // the last lines of each output
		after          data
		reason         string
	}{
		{"history", 0, history, "", base().with("mapRoles", admin+node+ci), ""},
		{"rollback --dry-run", 0, gone + "configmap/aws-auth rolled back to version 2 (server dry run)\n", "written with kubectl-edit, verdict allow\n", base().with("mapRoles", admin+node+ci), ""},
		{"rollback --yes", 0, gone + "configmap/aws-auth rolled back to version 2\n", "written with kubectl-edit, verdict allow\n", base(), ""},
		{"rollback --to 1 --yes", 1, hinted, "override the rules with --force REASON\n", base(), ""},
		{
			"rollback --to 1 --yes --guard-namespace guard --config " + lenient, 1, losesAdmin,
			"[protected-principal]; keep an entry for arn:aws:iam::111122223333:role/Admin with the groups [system:masters]\n" +
				"note: to write it without the webhook: kubectl awsauth history show 1 | kubectl replace -f - --as=rescue" +
				" --as-group=system:masters --as-group=awsauth-guard:bypass (the group is the chart's value bypass.group)\n", base(), "",
		},
		{
			"rollback --to 1 --yes --force incident-4711", 0, hinted + "configmap/aws-auth rolled back to version 1\n",
			"note: the annotation stays until you remove it: kubectl annotate configmap aws-auth -n kube-system awsauth-guard.io/break-glass-\n", without, "incident-4711",
		},
	} {
		status, stdout, stderr := p.run(t.Context(), t, "", append([]string{"awsauth"}, strings.Fields(test.args)...)...)
		if status != test.status || !strings.HasSuffix(stdout, test.stdout) || !strings.HasSuffix(stderr, test.stderr) {
			t.Errorf("%s: status %d, stdout\n%s, stderr\n%s", test.args, status, stdout, stderr)
		}
		got := stored(t)
		if diff := cmp.Diff(map[string]string(test.after), got.Data); diff != "" || got.Annotations[validate.BreakGlassAnnotation] != test.reason {
			t.Errorf("%s: stored with %v (-want +got):\n%s", test.args, got.Annotations, diff)
		}
		if test.status == 0 && strings.Contains(test.args, "--yes") && got.ManagedFields[len(got.ManagedFields)-1].Manager != "kubectl-awsauth" {
			t.Errorf("%s: managers %+v", test.args, got.ManagedFields)
		}
	}
}

// TestRollbackCreatesDeletedObject: rollback creates aws-auth if it was deleted. kubectl can also apply the output of
// history show.
func TestRollbackCreatesDeletedObject(t *testing.T) {
	p := newPlugin(t)
	keepVersions(t, base())
	remove(t)
	status, stdout, stderr := p.run(t.Context(), t, "", "awsauth", "rollback", "--yes")
	if status != 0 || !strings.HasPrefix(stdout, "version 1: ") || !strings.HasSuffix(stdout, "configmap/aws-auth rolled back to version 1\n") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	if diff := cmp.Diff(map[string]string(base()), stored(t).Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	remove(t)
	_, manifest, _ := p.run(t.Context(), t, "", "awsauth", "history", "show", "1")
	if status, _, stderr = p.run(t.Context(), t, manifest, "apply", "--server-side", "-f", "-"); status != 0 {
		t.Error(stderr)
	}
	if diff := cmp.Diff(map[string]string(base()), stored(t).Data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestHistoryForbiddenNamesVerb: if the user may not make a request, history and rollback name the missing verb.
func TestHistoryForbiddenNamesVerb(t *testing.T) {
	p := newPlugin(t).with(t, "")
	for args, want := range map[string]string{
		"history":                          "you need the verb list on validatingwebhookconfigurations; or set --guard-namespace (validatingwebhookconfigurations.admissionregistration.k8s.io is forbidden: ",
		"rollback --guard-namespace guard": "finding the history in the namespace guard of the context awsauth-guard: you need the verb list on configmaps in this namespace (configmaps is forbidden: ",
	} {
		status, stdout, stderr := p.run(t.Context(), t, "", append([]string{"awsauth"}, strings.Fields(args)...)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s%s", args, status, stdout, stderr)
		}
	}
}
