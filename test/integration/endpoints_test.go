package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// metric returns the value of a series, or 0 if the series doesn't exist.
func metric(t *testing.T, series string) float64 {
	t.Helper()
	return metricFor(t.Context(), t, series)
}

func metricFor(ctx context.Context, t *testing.T, series string) float64 {
	t.Helper()
	body, err := webhook.Get(ctx, webhook.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(body) {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

func TestMetrics(t *testing.T) {
	c := as(t, operator)
	store(t, base())
	bad := roles("[")
	update := verbs[2].do // the verb update
	const duration = "awsauth_guard_review_duration_seconds_count"
	for _, dryRun := range []bool{false, true} {
		review := func(verdict string) string {
			return fmt.Sprintf(`awsauth_guard_reviews_total{dry_run="%t",operation="UPDATE",verdict=%q}`, dryRun, verdict)
		}
		rejection := fmt.Sprintf(`awsauth_guard_rejections_total{dry_run="%t",operation="UPDATE",rule="yaml-syntax"}`, dryRun)
		series := []string{review("allow"), review("deny"), rejection, duration}
		var before, got []float64
		for _, s := range series {
			before = append(before, metric(t, s))
		}
		var options []string
		if dryRun {
			options = []string{"All"}
		}
		wantAdmitted(t, c, update(t.Context(), c, base(), options))
		wantRefused(t, update(t.Context(), c, bad, options), "node-role-removed", "protected-principal", "yaml-syntax")
		for i, s := range series {
			got = append(got, metric(t, s)-before[i])
		}
		if diff := cmp.Diff([]float64{1, 1, 1, 2}, got); diff != "" {
			t.Errorf("%v rose by (-want +got):\n%s", series, diff)
		}
	}
}

func TestHealth(t *testing.T) {
	for _, url := range []string{webhook.Health, webhook.Ready} {
		if _, err := webhook.Get(t.Context(), url); err != nil {
			t.Error(err)
		}
	}
}

// TestAuditEvent: the audit event of a refused change has the verdict and the rules as annotations.
func TestAuditEvent(t *testing.T) {
	store(t, base())
	user := rest.ImpersonationConfig{UserName: "audited"}
	wantRefused(t, update(t.Context(), as(t, user), roles(admin)), "node-role-removed")
	wantAudited(t, user, "deny", "node-role-removed", "")
}

// wantAudited waits for the audit event of a user's first write. It checks the enforcing webhook's annotations in the
// event.
func wantAudited(t *testing.T, user rest.ImpersonationConfig, verdict, rules, overrides string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var annotations map[string]string
	err := controlplane.Poll(ctx, func(context.Context) (err error) {
		annotations, err = audited(user.UserName)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"verdict": verdict, "rules": rules, "overrides": overrides} {
		if got := annotations["aws-auth.awsauth-guard.io/"+key]; got != want {
			t.Errorf("audit annotation %s: %q, want %q", key, got, want)
		}
	}
}

// audited returns the annotations of a user's first audit event.
func audited(user string) (map[string]string, error) {
	log, err := os.ReadFile(cluster.AuditLog)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(log)) {
		var event struct {
			ImpersonatedUser struct {
				Username string `json:"username"`
			} `json:"impersonatedUser"`
			Annotations map[string]string `json:"annotations"`
		}
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			return nil, err // the API server may still be writing the line
		}
		if event.ImpersonatedUser.Username == user {
			return event.Annotations, nil
		}
	}
	return nil, fmt.Errorf("no event of the user %s", user)
}

// kubectl returns the output of kubectl, and whether it succeeded.
func kubectl(ctx context.Context, stdin string, env []string, args ...string) (output string, ok bool) {
	cmd := exec.CommandContext(ctx, cluster.Kubectl(), args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cluster.Kubeconfig, "KUBECACHEDIR="+filepath.Join(filepath.Dir(cluster.Kubeconfig), "cache"))
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err == nil
}

func manifest(t *testing.T, d data) string {
	t.Helper()
	b, err := yaml.Marshal(d.configMap())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestKubectl checks kubectl's output about refused changes, and that kubectl can make an admitted change.
func TestKubectl(t *testing.T) {
	store(t, base())
	bad := manifest(t, roles(admin+node+strings.Replace(ci, "role/CI", "role/team/CI", 1)))
	for _, test := range []struct {
		args []string
		in   string
		want []string
	}{
		{[]string{"apply", "-f", "-"}, bad, []string{
			`The ConfigMap "aws-auth" is invalid`,
			"data.mapRoles[2].rolearn: line 10 of mapRoles: ", "[role-path]", "write arn:aws:iam::111122223333:role/CI",
		}},
		{[]string{"apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"}, bad, []string{"[role-path]"}},
		{[]string{"replace", "-f", "-"}, bad, []string{"[role-path]"}},
		{[]string{"delete", "configmap", "aws-auth", "-n=kube-system"}, "", []string{
			"Error from server (Forbidden)", "[deleted]", "change aws-auth instead of deleting it",
		}},
	} {
		t.Run(test.args[0], func(t *testing.T) {
			output, ok := kubectl(t.Context(), test.in, nil, test.args...)
			if ok {
				t.Errorf("admitted")
			}
			for _, want := range test.want {
				if !strings.Contains(output, want) {
					t.Errorf("the output lacks %q:\n%s", want, output)
				}
			}
		})
	}
	if diff := cmp.Diff(map[string]string(base()), stored(t).Data); diff != "" {
		t.Errorf("stored although refused:\n%s", diff)
	}
	output, ok := kubectl(t.Context(), manifest(t, roles(admin+node+ci)), nil, "apply", "--server-side", "--force-conflicts", "-f", "-")
	if !ok {
		t.Errorf("kubectl apply: %s", output)
	}
}

// TestKubectlEdit changes the username of the node role with kubectl edit. After the refusal, kubectl opens the editor again and
// shows the reason of the refusal.
func TestKubectlEdit(t *testing.T) {
	store(t, base())
	dir := t.TempDir()
	script, again := filepath.Join(dir, "editor"), filepath.Join(dir, "again")
	content := fmt.Sprintf("#!/bin/sh\nif [ -e %[1]s.first ]; then cp \"$1\" %[1]s; else touch %[1]s.first; sed -i.bak 's/system:node:/node:/' \"$1\"; fi\n", again)
	if err := os.WriteFile(script, []byte(content), 0o700); err != nil {
		t.Fatal(err)
	}
	output, _ := kubectl(t.Context(), "", []string{"KUBE_EDITOR=" + script}, "edit", "configmap", "aws-auth", "-n=kube-system")
	seen, err := os.ReadFile(again)
	if err != nil {
		t.Fatalf("the editor was not opened again: %v\n%s", err, output)
	}
	comments, _, _ := strings.Cut(string(seen), "apiVersion:")
	if !strings.Contains(comments, "# * data.mapRoles[1]: ") || !strings.Contains(comments, "[node-role-removed]") {
		t.Errorf("the editor shows\n%s", comments)
	}
}
