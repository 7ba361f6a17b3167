package repository_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestWorkflowsTestEveryKubernetesVersion: the workflow scheduled runs the tests on every version of Kubernetes that tools/kubernetes
// pins. The workflow check runs them on the oldest and the newest of these.
func TestWorkflowsTestEveryKubernetesVersion(t *testing.T) {
	list := exec.CommandContext(t.Context(), root+"/tools/controlplane.sh", "--list")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	versions := strings.Fields(string(out))
	all := workflows(t)
	for name, want := range map[string][]string{
		"scheduled": versions,
		"check":     {versions[0], versions[len(versions)-1]},
	} {
		if diff := cmp.Diff(want, all[name].Jobs["kubernetes"].Strategy.Matrix.Version); diff != "" {
			t.Errorf("%s: the job kubernetes tests the versions (-want +got):\n%s", name, diff)
		}
	}
}
