package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clusterHandler answers the requests of one of several clusters.
type clusterHandler http.HandlerFunc

// fleetServer starts a server that imitates the API servers of several clusters, each below a path of its own. The kubeconfig has a context
// for each cluster, and the first one is the current context.
func fleetServer(t *testing.T, names []string, handlers map[string]clusterHandler) (kubeconfig string) {
	t.Helper()
	mux := http.NewServeMux()
	for i, name := range names {
		prefix := fmt.Sprintf("/c%d", i)
		mux.Handle(prefix+"/", http.StripPrefix(prefix, http.HandlerFunc(handlers[name])))
	}
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // the clusters share connections, and the program closes them after it has read one cluster
	server.StartTLS()
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	writeFile(t, kubeconfig+".ca", string(ca))
	var clusters, contexts []map[string]any
	for i, name := range names {
		clusters = append(clusters, map[string]any{"name": name, "cluster": map[string]any{"server": fmt.Sprintf("%s/c%d", server.URL, i), "certificate-authority": kubeconfig + ".ca"}})
		contexts = append(contexts, map[string]any{"name": name, "context": map[string]any{"cluster": name}})
	}
	config, err := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "Config", "current-context": names[0], "clusters": clusters, "contexts": contexts})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, kubeconfig, string(config))
	return kubeconfig
}

// withRoles answers like a cluster with liveRBAC whose aws-auth maps roles to groups. pairs has the name of each role, and then its groups.
func withRoles(pairs ...string) clusterHandler {
	var b strings.Builder
	for pair := range slices.Chunk(pairs, 2) {
		fmt.Fprintf(&b, "- rolearn: arn:aws:iam::111122223333:role/%s\n  username: %[1]s\n  groups: [%s]\n", pair[0], pair[1])
	}
	return withData(map[string]string{"mapRoles": b.String()})
}

// withData answers like a cluster with liveRBAC whose aws-auth has this data.
func withData(data map[string]string) clusterHandler {
	object, err := json.Marshal(map[string]any{"kind": "ConfigMap", "apiVersion": "v1", "metadata": map[string]any{"name": "aws-auth", "namespace": "kube-system"}, "data": data})
	if err != nil {
		panic(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == awsAuthPath {
			_, _ = w.Write(object)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, rbacPath)
		if next := r.URL.Query().Get("continue"); next != "" {
			name += "?continue=" + next
		}
		fmt.Fprint(w, liveRBAC[name])
	}
}

// failing answers each request with an error of the API server.
func failing(code int, reason string) clusterHandler {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, strings.ToLower(reason), reason, code)
	}
}

// without answers like next, but answers requests for the paths with the status 403.
func without(next clusterHandler, paths ...string) clusterHandler {
	return func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(paths, r.URL.Path) {
			failing(http.StatusForbidden, "Forbidden")(w, r)
			return
		}
		next(w, r)
	}
}

