package integration_test

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notConnection are the flags in the output of kubectl options that choose neither the cluster nor the user. They are about kubectl's caches,
// logs, profiles and warnings.
var notConnection = []string{
	"cache-dir", "kuberc", "log-flush-frequency", "match-server-version", "profile", "profile-output", "v", "vmodule", "warnings-as-errors",
}

// TestPluginHasFlagsOfKubectl: the help of a command that reads the cluster names every flag of kubectl that chooses the cluster or the user.
// Only rollback doesn't have the flags that impersonate a user.
func TestPluginHasFlagsOfKubectl(t *testing.T) {
	p := newPlugin(t)
	options, err := exec.CommandContext(t.Context(), cluster.Kubectl(), "options").Output()
	if err != nil {
		t.Fatal(err)
	}
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)=`).FindAllStringSubmatch(string(options), -1)
	if len(flags) < 20 {
		t.Fatalf("%d flags in\n%s", len(flags), options)
	}
	for _, command := range []string{"lint", "explain", "diff", "get", "history", "history show", "rollback"} {
		_, help, _ := p.run(t.Context(), t, "", append([]string{"awsauth"}, append(strings.Fields(command), "--help")...)...)
		for _, flag := range flags {
			name := flag[1]
			want := !slices.Contains(notConnection, name) && (command != "rollback" || name != "as" && !strings.HasPrefix(name, "as-"))
			if has := regexp.MustCompile(`--` + name + `[ ,\n]`).MatchString(help); has != want {
				t.Errorf("%s: the help has --%s: %v, want %v", command, name, has, want)
			}
		}
	}
}

// TestPluginImpersonates: with --as, the plugin has the rights of the impersonated user. In the tests' cluster every authenticated user may
// read aws-auth, so the impersonated user is anonymous.
func TestPluginImpersonates(t *testing.T) {
	p := newPlugin(t)
	store(t, base())
	const refused = `configmaps "aws-auth" is forbidden: User "system:anonymous" cannot get resource "configmaps"`
	for _, command := range []string{"lint", "explain " + aliceARN, "get"} {
		args := append([]string{"awsauth"}, strings.Fields(command)...)
		if status, _, stderr := p.run(t.Context(), t, "", append(args, "--as", "system:anonymous")...); status != 2 || !strings.Contains(stderr, refused) {
			t.Errorf("%s as a user: status %d, %s", command, status, stderr)
		}
		if status, stdout, stderr := p.run(t.Context(), t, "", append(args, "--as", "system:anonymous", "--as-group", "system:masters")...); status != 0 {
			t.Errorf("%s as an admin: status %d, %s%s", command, status, stdout, stderr)
		}
	}
}
