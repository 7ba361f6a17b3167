package cli_test

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// describedBy makes EKS list and describe a cluster for each of these API servers, by the names in the map. The clusters are in the account
// 111122223333 and have the authentication mode.
func describedBy(eks *ekstest.Server, servers map[string]*httptest.Server, mode access.Mode) {
	eks.Answer("ListClusters", func(w http.ResponseWriter, _ *http.Request) {
		names := []string{}
		for name := range servers {
			names = append(names, name)
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"clusters": names})
	})
	eks.Answer("DescribeCluster", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("cluster")
		s := servers[name]
		ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
		_ = json.NewEncoder(w).Encode(map[string]any{"cluster": map[string]any{
			"name": name, "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/" + name, "status": "ACTIVE", "endpoint": s.URL,
			"certificateAuthority": map[string]any{"data": base64.StdEncoding.EncodeToString(ca)}, "accessConfig": map[string]any{"authenticationMode": mode},
		}})
	})
}

// startAWS starts a server that imitates EKS, and one that imitates IAM and STS. It sets the environment variables that make the AWS SDK call
// them, and names a kubeconfig that does not exist.
func startAWS(t *testing.T) (*ekstest.Server, *iamtest.Server) {
	t.Helper()
	iam := iamtest.New(t)
	iam.Setenv(t)
	server := ekstest.Start()
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_EKS", server.URL)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	return server, iam
}

// accountsFile returns the path of a file for --clusters with these accounts.
func accountsFile(t *testing.T, accounts ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "accounts.yaml")
	writeFile(t, name, "apiVersion: awsauth-guard.io/v1alpha1\nkind: ClusterList\naccounts:\n- "+strings.Join(accounts, "\n- ")+"\n")
	return name
}

// ownAccount is the element of accounts for the account that the credentials of the environment belong to.
const ownAccount = `{account: "111122223333", regions: [eu-west-1]}`

// loggedIn starts an API server that accepts only bearer tokens in the format of EKS, with any signature.
func loggedIn(t *testing.T, next clusterHandler) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer k8s-aws-v1.")
		url, err := base64.RawURLEncoding.DecodeString(encoded)
		if !ok || err != nil || !strings.Contains(string(url), "X-Amz-Signature=") {
			failing(http.StatusUnauthorized, "Unauthorized")(w, r)
			return
		}
		next(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// --clusters lists the clusters of each account, logs in to each with an EKS token, and needs no kubeconfig. get prints no note on missing
// access entries.
func TestClustersFileNeedsNoKubeconfig(t *testing.T) {
	server, _ := startAWS(t)
	server.Set(access.ModeAPIAndConfigMap)
	describedBy(server, map[string]*httptest.Server{
		"prod": loggedIn(t, withRoles("ops", "ops")), "dev": loggedIn(t, withRoles("ops", "ops", "devs", "devs")), "broken": loggedIn(t, withRoles("team/ops", "ops")),
	}, access.ModeConfigMap)
	accounts := filepath.Join(t.TempDir(), "accounts.yaml")
	writeFile(t, accounts, `apiVersion: awsauth-guard.io/v1alpha1
kind: ClusterList
accounts:
- {account: "111122223333", regions: [eu-west-1], clusters: [prod, dev]}
`)
	status, stdout, stderr := run(t.Context(), t, "", "get", "--clusters", accounts)
	want := `PRINCIPAL                             DIFFERS IN   prod    dev
arn:aws:iam::111122223333:role/devs   dev          -       view (team)
arn:aws:iam::111122223333:role/ops    -            admin   admin
`
	if diff := cmp.Diff(want, stdout); diff != "" || status != 0 || stderr != "" {
		t.Errorf("status %d, %s (-want +got):\n%s", status, stderr, diff)
	}
	writeFile(t, accounts, `{apiVersion: awsauth-guard.io/v1alpha1, kind: ClusterList, accounts: [{account: "111122223333", regions: [eu-west-1]}]}`)
	status, stdout, stderr = run(t.Context(), t, "", "lint", "--clusters", accounts)
	if status != 1 || !strings.HasPrefix(stdout, "111122223333/eu-west-1/broken/kube-system/aws-auth: data.mapRoles[0].rolearn:1:12: deny:") || stderr != "3 clusters, 3 aws-auth: 1 denied\n" {
		t.Errorf("status %d\n%s%s", status, stdout, stderr)
	}
}

// get --clusters shows the access that access entries give. In mode API a cluster without aws-auth is not unknown.
func TestClustersFileReadsAccessEntries(t *testing.T) {
	server, _ := startAWS(t)
	server.Set(access.ModeAPI, ekstest.Entry(opsARN, access.ClusterAdminPolicy), ekstest.Entry(devsARN, "AmazonEKSViewPolicy"))
	api := loggedIn(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == awsAuthPath {
			failing(http.StatusNotFound, "NotFound")(w, r)
			return
		}
		withRoles()(w, r)
	})
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	server.SetCA(ca)
	server.SetFields(map[string]any{"endpoint": api.URL})
	accounts := filepath.Join(t.TempDir(), "accounts.yaml")
	writeFile(t, accounts, `{apiVersion: awsauth-guard.io/v1alpha1, kind: ClusterList, accounts: [{account: "111122223333", regions: [eu-west-1]}]}`)
	status, stdout, stderr := run(t.Context(), t, "", "get", "--clusters", accounts, "--no-headers")
	want := "arn:aws:iam::111122223333:role/ops    -   admin\narn:aws:iam::111122223333:role/devs   -   AmazonEKSViewPolicy\n"
	if diff := cmp.Diff(want, stdout); diff != "" || status != 0 {
		t.Errorf("get: status %d, %s (-want +got):\n%s", status, stderr, diff)
	}
	if status, stdout, stderr := run(t.Context(), t, "", "lint", "--clusters", accounts); status != 0 || stdout != "" || !strings.Contains(stderr, "note: 111122223333/eu-west-1/prod: there is no aws-auth; the authentication mode of the cluster is API\n") {
		t.Errorf("lint: status %d\n%s%s", status, stdout, stderr)
	}
}