// hanging never answers.
func hanging(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

const fleetNote = "note: access entries are not included, and may shadow rows of aws-auth; --clusters FILE reads them from EKS\n"

const unauthorizedReason = "the API server did not accept your credentials, possibly because aws-auth does not map you; find the cause with kubectl awsauth doctor, log in as the IAM principal that created the cluster, or create an access entry for yourself (unauthorized)"

// get --contexts compares the access in several clusters. The principals whose access differs come first. If a cluster can't be read, its
// access is unknown, stderr has the reason, and the exit status is 3.
func TestGetComparesClusters(t *testing.T) {
	usual := withRoles("ops", "ops", "devs", "devs")
	kubeconfig := fleetServer(t, []string{"prod-b", "prod-a", "staging", "locked", "partly"}, map[string]clusterHandler{
		"prod-a": usual, "prod-b": usual, "staging": withRoles("ops", "ops", "devs", "ops", "ci", "cd"),
		"locked": failing(http.StatusUnauthorized, "Unauthorized"),
		"partly": without(usual, rbacPath+"clusterroles"),
	})
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"--contexts prod-a,prod-b", 0, `PRINCIPAL                             DIFFERS IN   prod-a +1
arn:aws:iam::111122223333:role/ops    -            admin
arn:aws:iam::111122223333:role/devs   -            view (team)

prod-a +1: prod-a, prod-b
`, fleetNote},
		{"--contexts prod-a,prod-b,staging", 0, `PRINCIPAL                             DIFFERS IN   prod-a +1     staging
arn:aws:iam::111122223333:role/devs   staging      view (team)   admin
arn:aws:iam::111122223333:role/ci     staging      -             none
arn:aws:iam::111122223333:role/ops    -            admin         admin

prod-a +1: prod-a, prod-b
`, fleetNote},
		{"--contexts prod-a,staging,locked", 3, `PRINCIPAL                             DIFFERS IN   prod-a        staging   locked
arn:aws:iam::111122223333:role/devs   staging      view (team)   admin     unknown
arn:aws:iam::111122223333:role/ci     staging      -             none      unknown
arn:aws:iam::111122223333:role/ops    -            admin         admin     unknown
`, "note: in 2 of 3 clusters: " + strings.TrimPrefix(fleetNote, "note: ") +
			"locked: unknown: reading kube-system/aws-auth in the context locked: " + unauthorizedReason + "\n"},
		{
			"--contexts partly,prod-a", 3, `PRINCIPAL                             DIFFERS IN   partly    prod-a
arn:aws:iam::111122223333:role/ops    -            unknown   admin
arn:aws:iam::111122223333:role/devs   -            unknown   view (team)
`, fleetNote + "partly: partial: reading clusterroles in the context partly: you need the verb list on clusterroles.rbac.authorization.k8s.io in all namespaces (forbidden)\n",
		},
		{
			"--contexts all -o name", 3, strings.ReplaceAll("R/devs\nR/ci\nR/ops\n", "R", "arn:aws:iam::111122223333:role"),
			"note: in 4 of 5 clusters: " + strings.TrimPrefix(fleetNote, "note: ") +
				"locked: unknown: reading kube-system/aws-auth in the context locked: " + unauthorizedReason + "\n" +
				"partly: partial: reading clusterroles in the context partly: you need the verb list on clusterroles.rbac.authorization.k8s.io in all namespaces (forbidden)\n",
		},
		{"--contexts all arn:aws:iam::111122223333:role/nobody -o name", 3, "", ""},
		{"--contexts prod-a,staging arn:aws:iam::111122223333:role/ci -o name", 0, "arn:aws:iam::111122223333:role/ci\n", ""},
		{"--contexts prod-a,prod-b arn:aws:iam::111122223333:role/ci", 1, "PRINCIPAL   DIFFERS IN   prod-a +1\n\nprod-a +1: prod-a, prod-b\n", ""},
		{"--contexts prod-a,staging --admins -o wide --no-headers", 0, `arn:aws:iam::111122223333:role/devs   yes   view (team)   devs   devs   -   1: prod-a
arn:aws:iam::111122223333:role/devs   yes   admin         devs   ops    -   1: staging
arn:aws:iam::111122223333:role/ops    no    admin         ops    ops    -   2: prod-a, staging
`, fleetNote},
	} {
		status, stdout, stderr := run(t.Context(), t, "", append([]string{"get", "--kubeconfig", kubeconfig}, strings.Fields(test.args)...)...)
		if test.stderr == "" {
			test.stderr = stderr
		}
		if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{stdout, stderr}); diff != "" || status != test.status {
			t.Errorf("get %s: status %d (-want +got):\n%s", test.args, status, diff)
		}
	}
}

// manyClusters returns the kubeconfig of five clusters: a and b are equal, faulty has a denied finding, locked can't be read, and other maps
// only ops, to another group.
func manyClusters(t *testing.T) (kubeconfig string) {
	t.Helper()
	usual := withRoles("ops", "ops", "devs", "devs")
	return fleetServer(t, []string{"a", "b", "faulty", "locked", "other"}, map[string]clusterHandler{
		"a": usual, "b": usual, "faulty": withRoles("ops", "ops", "team/devs", "devs"), "other": withRoles("ops", "admins"),
		"locked": failing(http.StatusUnauthorized, "Unauthorized"),
	})
}

const lockedLine = "locked: unknown: reading kube-system/aws-auth in the context locked: " + unauthorizedReason + "\n"

