package chain_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/aws-iam-authenticator/pkg/config"
	"sigs.k8s.io/aws-iam-authenticator/pkg/mapper/dynamicfile"
	"sigs.k8s.io/aws-iam-authenticator/pkg/server"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// authenticator is the released aws-iam-authenticator, which runs as a process.
type authenticator struct {
	program string // the built program
	dir     string // the folder with its files
	address string
}

// newAuthenticator builds the authenticator. It also makes the authenticator's certificate, and the kubeconfig with which an API
// server calls the authenticator.
func newAuthenticator(t *testing.T) *authenticator {
	t.Helper()
	ports, err := controlplane.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := &authenticator{program: filepath.Join(dir, "aws-iam-authenticator"), dir: dir, address: ports[0]}
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-s -w", "-o", a.program, "sigs.k8s.io/aws-iam-authenticator/cmd/aws-iam-authenticator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build the authenticator: %v\n%s", err, out)
	}
	host, port, err := net.SplitHostPort(a.address)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, "config.json", map[string]any{"clusterID": ekstest.Name, "server": map[string]any{
		"hostname": host, "address": host, "port": port,
		"stateDir": dir, "generateKubeconfig": a.webhookConfig(), "kubeconfigPregenerated": true,
		"backendMode":     strings.Fields(backendModes[access.ModeAPIAndConfigMap]),
		"dynamicfilepath": filepath.Join(dir, "entries.json"), "dynamicfileUserIDStrict": true,
		"dynamicBackendModePath": filepath.Join(dir, "mode.json"),
	}})
	initialize := exec.CommandContext(t.Context(), a.program, "init", "--config="+filepath.Join(dir, "config.json"), "--feature-gates=ConfiguredInitDirectories=true")
	if out, err := initialize.CombinedOutput(); err != nil {
		t.Fatalf("cannot initialize the authenticator: %v\n%s", err, out)
	}
	return a
}

// webhookConfig returns the path of the file for the API server's flag --authentication-token-webhook-config-file.
func (a *authenticator) webhookConfig() string { return filepath.Join(a.dir, "webhook.kubeconfig") }

// start starts the authenticator, which reads aws-auth from the cluster, and waits until it listens. The authenticator ignores
// SIGTERM, so cluster.Stop ends it with SIGKILL.
func (a *authenticator) start(t *testing.T, cluster *controlplane.ControlPlane, environ []string) *controlplane.Program {
	t.Helper()
	program, err := cluster.StartProgram(t.Context(), "aws-iam-authenticator", environ, a.program,
		"server", "--config="+filepath.Join(a.dir, "config.json"), "--kubeconfig="+cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if err := program.WaitUntil(t.Context(), func(ctx context.Context) error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", a.address)
		if err != nil {
			return fmt.Errorf("the authenticator does not listen: %w", err)
		}
		return connection.Close()
	}); err != nil {
		t.Fatal(err)
	}
	return program
}

// backendModes are the authenticator's backends in each authentication mode, in the order in which it asks them.
// DynamicFile holds the access entries, and EKSConfigMap holds aws-auth.
var backendModes = map[access.Mode]string{
	access.ModeConfigMap:       "EKSConfigMap",
	access.ModeAPIAndConfigMap: "DynamicFile EKSConfigMap",
	access.ModeAPI:             "DynamicFile",
}

// setMode changes the authentication mode. The authenticator reads the change a moment later.
func (a *authenticator) setMode(t *testing.T, mode access.Mode) {
	t.Helper()
	a.write(t, "mode.json", server.BackendModeConfig{LastUpdatedDateTime: "0", BackendMode: backendModes[mode]})
}

// setEntries changes the access entries. The authenticator reads the change a moment later.
func (a *authenticator) setEntries(t *testing.T, entries []access.AccessEntry) {
	t.Helper()
	data := dynamicfile.DynamicFileData{LastUpdatedDateTime: "0"}
	for _, e := range entries {
		if strings.Contains(e.PrincipalARN, ":role/") {
			data.RoleMappings = append(data.RoleMappings, config.RoleMapping{RoleARN: e.PrincipalARN, UserId: entryID(&e), Username: e.Username, Groups: e.Groups})
		} else {
			data.UserMappings = append(data.UserMappings, config.UserMapping{UserARN: e.PrincipalARN, UserId: entryID(&e), Username: e.Username, Groups: e.Groups})
		}
	}
	a.write(t, "entries.json", data)
}

// entryID returns the unique id of the principal that an access entry was made for. The principal of a stale entry
// has another id now.
func entryID(e *access.AccessEntry) string {
	if e.Stale != "" {
		return "AROASTALE"
	}
	return uniqueID(e.PrincipalARN)
}

func (a *authenticator) write(t *testing.T, file string, content any) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, file), text, 0o600); err != nil {
		t.Fatal(err)
	}
}
