package cli_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// The paths of the API server that get reads.
const (
	awsAuthPath = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
	rbacPath    = "/apis/rbac.authorization.k8s.io/v1/"
)

// liveRBAC has the lists of RBAC objects that the API server returns, by the resource. The group ops are admins, and the group devs views the
// namespace team. The list of ClusterRoles has two pages.
var liveRBAC = map[string]string{
	"clusterroles": `{"kind":"ClusterRoleList","apiVersion":"rbac.authorization.k8s.io/v1","metadata":{"continue":"next"},"items":[
{"metadata":{"name":"cluster-admin"},"rules":[{"verbs":["*"],"apiGroups":["*"],"resources":["*"]}]}]}`,
	"clusterroles?continue=next": `{"kind":"ClusterRoleList","apiVersion":"rbac.authorization.k8s.io/v1","items":[
{"metadata":{"name":"view"},"rules":[{"verbs":["get"],"apiGroups":[""],"resources":["pods"]}]}]}`,
	"clusterrolebindings": `{"kind":"ClusterRoleBindingList","apiVersion":"rbac.authorization.k8s.io/v1","items":[
{"metadata":{"name":"ops"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},"subjects":[{"kind":"Group","name":"ops"}]}]}`,
	"roles": `{"kind":"RoleList","apiVersion":"rbac.authorization.k8s.io/v1","items":[]}`,
	"rolebindings": `{"kind":"RoleBindingList","apiVersion":"rbac.authorization.k8s.io/v1","items":[
{"metadata":{"name":"devs","namespace":"team"},"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},"subjects":[{"kind":"Group","name":"devs"}]}]}`,
}

const liveAWSAuth = `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"aws-auth","namespace":"kube-system"},
"data":{"mapRoles":"- rolearn: arn:aws:iam::111122223333:role/ops\n  username: ops\n  groups: [ops]\n- rolearn: arn:aws:iam::111122223333:role/devs\n  username: devs\n  groups: [devs]\n"}}`

// accessServer starts a server that imitates an API server with liveAWSAuth and liveRBAC. It answers 403 for the denied paths and 404 for
// the absent paths.
func accessServer(t *testing.T, denied, absent []string) (kubeconfig string) {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := liveAWSAuth
		if r.URL.Path != awsAuthPath {
			name := strings.TrimPrefix(r.URL.Path, rbacPath)
			if next := r.URL.Query().Get("continue"); next != "" {
				name += "?continue=" + next
			}
			body = liveRBAC[name]
		}
		fail := func(code int, reason string) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"reason":%q,"code":%d}`, strings.ToLower(reason), reason, code)
		}
		switch {
		case slices.Contains(denied, r.URL.Path):
			fail(http.StatusForbidden, "Forbidden")
			return
		case slices.Contains(absent, r.URL.Path):
			fail(http.StatusNotFound, "NotFound")
			return
		}
		if body == "" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	writeFile(t, kubeconfig+".ca", string(ca))
	writeFile(t, kubeconfig, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"prod","clusters":[{"name":"c","cluster":{"server":%q,"certificate-authority":%q}}],"contexts":[{"name":"prod","context":{"cluster":"c"}}]}`,
		server.URL, kubeconfig+".ca"))
	return kubeconfig
}

const (
	entriesNote = "note: access entries are not included, and may shadow rows of aws-auth; --cluster-name NAME reads them from EKS\n"
	opsARN      = "arn:aws:iam::111122223333:role/ops"
	devsARN     = "arn:aws:iam::111122223333:role/devs"
)