// lint --contexts lints the live object of each cluster. If a cluster is unknown, the exit status is 3, even if another cluster has a denied
// finding.
func TestLintChecksClusters(t *testing.T) {
	kubeconfig := manyClusters(t)
	const finding = `faulty/kube-system/aws-auth: data.mapRoles[1].rolearn:4:12: deny: "arn:aws:iam::111122223333:role/team/devs" has a path, and STS leaves the path out, so it never matches a caller [role-path]
    hint: write arn:aws:iam::111122223333:role/devs
`
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"--contexts a,b", 0, "", "2 clusters, 2 aws-auth: nothing found\n"},
		{"--contexts a,faulty", 1, finding, "2 clusters, 2 aws-auth: 1 denied\n"},
		{"--contexts a,locked", 3, "", lockedLine + "2 clusters, 1 aws-auth: 1 with errors\n"},
		{"--contexts all", 3, finding, lockedLine + "5 clusters, 4 aws-auth: 1 denied, 1 with errors\n"},
		{"--contexts a,faulty --rule role-path=off", 0, "", "2 clusters, 2 aws-auth: nothing found\n"},
		{"--contexts a,faulty,locked -o openmetrics", 3, `# TYPE awsauth_guard_fleet_cluster_known gauge
# HELP awsauth_guard_fleet_cluster_known Whether the whole cluster was read (1), or not (0).
awsauth_guard_fleet_cluster_known{cluster="a"} 1
awsauth_guard_fleet_cluster_known{cluster="faulty"} 1
awsauth_guard_fleet_cluster_known{cluster="locked"} 0
# TYPE awsauth_guard_fleet_findings gauge
# HELP awsauth_guard_fleet_findings Findings of kubectl awsauth lint in the cluster, without those of the baseline.
awsauth_guard_fleet_findings{cluster="faulty",rule="role-path",severity="deny"} 1
# EOF
`, lockedLine + "3 clusters, 2 aws-auth: 1 denied, 1 with errors\n"},
	} {
		status, stdout, stderr := run(t.Context(), t, "", append([]string{"lint", "--kubeconfig", kubeconfig}, strings.Fields(test.args)...)...)
		if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{stdout, stderr}); diff != "" || status != test.status {
			t.Errorf("lint %s: status %d (-want +got):\n%s", test.args, status, diff)
		}
	}
}

// One SARIF log has the findings of all clusters, and an error for each cluster that can't be read.
func TestLintWritesOneSARIFLogForAllClusters(t *testing.T) {
	_, stdout, _ := run(t.Context(), t, "", "lint", "--kubeconfig", manyClusters(t), "--contexts", "all", "-o", "sarif")
	var sarif struct {
		Runs []struct {
			Results []struct {
				RuleID string `json:"ruleId"`
			} `json:"results"`
			Invocations []struct {
				Successful    bool  `json:"executionSuccessful"`
				Notifications []any `json:"toolExecutionNotifications"`
			} `json:"invocations"`
		} `json:"runs"`
	}
	if err := json.Unmarshal([]byte(stdout), &sarif); err != nil || len(sarif.Runs) != 1 {
		t.Fatal(err, stdout)
	}
	r := sarif.Runs[0]
	if len(r.Results) != 1 || r.Results[0].RuleID != "role-path" || len(r.Invocations) != 1 || r.Invocations[0].Successful || len(r.Invocations[0].Notifications) != 1 {
		t.Error(stdout)
	}
}

// diff compares each cluster with a file or with the first cluster. Equal differences of several clusters appear once.
func TestDiffComparesClusters(t *testing.T) {
	kubeconfig := manyClusters(t)
	file := filepath.Join(t.TempDir(), "aws-auth.yaml")
	writeFile(t, file, `apiVersion: v1
kind: ConfigMap
metadata: {name: aws-auth, namespace: kube-system}
data:
  mapRoles: |
    - {rolearn: "arn:aws:iam::111122223333:role/ops", username: ops, groups: [admins]}
`)
	const opsAndDevs = `~ arn:aws:iam::111122223333:role/ops
    username: ops
    groups:   ops → admins
    gains:    admins
    loses:    ops
- arn:aws:iam::111122223333:role/devs
    username: devs
    groups:   devs
`
	for _, test := range []struct {
		args           string
		status         int
		stdout, stderr string
	}{
		{"--contexts a,b", 0, "", "1 cluster: 0 different from a/kube-system/aws-auth, 0 unknown\n"},
		{"--contexts a,b,other", 1, "access: a/kube-system/aws-auth → other\n" + opsAndDevs, "2 clusters: 1 different from a/kube-system/aws-auth, 0 unknown\n"},
		{file + " --contexts other", 0, "", "1 cluster: 0 different from " + file + ", 0 unknown\n"},
		{file + " --contexts other,locked,a,b", 3, "access: a, b → " + file + "\n" + opsAndDevs, lockedLine + "4 clusters: 2 different from " + file + ", 1 unknown\n"},
		{"--contexts locked,a", 3, "", lockedLine + "note: locked can't be read, and the other clusters are compared with it; name another cluster first\n1 cluster: 0 different from locked/kube-system/aws-auth, 1 unknown\n"},
		{
			"--contexts locked,a -o json", 3, `{
  "comparedWith": "locked/kube-system/aws-auth",
  "clusters": [
    {
      "name": "a",
      "state": "unknown",
      "errors": [
        "locked, with which this cluster is compared, can't be read: ` + strings.TrimSuffix(strings.TrimPrefix(lockedLine, "locked: unknown: "), "\n") + `"
      ],
      "changes": []
    }
  ]
}
`, lockedLine + "note: locked can't be read, and the other clusters are compared with it; name another cluster first\n1 cluster: 0 different from locked/kube-system/aws-auth, 1 unknown\n",
		},
		{"--contexts a", 2, "", "error: there is only one cluster; name NEW, or a second cluster to compare it with\n"},
	} {
		status, stdout, stderr := run(t.Context(), t, "", append([]string{"diff", "--kubeconfig", kubeconfig}, strings.Fields(test.args)...)...)
		if diff := cmp.Diff([]string{test.stdout, test.stderr}, []string{stdout, stderr}); diff != "" || status != test.status {
			t.Errorf("diff %s: status %d (-want +got):\n%s", test.args, status, diff)
		}
	}
}

