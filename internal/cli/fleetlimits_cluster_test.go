package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// Of 200 clusters, those that refuse the credentials, hang or send too much are unknown with their reasons. The other clusters are read. The
// command makes at most --concurrency requests at the same time.
func TestManyClustersAreReadWithinLimits(t *testing.T) {
	var names []string
	handlers := make(map[string]clusterHandler)
	var now, most atomic.Int64
	counted := func(next clusterHandler) clusterHandler {
		return func(w http.ResponseWriter, r *http.Request) {
			n := now.Add(1)
			defer now.Add(-1)
			for old := most.Load(); n > old && !most.CompareAndSwap(old, n); {
				old = most.Load()
			}
			next(w, r)
		}
	}
	flood := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for megabyte := bytes.Repeat([]byte(" "), 1<<20); ; {
			if _, err := w.Write(megabyte); err != nil {
				return
			}
		}
	}
	want := make(map[string]string)
	for i := range 200 {
		name := fmt.Sprintf("c%03d", i)
		names = append(names, name)
		switch i {
		case 3, 50, 51, 199:
			handlers[name], want[name] = hanging, "no answer within the time limit of 20s for a cluster, which --cluster-timeout sets (reading kube-system/aws-auth in the context "+name+": the API server did not answer ("
		case 4:
			handlers[name], want[name] = flood, "reading kube-system/aws-auth in the context c004: "
		case 5, 60, 100:
			handlers[name], want[name] = failing(http.StatusUnauthorized, "Unauthorized"), "reading kube-system/aws-auth in the context "+name+": "+unauthorizedReason
		default:
			handlers[name] = withRoles("ops", "ops")
		}
		handlers[name] = counted(handlers[name])
	}
	kubeconfig := fleetServer(t, names, handlers)
	status, stdout, stderr := run(t.Context(), t, "", "lint", "--kubeconfig", kubeconfig, "--contexts", "all", "--concurrency", "20", "--cluster-timeout", "20s", "-o", "json")
	var got struct {
		Clusters []struct {
			Name   string   `json:"name"`
			State  string   `json:"state"`
			Errors []string `json:"errors"`
		} `json:"clusters"`
		Verdict string `json:"verdict"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 3 || got.Verdict != "error" || len(got.Clusters) != 200 {
		t.Fatalf("status %d, %d clusters, verdict %s, %v\n%s", status, len(got.Clusters), got.Verdict, err, stderr)
	}
	for i, c := range got.Clusters {
		reason := strings.Join(c.Errors, "\n")
		if c.Name != names[i] || (c.State == "ok") != (want[c.Name] == "") || !strings.HasPrefix(reason, want[c.Name]) {
			t.Errorf("%+v, want %q", c, want[c.Name])
		}
	}
	if most.Load() > 20 {
		t.Errorf("%d requests at the same time", most.Load())
	}
}

// If the kubeconfig lacks a context, or if flags contradict --contexts or --clusters, the command fails before it reads a cluster.
func TestFlagsForManyClustersAreChecked(t *testing.T) {
	kubeconfig := manyClusters(t)
	for args, want := range map[string]string{
		"get --contexts a,nowhere":                 `--contexts: the kubeconfig has no context "nowhere"; kubectl config get-contexts lists the contexts`,
		"get --contexts all,a":                     "--contexts all includes every context; leave out the other names",
		"get --contexts a,":                        "--contexts has an empty name",
		"get --contexts a --clusters f":            "--contexts and --clusters exclude each other",
		"get --contexts a --context b":             "--context can't be used with --contexts",
		"lint --contexts a --server https://x":     "--server can't be used with --contexts",
		"lint --clusters f":                        "--kubeconfig can't be used with --clusters",
		"get --contexts a --cluster-name b":        "--cluster-name can't be used with --contexts",
		"lint --contexts a --old f":                "--old can't be used with --contexts",
		"lint f --contexts a":                      "lint checks either a FILE, or the clusters of --contexts or --clusters",
		"diff a b --contexts a":                    "2 arguments, but with several clusters diff takes NEW alone, or none",
		"get --contexts a --concurrency 0":         "--concurrency must be between 1 and 100",
		"get --contexts a --concurrency 101":       "--concurrency must be between 1 and 100",
		"get --contexts a --cluster-timeout 0s":    "--cluster-timeout must be a time such as 10s or 1m",
		"lint --baseline f":                        "--baseline needs several clusters: set --contexts or --clusters",
		"lint -o openmetrics":                      "-o openmetrics needs several clusters: set --contexts or --clusters",
		"get --contexts a --baseline testdata/nil": "reading the baseline: open testdata/nil: no such file or directory",
	} {
		status, stdout, stderr := run(t.Context(), t, "", append(strings.Fields(args), "--kubeconfig", kubeconfig)...)
		if first, _, _ := strings.Cut(stderr, "\n"); status != 2 || stdout != "" || first != "error: "+want {
			t.Errorf("%s: status %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// If the kubeconfig lacks the cluster of a context, this context is unknown, and the command still reads the other contexts.
func TestFaultyContextIsUnknown(t *testing.T) {
	kubeconfig := manyClusters(t)
	src, err := os.ReadFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, kubeconfig, strings.Replace(string(src), `"contexts":[`, `"contexts":[{"name":"gone","context":{"cluster":"gone"}},`, 1))
	status, stdout, stderr := run(t.Context(), t, "", "lint", "--kubeconfig", kubeconfig, "--contexts", "a,gone")
	if status != 3 || stdout != "" || !strings.HasPrefix(stderr, "gone: unknown: ") {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}