// Without a file, get combines aws-auth and RBAC of the context. If the user names the EKS cluster, it also includes the access entries.
// A part that it can't read is unknown, and the error names the missing permission.
func TestGetReadsTheCluster(t *testing.T) {
	eks := ekstest.New(t)
	viewer := ekstest.Entry(devsARN, "AmazonEKSViewPolicy")
	viewer.Groups = []string{"viewers"}
	entries := []access.AccessEntry{viewer, ekstest.Entry("arn:aws:iam::111122223333:role/platform/root", access.ClusterAdminPolicy)}
	const needEKS = "error: reading the access entries of EKS cluster prod: you need the permission eks:%s on the cluster prod (eks:%s: access denied (AccessDeniedException))\n"
	const needRBAC = "error: reading %s in the context prod: you need the verb list on %[1]s.rbac.authorization.k8s.io in all namespaces (forbidden)\n"
	const needAWSAuth = "error: reading kube-system/aws-auth in the context prod: you need the verb get on the configmap aws-auth in the namespace kube-system (forbidden)\n"
	for name, test := range map[string]struct {
		args           string
		mode           access.Mode
		deniedByEKS    []string
		denied, absent []string
		status         int
		stdout, stderr string
	}{
		"aws-auth and RBAC": {
			stdout: `PRINCIPAL                             SOURCE     USERNAME   GROUPS   POLICIES   ACCESS        STATE
arn:aws:iam::111122223333:role/ops    mapRoles   ops        ops      -          admin         ok
arn:aws:iam::111122223333:role/devs   mapRoles   devs       devs     -          view (team)   ok
`, stderr: entriesNote,
		},
		"access entries, too": {
			args: "--cluster-name prod --region eu-west-1", mode: access.ModeAPIAndConfigMap,
			stdout: `arn:aws:iam::111122223333:role/devs accessEntry arn:aws:iam::111122223333:role/devs viewers AmazonEKSViewPolicy - ok
arn:aws:iam::111122223333:role/platform/root accessEntry arn:aws:iam::111122223333:role/platform/root - AmazonEKSClusterAdminPolicy admin ok
arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin ok
arn:aws:iam::111122223333:role/devs mapRoles devs devs - - shadowed
`,
		},
		"mode API without aws-auth": {
			args: "--cluster-name prod", mode: access.ModeAPI, absent: []string{awsAuthPath},
			stdout: `arn:aws:iam::111122223333:role/devs accessEntry arn:aws:iam::111122223333:role/devs viewers AmazonEKSViewPolicy - ok
arn:aws:iam::111122223333:role/platform/root accessEntry arn:aws:iam::111122223333:role/platform/root - AmazonEKSClusterAdminPolicy admin ok
`,
			stderr: "note: reading kube-system/aws-auth in the context prod: it does not exist; EKS creates it with the first node group of a cluster, and not in authentication mode API (notfound)\n",
		},
		"mode CONFIG_MAP": {
			args: "--cluster-name prod", mode: access.ModeConfigMap,
			stdout: `arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin ok
arn:aws:iam::111122223333:role/devs mapRoles devs devs - view (team) ok
`,
		},
		"no permission to list access entries": {
			args: "--cluster-name prod", mode: access.ModeAPIAndConfigMap, deniedByEKS: []string{"ListAccessEntries"}, status: 2,
			stdout: `unknown accessEntry unknown unknown unknown unknown unknown
arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin unknown
arn:aws:iam::111122223333:role/devs mapRoles devs devs - view (team) unknown
`, stderr: fmt.Sprintf(needEKS, "ListAccessEntries", "ListAccessEntries"),
		},
		"no permission to describe the cluster": {
			args: "--cluster-name prod", mode: access.ModeAPIAndConfigMap, deniedByEKS: []string{"DescribeCluster"}, status: 2,
			stdout: `arn:aws:iam::111122223333:role/devs accessEntry arn:aws:iam::111122223333:role/devs viewers AmazonEKSViewPolicy - ok
arn:aws:iam::111122223333:role/platform/root accessEntry arn:aws:iam::111122223333:role/platform/root - AmazonEKSClusterAdminPolicy admin ok
arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin unknown
arn:aws:iam::111122223333:role/devs mapRoles devs devs - - shadowed
`, stderr: fmt.Sprintf(needEKS, "DescribeCluster", "DescribeCluster"),
		},
		"no permission to describe access entries and their policies": {
			args: "--cluster-name prod", mode: access.ModeAPI, deniedByEKS: []string{"DescribeAccessEntry", "ListAssociatedAccessPolicies"}, status: 2,
			stdout: `arn:aws:iam::111122223333:role/devs accessEntry unknown unknown unknown unknown ok
arn:aws:iam::111122223333:role/platform/root accessEntry unknown unknown unknown unknown ok
arn:aws:iam::111122223333:role/ops mapRoles ops ops - - ignored
arn:aws:iam::111122223333:role/devs mapRoles devs devs - - ignored
`, stderr: fmt.Sprintf(needEKS+needEKS, "DescribeAccessEntry", "DescribeAccessEntry", "ListAssociatedAccessPolicies", "ListAssociatedAccessPolicies"),
		},
		"no permission to read aws-auth": {
			denied: []string{awsAuthPath}, status: 2,
			stdout: `unknown mapRoles unknown unknown unknown unknown unknown
unknown mapUsers unknown unknown unknown unknown unknown
unknown mapAccounts unknown unknown unknown unknown unknown
`, stderr: needAWSAuth + entriesNote,
		},
		"no permission to read RBAC": {
			denied: []string{rbacPath + "clusterrolebindings", rbacPath + "rolebindings"}, status: 2,
			stdout: `arn:aws:iam::111122223333:role/ops mapRoles ops ops - unknown ok
arn:aws:iam::111122223333:role/devs mapRoles devs devs - unknown ok
`, stderr: entriesNote + fmt.Sprintf(needRBAC, "clusterrolebindings") + fmt.Sprintf(needRBAC, "rolebindings"),
		},
		"no permission to read bindings of namespaces": {
			denied: []string{rbacPath + "rolebindings"}, status: 2,
			stdout: `arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin ok
arn:aws:iam::111122223333:role/devs mapRoles devs devs - unknown ok
`, stderr: entriesNote + fmt.Sprintf(needRBAC, "rolebindings"),
		},
		"no such cluster": {
			args: "--cluster-name other --admins", mode: access.ModeAPI, status: 2,
			stdout: `unknown accessEntry unknown unknown unknown unknown unknown
arn:aws:iam::111122223333:role/ops mapRoles ops ops - admin unknown
`, stderr: "error: reading the access entries of EKS cluster other: eks:DescribeCluster: there is no cluster of this name in this region and account\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			eks.Set(test.mode, entries...)
			for _, action := range test.deniedByEKS {
				eks.Answer(action, ekstest.AccessDenied(action))
				t.Cleanup(func() { eks.Answer(action, nil) })
			}
			args := append([]string{"get", "--kubeconfig", accessServer(t, test.denied, test.absent)}, strings.Fields(test.args)...)
			status, stdout, stderr := run(t.Context(), t, "", args...)
			if !strings.HasPrefix(test.stdout, "PRINCIPAL") {
				stdout = withoutHeader(stdout)
			}
			if diff := cmp.Diff(test.stdout, stdout); diff != "" || status != test.status {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
			if diff := cmp.Diff(test.stderr, stderr); diff != "" {
				t.Errorf("stderr (-want +got):\n%s", diff)
			}
		})
	}
}