// An account whose role can't be assumed and a cluster of another account are unknown, with the reason in the error. The error has no token.
func TestClustersFileReportsUnknownAccounts(t *testing.T) {
	server, iam := startAWS(t)
	const reader = "arn:aws:iam::222233334444:role/team/Reader"
	iam.Trust(reader, "4711")
	api := loggedIn(t, withRoles("ops", "ops"))
	describedBy(server, map[string]*httptest.Server{"prod": api}, access.ModeConfigMap)
	accounts := filepath.Join(t.TempDir(), "accounts.yaml")
	for _, test := range []struct {
		account string
		want    string
	}{
		{`{account: "111122223333", regions: [eu-west-1]}`, ""},
		{`{account: "222233334444", roleARN: ` + reader + `, externalID: "4711", regions: [eu-west-1]}`, "222233334444/eu-west-1/prod: unknown: the credentials are for the account 111122223333; set roleARN for the account 222233334444\n"},
		{`{account: "222233334444", roleARN: ` + reader + `, regions: [eu-west-1]}`, "222233334444/eu-west-1: unknown: listing the clusters: cannot assume the role " + reader + "; your credentials need the permission sts:AssumeRole, and the role must trust them; if the role needs an external id, set externalID ("},
		{`{account: "222233334444", roleARN: ` + reader + `, externalID: x, regions: [eu-west-1]}`, "222233334444/eu-west-1: unknown: listing the clusters: cannot assume the role " + reader + "; your credentials need the permission sts:AssumeRole, and the role must trust them with the external id ("},
		{`{account: "222233334444", regions: [eu-west-1]}`, "222233334444/eu-west-1: unknown: the credentials are for the account 111122223333; set roleARN for the account 222233334444\n"},
	} {
		writeFile(t, accounts, fmt.Sprintf("apiVersion: awsauth-guard.io/v1alpha1\nkind: ClusterList\naccounts:\n- {account: %q, regions: [eu-west-1]}\n- %s\n", "111122223333", test.account))
		status, stdout, stderr := run(t.Context(), t, "", "lint", "--clusters", accounts)
		wantStatus := 3
		if test.want == "" {
			wantStatus = 0
		}
		if status != wantStatus || stdout != "" || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%s: status %d\n%s%s", test.account, status, stdout, stderr)
		}
		if strings.Contains(stderr, "k8s-aws-v1") || strings.Contains(stderr, "X-Amz") {
			t.Errorf("%s: the output has a token:\n%s", test.account, stderr)
		}
	}
}

