package chain_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// kubectl awsauth --clusters signs a token itself, and the released authenticator accepts the token. The command needs no kubeconfig. If
// aws-auth doesn't map the principal, the command reports that the access in the cluster is unknown.
func TestClustersFileLogsIn(t *testing.T) {
	c := startLogins(t, map[string]string{"mapRoles": fmt.Sprintf("- {rolearn: %q, username: admin, groups: [system:masters]}\n", principalOf(callers[adminCaller].arn))})
	c.eks.SetFields(map[string]any{"endpoint": c.cluster.Admin.Host})
	program := buildPlugin(t, t.TempDir())
	accounts := filepath.Join(t.TempDir(), "accounts.yaml")
	text := fmt.Sprintf("apiVersion: awsauth-guard.io/v1alpha1\nkind: ClusterList\naccounts:\n- {account: %q, regions: [%s]}\n", ekstest.Account, region)
	if err := os.WriteFile(accounts, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	name := ekstest.Account + "/" + region + "/" + ekstest.Name
	for i, test := range []struct {
		caller         int
		status         int
		stdout, stderr string
	}{
		{adminCaller, 0, principalOf(callers[adminCaller].arn), ""},
		{aliceCaller, 3, "", name + ": unknown: reading kube-system/aws-auth in the cluster " + name + ": the API server did not accept your credentials"},
	} {
		t.Setenv("AWS_ACCESS_KEY_ID", accessKey(test.caller))
		t.Setenv("AWS_SESSION_TOKEN", fmt.Sprintf("fleet-%d", i))
		var stdout, stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), program, "get", "--clusters", accounts, "-o", "name")
		cmd.Env = append(os.Environ(), c.aws.environ...) // so that the program calls the fake STS
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		status := cmd.ProcessState.ExitCode()
		if status != test.status || strings.TrimSpace(stdout.String()) != test.stdout || !strings.HasPrefix(stderr.String(), test.stderr) {
			t.Errorf("%s: status %d\n%s%s", callers[test.caller].arn, status, &stdout, &stderr)
		}
	}
}