// withoutHeader removes the header of a table, and the padding between its cells.
func withoutHeader(table string) string {
	_, lines, _ := strings.Cut(table, "\n")
	var b strings.Builder
	for line := range strings.Lines(lines) {
		b.WriteString(strings.Join(strings.Fields(line), " ") + "\n")
	}
	return b.String()
}

// The JSON output names the fields whose values are unknown.
func TestGetNamesUnknownFields(t *testing.T) {
	kubeconfig := accessServer(t, []string{rbacPath + "clusterroles"}, nil)
	status, stdout, _ := run(t.Context(), t, "", "get", "--kubeconfig", kubeconfig, "-o", "json")
	var rows []struct {
		Principal string   `json:"principal"`
		Unknown   []string `json:"unknown"`
	}
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil || status != 2 || len(rows) != 2 {
		t.Fatalf("status %d, %v\n%s", status, err, stdout)
	}
	for _, r := range rows {
		if diff := cmp.Diff([]string{"roles", "admin"}, r.Unknown); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Principal, diff)
		}
	}
}

// If the access of a principal can't be read, get fails. It doesn't report that the principal has no access.
func TestGetOfAPrincipalFailsIfItsAccessIsUnknown(t *testing.T) {
	for _, test := range []struct {
		arn    string
		denied []string
		status int
	}{
		{opsARN, nil, 0},
		{opsARN + "x", nil, 1},
		{opsARN, []string{awsAuthPath}, 2},
		{opsARN + "x", []string{awsAuthPath}, 2},
	} {
		if status, _, stderr := run(t.Context(), t, "", "get", test.arn, "--kubeconfig", accessServer(t, test.denied, nil)); status != test.status {
			t.Errorf("%s, denied %q: status %d\n%s", test.arn, test.denied, status, stderr)
		}
	}
}