// If the credentials for an account belong to another account, the account is unknown, even if EKS lists no clusters in the region. If the
// account is right, a region without clusters gives a note.
func TestClustersFileChecksTheAccountOfEmptyRegions(t *testing.T) {
	server, _ := startAWS(t)
	api := loggedIn(t, withRoles("ops", "ops"))
	describedBy(server, map[string]*httptest.Server{"prod": api}, access.ModeConfigMap)
	server.Answer("ListClusters", func(w http.ResponseWriter, r *http.Request) {
		names := []string{"prod"}
		if strings.Contains(r.Header.Get("Authorization"), "/us-east-1/") {
			names = []string{}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"clusters": names})
	})
	for _, test := range []struct {
		account string
		status  int
		want    string
	}{
		{`{account: "111122223333", regions: [us-east-1]}`, 0, "note: 111122223333/us-east-1 has no clusters\n1 cluster, 1 aws-auth: nothing found\n"},
		{`{account: "222233334444", regions: [us-east-1]}`, 3, "222233334444/us-east-1: unknown: the credentials are for the account 111122223333; set roleARN for the account 222233334444\n2 clusters, 1 aws-auth: 1 with errors\n"},
	} {
		status, _, stderr := run(t.Context(), t, "", "lint", "--clusters", accountsFile(t, ownAccount, test.account))
		if diff := cmp.Diff(test.want, stderr); diff != "" || status != test.status {
			t.Errorf("%s: status %d (-want +got):\n%s", test.account, status, diff)
		}
	}
}

// In mode CONFIG_MAP aws-auth is the only source of access, so a cluster without it is an error of lint. In mode API_AND_CONFIG_MAP lint
// prints a note.
func TestLintReportsDeletedAWSAuth(t *testing.T) {
	server, _ := startAWS(t)
	api := loggedIn(t, failing(http.StatusNotFound, "NotFound"))
	const name = "111122223333/eu-west-1/prod"
	for mode, test := range map[access.Mode]struct {
		status int
		want   string
	}{
		access.ModeConfigMap:       {3, name + ": unknown: reading kube-system/aws-auth in the cluster " + name + ": it does not exist, and in the authentication mode CONFIG_MAP the cluster has no other source of access"},
		access.ModeAPIAndConfigMap: {0, "note: " + name + ": there is no aws-auth; the authentication mode of the cluster is API_AND_CONFIG_MAP\n"},
	} {
		describedBy(server, map[string]*httptest.Server{"prod": api}, mode)
		status, stdout, stderr := run(t.Context(), t, "", "lint", "--clusters", accountsFile(t, ownAccount))
		if status != test.status || stdout != "" || !strings.HasPrefix(stderr, test.want) {
			t.Errorf("%s: status %d\n%s%s", mode, status, stdout, stderr)
		}
	}
}

// kubectl's flags for the user and the connection have the same effect with --clusters as with --contexts.
func TestClustersFileAppliesKubectlFlags(t *testing.T) {
	server, _ := startAWS(t)
	var got atomic.Pointer[http.Header]
	api := loggedIn(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		got.Store(&h)
		withRoles("ops", "ops")(w, r)
	})
	describedBy(server, map[string]*httptest.Server{"prod": api}, access.ModeConfigMap)
	var proxied atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		proxied.Add(1)
		http.Error(w, "no connection", http.StatusBadGateway)
	}))
	t.Cleanup(proxy.Close)
	accounts := accountsFile(t, ownAccount)
	status, _, stderr := run(t.Context(), t, "", "lint", "--clusters", accounts, "--as", "alice", "--as-group", "ops", "--as-uid", "7", "--as-user-extra", "team=a", "--disable-compression")
	h := *got.Load()
	want := []string{"alice", "ops", "7", "a", ""}
	if diff := cmp.Diff(want, []string{h.Get("Impersonate-User"), h.Get("Impersonate-Group"), h.Get("Impersonate-Uid"), h.Get("Impersonate-Extra-Team"), h.Get("Accept-Encoding")}); diff != "" || status != 0 {
		t.Errorf("status %d, %s (-want +got):\n%s", status, stderr, diff)
	}
	if status, _, stderr = run(t.Context(), t, "", "lint", "--clusters", accounts, "--proxy-url", proxy.URL); status != 3 || proxied.Load() == 0 {
		t.Errorf("--proxy-url: status %d, %d requests\n%s", status, proxied.Load(), stderr)
	}
	if status, _, stderr = run(t.Context(), t, "", "lint", "--clusters", accounts, "--as-group", "ops"); status != 3 || !strings.Contains(stderr, "--as-group needs --as") {
		t.Errorf("--as-group alone: status %d\n%s", status, stderr)
	}
}

