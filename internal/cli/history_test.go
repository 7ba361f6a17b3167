package cli_test

import (
	"bytes"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/cli"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// history show prints a manifest with exactly the text of the version. Both the API server and lint read this text from it.
func TestHistoryShowKeepsEveryText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "\n", "\n\n", " ", "a", "a\n", "a\n\n\n", "  a\nb\n", "\ta\n", "\n  a\n", "a \nb\n", "a\r\nb\r\n", "a\rb", "\u0085", "\u009b31m", "a\u2028b\n", "\U000e0041", "\ufeffa\n",
		"- a: |\n    b\n\n- c\n", "# only a comment\n", "---\n", "...\n", "y", "null", "0x1f", "1e3", "2026-03-01", "a: b", "'", `"`, "\\", "{", "%", "@", "`", "|", "> ", "\x01", "\x7f",
		"é\n", "😀\n", strings.Repeat("long ", 100) + "\n" + strings.Repeat("word", 100) + "\n",
	} {
		data := map[string]string{"mapRoles": text}
		if text != "" {
			data["mapUsers"] = text + text
		}
		kubeconfig := clusterWithVersion(t, history.Version{Data: data})
		for _, form := range []string{"yaml", "json"} {
			status, stdout, stderr := run(t.Context(), t, "", "history", "show", "1", "-o", form, "--kubeconfig", kubeconfig)
			var cm struct {
				Data map[string]string `json:"data"`
			}
			if err := yaml.Unmarshal([]byte(stdout), &cm); err != nil || status != 0 || !maps.Equal(cm.Data, data) {
				t.Errorf("%q as %s: status %d, %v, %s\n%s", text, form, status, err, stderr, stdout)
				continue
			}
			manifests, errs := awsauth.ParseManifests([]byte(stdout))
			if len(manifests) != 1 || len(errs) > 0 || !maps.Equal(manifests[0].Object.Data, data) {
				t.Errorf("%q as %s is read as %+v, %v:\n%s", text, form, manifests, errs, stdout)
			}
		}
	}
}

// A history command fails if it cannot write its output.
func TestHistoryOutputErrorIsFailure(t *testing.T) {
	t.Parallel()
	kubeconfig := clusterWithVersion(t, history.Version{Data: map[string]string{"mapRoles": "[]"}})
	for _, args := range []string{"history", "history -o json", "history -o yaml", "history show 1", "history show 1 -o json", "rollback --yes"} {
		var stderr bytes.Buffer
		status := cli.Main(t.Context(), slices.Concat([]string{"kubectl-awsauth"}, strings.Fields(args), []string{"--kubeconfig", kubeconfig}), strings.NewReader(""), failingWriter{}, &stderr)
		if want := "error: writing the output: disk full\n"; status != 2 || !strings.HasSuffix(stderr.String(), want) {
			t.Errorf("%s: status %d, stderr %q", args, status, &stderr)
		}
	}
}

// history show --access-entries prints the mode and the access entries that EKS had when the guard observed a version.
func TestHistoryShowPrintsAccessEntries(t *testing.T) {
	t.Parallel()
	want := access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{{
		PrincipalARN: "arn:aws:iam::111122223333:role/Admin", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: access.ClusterAdminPolicy, Scope: access.ScopeCluster}},
	}}}
	kubeconfig := clusterWithVersion(t, history.Version{Deleted: true, Cluster: &want})
	for _, form := range []string{"yaml", "json"} {
		status, stdout, stderr := run(t.Context(), t, "", "history", "show", "1", "--access-entries", "-o", form, "--kubeconfig", kubeconfig)
		var got access.Cluster
		if err := yaml.UnmarshalStrict([]byte(stdout), &got); err != nil || status != 0 || got.Mode != want.Mode || !reflect.DeepEqual(got.AccessEntries, want.AccessEntries) {
			t.Errorf("as %s: status %d, %v, %s\n%s", form, status, err, stderr, stdout)
		}
	}
	kubeconfig = clusterWithVersion(t, history.Version{Data: map[string]string{"mapRoles": "[]"}})
	status, _, stderr := run(t.Context(), t, "", "history", "show", "1", "--access-entries", "--kubeconfig", kubeconfig)
	if status != 2 || !strings.Contains(stderr, "version 1 of") || !strings.Contains(stderr, "has no access entries") {
		t.Errorf("without access entries: status %d, %s", status, stderr)
	}
}