// If no region is configured, get reports an error and reads no EKS cluster.
func TestGetNeedsARegion(t *testing.T) {
	ekstest.New(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	status, _, stderr := run(t.Context(), t, "", "get", "--cluster-name", "prod", "--kubeconfig", accessServer(t, nil, nil))
	if want := "error: reading the access entries of EKS cluster prod: the AWS configuration names no region; set --region or AWS_REGION\n"; status != 2 || stderr != want {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// With --iam an access entry is stale if its principal does not exist, or if the principal was created after the access entry. In the
// second case the entry in aws-auth applies.
func TestGetFindsStaleEntries(t *testing.T) {
	aws := iamtest.New(t)
	aws.Setenv(t)
	eks := ekstest.New(t)
	for _, pair := range aws.Environ() { // ekstest.New replaced the AWS keys, and the EKS of ekstest accepts all keys
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	aws.Add(opsARN, "arn:aws:iam::111122223333:role/platform/current")
	again := ekstest.Entry(opsARN, access.ClusterAdminPolicy)
	again.Created = time.Date(2023, 1, 2, 3, 4, 5, 0, time.UTC) // before the role, see iamtest
	gone := ekstest.Entry(devsARN)
	eks.Set(access.ModeAPIAndConfigMap, again, gone, ekstest.Entry("arn:aws:iam::111122223333:role/platform/current"), ekstest.Entry("arn:aws:iam::999999999999:role/foreign"))
	kubeconfig := accessServer(t, nil, nil)
	status, stdout, stderr := run(t.Context(), t, "", "get", "--kubeconfig", kubeconfig, "--cluster-name", "prod", "--iam", "-o", "json")
	var rows []struct {
		Principal string `json:"principal"`
		Source    string `json:"source"`
		State     string `json:"state"`
		Reason    string `json:"reason"`
	}
	if err := json.Unmarshal([]byte(stdout), &rows); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Source, r.Principal, r.State, r.Reason)))
	}
	want := []string{
		"accessEntry " + devsARN + " stale IAM has no such principal",
		"accessEntry " + opsARN + " stale the principal was created at 2024-01-02T03:04:05Z, after its access entry, so it was deleted and created again; delete the access entry and create it again",
		"accessEntry arn:aws:iam::111122223333:role/platform/current ok",
		"accessEntry arn:aws:iam::999999999999:role/foreign unknown IAM was not able to say whether the principal exists",
		"mapRoles " + opsARN + " ok",
		"mapRoles " + devsARN + " stale IAM has no such principal",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if want := "error: looking up arn:aws:iam::999999999999:role/foreign in IAM: "; status != 2 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %s", status, stderr)
	}
	if status, stdout, _ := run(t.Context(), t, "", "get", "--kubeconfig", kubeconfig, "--cluster-name", "prod", "--iam", opsARN, "-o", "name"); status != 2 || stdout != opsARN+"\n" {
		t.Errorf("status %d, %s", status, stdout)
	}
}

// If an access entry has no creation time, its state is unknown, because it may be stale. If its principal does not exist, it is stale.
func TestGetDoesNotKnowWhetherAnUndatedEntryIsStale(t *testing.T) {
	aws := iamtest.New(t)
	aws.Setenv(t)
	aws.Add(opsARN)
	file := filepath.Join(t.TempDir(), "entries.json")
	writeFile(t, file, fmt.Sprintf(`[{"accessEntry":{"principalArn":%q,"kubernetesGroups":["ops"],"username":"ops","type":"STANDARD"},"associatedAccessPolicies":[]},
{"accessEntry":{"principalArn":%q,"kubernetesGroups":["devs"],"username":"devs","type":"STANDARD"},"associatedAccessPolicies":[]}]`, opsARN, devsARN))
	_, stdout, stderr := run(t.Context(), t, "", "get", "--entries", file, "--iam", "-o", "wide")
	for arn, want := range map[string]string{opsARN: "unknown", devsARN: "stale"} {
		_, row, _ := strings.Cut(stdout, arn+" ")
		if row, _, _ = strings.Cut(row, "\n"); !strings.Contains(row, want) {
			t.Errorf("%s is not %s:\n%s%s", arn, want, stdout, stderr)
		}
	}
	if want := access.ErrNoCreationTime.Error(); !strings.Contains(stdout, want) {
		t.Errorf("no %q in\n%s%s", want, stdout, stderr)
	}
}