// If a region has no cluster of a given name, this cluster is unknown. The error says that each region needs its own element of accounts.
func TestClustersFileReadsNamesInEachRegion(t *testing.T) {
	server, _ := startAWS(t)
	server.Answer("DescribeCluster", ekstest.Error(http.StatusNotFound, "ResourceNotFoundException", "No cluster found for name: prod."))
	accounts := accountsFile(t, `{account: "111122223333", regions: [eu-west-1, us-east-1], clusters: [prod]}`)
	status, _, stderr := run(t.Context(), t, "", "lint", "--clusters", accounts)
	const want = "111122223333/eu-west-1/prod: unknown: eks:DescribeCluster: there is no cluster of this name in this region and account; the command reads the clusters of an account in each of its regions, so write one element of accounts for each region\n"
	if status != 3 || !strings.HasPrefix(stderr, want) {
		t.Errorf("status %d\n%s", status, stderr)
	}
}

// The command refuses a file with more than 2000 regions before it calls AWS.
func TestClustersFileLimitsRegions(t *testing.T) {
	server, iam := startAWS(t)
	var regions, accounts []string
	for i := range 100 {
		regions = append(regions, fmt.Sprintf("eu-west-%d", i))
	}
	for i := range 21 {
		accounts = append(accounts, fmt.Sprintf("{account: \"%012d\", regions: [%s]}", i, strings.Join(regions, ", ")))
	}
	status, _, stderr := run(t.Context(), t, "", "lint", "--clusters", accountsFile(t, accounts...))
	if calls := server.Calls("ListClusters") + iam.Count("GetCallerIdentity"); status != 2 || calls != 0 || !strings.HasSuffix(stderr, "has 2100 regions of accounts, and the limit is 2000; list only regions with clusters\n") {
		t.Errorf("status %d, %d calls\n%s", status, calls, stderr)
	}
}

// An access policy that applies in a namespace where it did not apply before is gained access. An access policy that applies in fewer
// namespaces is lost access.
func TestGetBaselineComparesTheNamespacesOfPolicies(t *testing.T) {
	server, _ := startAWS(t)
	api := loggedIn(t, withRoles())
	server.SetCA(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw}))
	server.SetFields(map[string]any{"endpoint": api.URL})
	accounts := accountsFile(t, ownAccount)
	everywhere := ekstest.Entry(devsARN, "AmazonEKSViewPolicy")
	in := func(namespaces ...string) access.AccessEntry {
		e := ekstest.Entry(devsARN, "AmazonEKSViewPolicy")
		e.Policies[0].Scope, e.Policies[0].Namespaces = "namespace", namespaces
		return e
	}
	for name, test := range map[string]struct {
		before, now access.AccessEntry
		status      int
	}{
		"everywhere, then a namespace":  {everywhere, in("a"), 0},
		"a namespace, then everywhere":  {in("a"), everywhere, 1},
		"a namespace, then another one": {in("a"), in("b"), 1},
		"two namespaces, then one":      {in("a", "b"), in("b"), 0},
	} {
		saved := filepath.Join(t.TempDir(), "baseline.json")
		server.Set(access.ModeAPI, test.before)
		_, stdout, _ := run(t.Context(), t, "", "get", "--clusters", accounts, "-o", "json")
		writeFile(t, saved, stdout)
		server.Set(access.ModeAPI, test.now)
		status, stdout, stderr := run(t.Context(), t, "", "get", "--clusters", accounts, "-o", "name", "--baseline", saved)
		if status != test.status || (stdout != "") != (test.status == 1) || strings.Contains(stderr, "1 principal has less access") != (test.status == 0) {
			t.Errorf("%s: status %d\n%s%s", name, status, stdout, stderr)
		}
	}
}
