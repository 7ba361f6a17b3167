package integration_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	// The test builds the plugin as a program. main_test.go gives the reason for such an import.
	_ "github.com/awsauth-guard/awsauth-guard/internal/cli"
)

// plugin runs kubectl with kubectl-awsauth in its PATH.
type plugin struct {
	dir        string
	kubeconfig string
}

// newPlugin builds kubectl-awsauth, and installs it with the script that completes its arguments.
func newPlugin(t *testing.T) plugin {
	t.Helper()
	p := plugin{dir: t.TempDir(), kubeconfig: cluster.Kubeconfig}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-w", "-o", filepath.Join(p.dir, "kubectl-awsauth"), "../../cmd/kubectl-awsauth")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// docs/reference/commands.md has the same script.
	completion := "#!/bin/sh\nexec kubectl-awsauth __complete \"$@\"\n"
	if err := os.WriteFile(filepath.Join(p.dir, "kubectl_complete-awsauth"), []byte(completion), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

// with returns the plugin with another kubeconfig, whose user has the token and no certificate. With an empty token, the user is
// anonymous.
func (p plugin) with(t *testing.T, token string) plugin {
	t.Helper()
	config, err := clientcmd.LoadFromFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		user.ClientCertificateData, user.ClientKeyData, user.Token = nil, nil, token
	}
	p.kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, p.kubeconfig); err != nil {
		t.Fatal(err)
	}
	return p
}

// run runs kubectl with the arguments, such as awsauth lint, and returns its exit status and output.
func (p plugin) run(ctx context.Context, t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, cluster.Kubectl(), args...)
	cmd.Env = append(os.Environ(), "PATH="+p.dir+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+p.kubeconfig)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewBufferString(stdin), &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestPlugin: without a file argument, kubectl awsauth reads the stored object of the current context. kubectl
// completes the plugin's arguments.
func TestPlugin(t *testing.T) {
	p := newPlugin(t)
	broken := base().with("mapRoles", admin+"- rolearn: arn:aws:iam::111122223333:role/team/ci\n  username: ci\n")
	store(t, broken)
	for _, test := range []struct {
		name, stdin string
		args        []string
		status      int
		want        string
	}{
		{"lint", "", []string{"awsauth", "lint"}, 1, `awsauth-guard/kube-system/aws-auth: data.mapRoles[1].rolearn:5:12: deny: "arn:aws:iam::111122223333:role/team/ci" has a path, and STS leaves the path out, so it never matches a caller [role-path]
    hint: write arn:aws:iam::111122223333:role/ci
`},
		{"lint in a context", "", []string{"awsauth", "lint", "--context", "awsauth-guard", "--rule", "role-path=off"}, 0, ""},
		{"explain", "", []string{"awsauth", "explain", aliceARN}, 0, `arn:aws:iam::111122223333:user/people/alice is mapped by data.mapUsers[0]
    at:           awsauth-guard/kube-system/aws-auth: data.mapUsers[0]:1:3
    username:     alice
    groups:       system:masters
`},
		{"explain an ARN without an entry", "", []string{"awsauth", "explain", "arn:aws:iam::111122223333:user/bob"}, 1, `arn:aws:iam::111122223333:user/bob is not mapped
    reason:       no entry has the ARN arn:aws:iam::111122223333:user/bob
`},
		{"diff", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata: {}\n", []string{"awsauth", "diff", "-"}, 1, `access: awsauth-guard/kube-system/aws-auth → <stdin>
- arn:aws:iam::111122223333:role/Admin
    username: admin
    groups:   system:masters
- arn:aws:iam::111122223333:user/people/alice
    username: alice
    groups:   system:masters
`},
		{"completion", "", []string{"__complete", "awsauth", "rules", "role-"}, 0, "role-path\ta role's ARN has a path\n:4\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, stdout, stderr := p.run(t.Context(), t, test.stdin, test.args...)
			if diff := cmp.Diff(test.want, stdout); diff != "" || status != test.status {
				t.Errorf("status %d, stderr %q (-want +got):\n%s", status, stderr, diff)
			}
		})
	}
}

// TestPluginErrors: the plugin's error says why the plugin can't read aws-auth from the cluster, and what the user can do.
func TestPluginErrors(t *testing.T) {
	p := newPlugin(t)
	remove(t)
	const doing = "error: reading kube-system/aws-auth in the context awsauth-guard: "
	for name, test := range map[string]struct {
		p    plugin
		want string
	}{
		"none":         {p, `it does not exist; EKS creates it with the first node group of a cluster, and not in authentication mode API (configmaps "aws-auth" not found)`},
		"forbidden":    {p.with(t, ""), `you need the verb get on the configmap aws-auth in the namespace kube-system (configmaps "aws-auth" is forbidden: User "system:anonymous" cannot get resource "configmaps" in API group "" in the namespace "kube-system")`},
		"unauthorized": {p.with(t, "unknown"), "the API server did not accept your credentials, possibly because aws-auth does not map you; find the cause with kubectl awsauth doctor, log in as the IAM principal that created the cluster, or create an access entry for yourself (Unauthorized)"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := test.p.run(t.Context(), t, "", "awsauth", "lint")
			if diff := cmp.Diff(doing+test.want+"\n", stderr); diff != "" || status != 2 || stdout != "" {
				t.Errorf("status %d, %s (-want +got):\n%s", status, stdout, diff)
			}
		})
	}
}