// With --baseline, a command shows only results that the saved output lacks, and the exit status is 1 only if there are such results. An
// unknown cluster gives the exit status 3 even if it is unknown in the saved output.
func TestBaselineLeavesOutEarlierResults(t *testing.T) {
	kubeconfig := manyClusters(t)
	for _, test := range []struct {
		before, now string
		status      int
		stdout      string
	}{
		{"lint --contexts faulty", "lint --contexts faulty,a", 0, ""},
		{"lint --contexts a", "lint --contexts a,faulty", 1, "[role-path]"},
		{"lint --contexts faulty,locked", "lint --contexts faulty,locked", 3, ""},
		{"diff --contexts a,other", "diff --contexts a,other,b", 0, ""},
		{"diff --contexts a,other", "diff --contexts b,other,a,faulty", 1, "- arn:aws:iam::111122223333:role/devs"},
		{"get --contexts a,b", "get --contexts a,b -o name", 0, ""},
		{"get --contexts a", "get --contexts a --admins -o name", 0, ""},
		{"get --contexts a --admins", "get --contexts a --admins -o name", 0, ""},
		{"get --contexts a,other", "get --contexts a,faulty -o name", 1, "arn:aws:iam::111122223333:role/ops\n"},
		{"get --contexts a,locked", "get --contexts a,locked -o name", 3, ""},
	} {
		saved := filepath.Join(t.TempDir(), "baseline.json")
		_, stdout, stderr := run(t.Context(), t, "", append(strings.Fields(test.before), "-o", "json", "--kubeconfig", kubeconfig)...)
		writeFile(t, saved, stdout)
		status, stdout, stderr2 := run(t.Context(), t, "", append(strings.Fields(test.now), "--baseline", saved, "--kubeconfig", kubeconfig)...)
		if status != test.status || (test.stdout == "") != (stdout == "") || !strings.Contains(stdout, test.stdout) {
			t.Errorf("%s, then %s: status %d\n%s%s%s", test.before, test.now, status, stdout, stderr, stderr2)
		}
	}
}

// A file that is not the JSON of the same command for several clusters is no baseline.
func TestBaselineMustBeOutputOfTheCommand(t *testing.T) {
	kubeconfig := manyClusters(t)
	for command, other := range map[string]string{"lint": "get", "get": "diff", "diff": "lint"} {
		saved := filepath.Join(t.TempDir(), "baseline.json")
		_, stdout, _ := run(t.Context(), t, "", other, "--contexts", "a,b", "-o", "json", "--kubeconfig", kubeconfig)
		for _, text := range []string{stdout, "{}", "[]", "x", ""} {
			writeFile(t, saved, text)
			status, out, stderr := run(t.Context(), t, "", command, "--contexts", "a,b", "--baseline", saved, "--kubeconfig", kubeconfig)
			if status != 2 || out != "" || !strings.Contains(stderr, "error: reading the baseline "+saved) {
				t.Errorf("%s with %q: status %d, %s%s", command, text, status, out, stderr)
			}
		}
	}
}

