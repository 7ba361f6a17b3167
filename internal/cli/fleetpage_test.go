package cli_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/test/markdown"
)

const manyClustersPage = "../../docs/how-to/check-many-clusters.md"

// The page about many clusters shows the output that its commands print for five clusters: first standard output, and then standard error.
// Its example of a file for --clusters is valid. UPDATE_GOLDEN=1 writes the output into the page.
func TestManyClustersPage(t *testing.T) {
	usual := []string{"Admin", "ops", "deploy", "devs"}
	kubeconfig := fleetServer(t, []string{"prod-eu", "prod-us", "prod-ap", "staging", "legacy"}, map[string]clusterHandler{
		"prod-eu": withRoles(usual...), "prod-us": withRoles(usual...), "prod-ap": withRoles(usual...),
		"staging": withRoles("Admin", "ops", "deploy", "ops", "team/ci", "devs"), "legacy": failing(http.StatusUnauthorized, "Unauthorized"),
	})
	src, err := os.ReadFile(manyClustersPage)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(src), "\n")
	blocks, err := markdown.Blocks(lines)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range slices.Backward(blocks) {
		if b.Marker != "held by TestManyClustersPage" {
			continue
		}
		if b.Language == "yaml" {
			if _, err := config.ParseClusters("accounts.yaml", []byte(strings.Join(b.Lines, "\n"))); err != nil {
				t.Error(err)
			}
			continue
		}
		commands, err := b.Commands()
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for _, c := range commands {
			args, ok := strings.CutPrefix(c.Input[0], "kubectl awsauth ")
			if !ok || len(c.Input) > 1 {
				t.Fatalf("%v is not one command of kubectl awsauth", c.Input)
			}
			_, stdout, stderr := run(t.Context(), t, "", append(strings.Fields(args), "--kubeconfig", kubeconfig)...)
			want = append(append(want, "$ "+c.Input[0]), strings.Split(strings.TrimSuffix(stdout+stderr, "\n"), "\n")...)
		}
		if diff := cmp.Diff(want, b.Lines); diff != "" && os.Getenv("UPDATE_GOLDEN") == "" {
			t.Errorf("%s:%d is not current (-want +got); run make generate:\n%s", manyClustersPage, b.First, diff)
		}
		lines = slices.Concat(lines[:b.First], want, lines[b.Last:])
	}
	if os.Getenv("UPDATE_GOLDEN") != "" {
		writeDoc(t, manyClustersPage, strings.Join(lines, "\n"))
	}
}
