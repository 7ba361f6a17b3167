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
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// describedBy makes EKS describe the clusters of these API servers, by their names. Each has the account 111122223333, unless its name begins
// with an account.
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

// loggedIn is an API server that accepts only tokens of EKS for a cluster.
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

// --clusters lists the clusters of each account, logs in to each with a token of its own, and needs no kubeconfig. get includes the access
// entries.
func TestClustersFileNeedsNoKubeconfig(t *testing.T) {
	server := ekstest.New(t)
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
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

// get --clusters counts access entries as an access. In mode API a cluster without aws-auth is not unknown.
func TestClustersFileReadsAccessEntries(t *testing.T) {
	server := ekstest.New(t)
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

// An account whose role can't be assumed, a region whose clusters can't be listed, and a cluster of another account are unknown. The other
// clusters are read.
func TestClustersFileReportsUnknownAccounts(t *testing.T) {
	iam := iamtest.New(t)
	iam.Setenv(t)
	const reader = "arn:aws:iam::222233334444:role/team/Reader"
	iam.Trust(reader, "4711")
	server := ekstest.Start()
	t.Cleanup(server.Close)
	t.Setenv("AWS_ENDPOINT_URL_EKS", server.URL)
	api := loggedIn(t, withRoles("ops", "ops"))
	describedBy(server, map[string]*httptest.Server{"prod": api}, access.ModeConfigMap)
	accounts := filepath.Join(t.TempDir(), "accounts.yaml")
	for _, test := range []struct {
		account string
		want    string
	}{
		{`{account: "111122223333", regions: [eu-west-1]}`, ""},
		{`{account: "222233334444", roleARN: ` + reader + `, externalID: "4711", regions: [eu-west-1]}`, "222233334444/eu-west-1/prod: unknown: the credentials are for the account 111122223333; set roleARN for the account 222233334444\n"},
		{`{account: "222233334444", roleARN: ` + reader + `, regions: [eu-west-1]}`, "222233334444/eu-west-1: unknown: listing the clusters: cannot assume the role " + reader + "; your credentials need"},
		{`{account: "222233334444", regions: [eu-west-1]}`, "222233334444/eu-west-1/prod: unknown: the credentials are for the account 111122223333; set roleARN for the account 222233334444\n"},
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