// get --baseline shows only the principals that gained access. A note counts the principals that lost access. If a flag such as --admins
// leaves out a principal, the principal doesn't count as one that lost access.
func TestGetBaselineCountsGainedAccess(t *testing.T) {
	both := func(second string) clusterHandler { return withRoles("ops", "ops", "devs", second) }
	const lost = "note: 1 principal has less access than in BASELINE; get --baseline shows only new access\n"
	for name, test := range map[string]struct {
		before, now clusterHandler
		flags       string
		status      int
		stdout      string
		note        string
	}{
		"a group is lost":                    {both("devs, extra"), both("devs"), "", 0, "", lost},
		"a group is gained":                  {both("devs"), both("devs, extra"), "", 1, opsARN[:len(opsARN)-len("ops")] + "devs\n", ""},
		"a group is replaced":                {both("devs"), both("extra"), "", 1, opsARN[:len(opsARN)-len("ops")] + "devs\n", ""},
		"an admin becomes less":              {both("ops"), both("devs"), "", 1, opsARN[:len(opsARN)-len("ops")] + "devs\n", ""},
		"a principal is lost":                {both("devs"), withRoles("ops", "ops"), "", 0, "", lost},
		"other principals aren't selected":   {both("devs"), both("devs"), "--admins", 0, "", ""},
		"an unselected principal has gained": {both("devs"), both("devs, extra"), "--admins", 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			saved := filepath.Join(t.TempDir(), "baseline.json")
			_, stdout, _ := run(t.Context(), t, "", "get", "--contexts", "x", "-o", "json", "--kubeconfig", fleetServer(t, []string{"x"}, map[string]clusterHandler{"x": test.before}))
			writeFile(t, saved, stdout)
			args := append(strings.Fields("get --contexts x -o name "+test.flags), "--baseline", saved, "--kubeconfig", fleetServer(t, []string{"x"}, map[string]clusterHandler{"x": test.now}))
			status, stdout, stderr := run(t.Context(), t, "", args...)
			if diff := cmp.Diff([]string{test.stdout, "note: x: " + strings.TrimPrefix(fleetNote, "note: ") + strings.ReplaceAll(test.note, "BASELINE", saved)}, []string{stdout, stderr}); diff != "" || status != test.status {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		})
	}
}

// The metrics have the number of principals only for a cluster that was read as a whole.
func TestOpenMetricsLeavesOutPartialClusters(t *testing.T) {
	usual := withRoles("ops", "ops")
	kubeconfig := fleetServer(t, []string{"a", "partly"}, map[string]clusterHandler{"a": usual, "partly": without(usual, rbacPath+"clusterroles")})
	status, stdout, stderr := run(t.Context(), t, "", "get", "--contexts", "a,partly", "-o", "openmetrics", "--kubeconfig", kubeconfig)
	if status != 3 || !strings.Contains(stdout, `principals{cluster="a",access="admin"} 1`) || strings.Count(stdout, `cluster="partly"`) != 1 || !strings.Contains(stdout, `cluster_known{cluster="partly"} 0`) {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

// A cluster that refuses every read is unknown, because without aws-auth and access entries no principal is known. The error has the reason
// for aws-auth, and counts the other refused requests.
func TestGetKnowsNoPrincipalWithoutAWSAuth(t *testing.T) {
	kubeconfig := fleetServer(t, []string{"a", "refused"}, map[string]clusterHandler{"a": withRoles("ops", "ops"), "refused": failing(http.StatusForbidden, "Forbidden")})
	status, _, stderr := run(t.Context(), t, "", "get", "--contexts", "a,refused", "--kubeconfig", kubeconfig)
	want := "refused: unknown: reading kube-system/aws-auth in the context refused: you need the verb get on the configmap aws-auth in the namespace kube-system (forbidden); 4 other requests were refused or failed, too\n"
	if status != 3 || !strings.HasSuffix(stderr, want) || strings.Count(stderr, "\n") != 2 {
		t.Errorf("status %d\n%s", status, stderr)
	}
}

// --request-timeout limits a request, and --cluster-timeout limits the read of a cluster. The error names the flag whose limit was reached,
// and the request.
func TestTimeoutNamesItsFlag(t *testing.T) {
	kubeconfig := fleetServer(t, []string{"a"}, map[string]clusterHandler{"a": hanging})
	for flag, want := range map[string]string{
		"--request-timeout": "a: unknown: reading kube-system/aws-auth in the context a: the API server did not answer within the time limit, which --request-timeout sets (",
		"--cluster-timeout": "a: unknown: no answer within the time limit of 1s for a cluster, which --cluster-timeout sets (reading kube-system/aws-auth in the context a: the API server did not answer (",
	} {
		status, _, stderr := run(t.Context(), t, "", "lint", "--contexts", "a", flag, "1s", "--kubeconfig", kubeconfig)
		if status != 3 || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: status %d\n%s", flag, status, stderr)
		}
	}
}
