package cli_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	certutil "k8s.io/client-go/util/cert"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/internal/iam/iamtest"
)

// migrateServers starts three servers: an API server with liveAWSAuth, the EKS API of the same cluster, and IAM. In IAM the role ops has a
// path, and the role devs has none.
func migrateServers(t *testing.T) (kubeconfig string, eks *ekstest.Server) {
	t.Helper()
	kubeconfig, eks, _ = migrateServersWithIAM(t)
	return kubeconfig, eks
}

func migrateServersWithIAM(t *testing.T) (kubeconfig string, eks *ekstest.Server, aws *iamtest.Server) {
	t.Helper()
	aws = iamtest.New(t)
	aws.Setenv(t)
	eks = ekstest.New(t)
	for _, pair := range aws.Environ() { // ekstest.New replaced the AWS keys, and the EKS of ekstest accepts all keys
		name, value, _ := strings.Cut(pair, "=")
		t.Setenv(name, value)
	}
	const path = "arn:aws:iam::111122223333:role/platform/ops"
	aws.Add(path, devsARN)
	eks.SetPrincipals(path, devsARN)
	kubeconfig = accessServer(t, nil, nil)
	ca, err := os.ReadFile(kubeconfig + ".ca")
	if err != nil {
		t.Fatal(err)
	}
	eks.SetCA(ca)
	eks.Set(access.ModeAPIAndConfigMap)
	return kubeconfig, eks, aws
}

// After plan, apply and verify, as in the how-to guide, every principal has its access by an access entry.
func TestMigrateKeepsTheAccess(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	flags := []string{"--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name}
	migrate := func(command string, more ...string) (int, string, string) {
		return run(t.Context(), t, "", append(append([]string{"migrate", command}, flags...), more...)...)
	}
	status, stdout, stderr := migrate("apply", "--iam")
	if want := "note: dry run: nothing was created; --yes creates 2 access entries\n"; status != 0 || !strings.HasSuffix(stderr, want) || len(eks.Entries()) > 0 {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	if status, stdout, _ = migrate("verify"); status != 1 || !strings.Contains(stdout, "In mode API these principals can't log in any more:\n  "+opsARN+"\n  "+devsARN+"\n") {
		t.Errorf("verify before apply: status %d, %s", status, stdout)
	}
	status, stdout, stderr = migrate("apply", "--iam", "--yes", "--region", "eu-west-1")
	if status != 0 || !strings.HasSuffix(stdout, "created arn:aws:iam::111122223333:role/platform/ops (1 of 2)\ncreated "+devsARN+" (2 of 2)\n") {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	if want := "It can't be undone: EKS has no way back from the mode API\n" +
		"  aws eks update-cluster-config --name prod --region eu-west-1 --access-config authenticationMode=API\n"; !strings.HasSuffix(stderr, want) {
		t.Errorf("%s", stderr)
	}
	want := []string{`role/platform/ops STANDARD "ops" ["ops"] []`, `role/devs STANDARD "devs" ["devs"] []`}
	if diff := cmp.Diff(want, summary(eks.Entries())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if status, stdout, stderr = migrate("verify", "--iam"); status != 0 {
		t.Errorf("verify: status %d, %s%s", status, stdout, stderr)
	}
	// A second run finds that the principals have their access entries, and creates none.
	if status, stdout, stderr = migrate("apply", "--iam", "--yes"); status != 0 || strings.Contains(stdout, "created ") || eks.Calls("CreateAccessEntry") != 2 {
		t.Errorf("second apply: status %d, %s%s", status, stdout, stderr)
	}
	if status, stdout, _ = migrate("plan", "--iam", "-o", "terraform"); status != 0 || strings.Count(stdout, "\nimport {\n") != 2 {
		t.Errorf("plan: status %d, %s", status, stdout)
	}
}

func TestMigrateApplyStopsAtTheFirstError(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	status, stdout, stderr := run(t.Context(), t, "", "migrate", "apply", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--no-role-paths", "--yes")
	want := "error: creating the access entry of " + opsARN + ": eks:CreateAccessEntry: " + ekstest.RefusedPrincipal +
		" (InvalidParameterException) (0 of 2 are created; run apply again after the correction)\n"
	if status != 2 || stderr != want || len(eks.Entries()) > 0 {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	eks.Answer("CreateAccessEntry", ekstest.AccessDenied("CreateAccessEntry"))
	if status, _, stderr = run(t.Context(), t, "", "migrate", "apply", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam", "--yes"); status != 2 ||
		!strings.Contains(stderr, "you need the permission eks:CreateAccessEntry on the cluster prod") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// A signal ends the call to EKS and not the program, so that the program can delete an unfinished access entry.
func TestInterruptedApplyStops(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	eks.Answer("CreateAccessEntry", func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body) // the server notices that the client ends the call only after it has read the body
		if err := errors.Join(err, syscall.Kill(os.Getpid(), syscall.SIGINT)); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	status, stdout, stderr := run(t.Context(), t, "", "migrate", "apply", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam", "--yes")
	if status != 2 || eks.Calls("CreateAccessEntry") != 1 || !strings.Contains(stderr, "(0 of 2 are created; run apply again") {
		t.Errorf("status %d, %d calls, %s%s", status, eks.Calls("CreateAccessEntry"), stdout, stderr)
	}
}

// apply creates no access entries in the modes CONFIG_MAP and API. It doesn't change the mode, because a mode can't be changed back. In a dry
// run it prints the command that changes the mode CONFIG_MAP.
func TestMigrateApplyNeverChangesTheMode(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	for mode, want := range map[access.Mode]string{
		access.ModeConfigMap: "error: the authentication mode is CONFIG_MAP; change it first\n",
		access.ModeAPI:       "error: the authentication mode of prod is API, so aws-auth gives no access, and apply would give access that the principals don't have now; ",
	} {
		eks.Set(mode)
		status, _, stderr := run(t.Context(), t, "", "migrate", "apply", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam", "--yes")
		if status != 2 || !strings.Contains(stderr, want) || eks.Calls("CreateAccessEntry") > 0 {
			t.Errorf("%s: status %d, %s", mode, status, stderr)
		}
	}
	eks.Set(access.ModeConfigMap)
	status, _, stderr := run(t.Context(), t, "", "migrate", "apply", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam")
	if want := "  aws eks update-cluster-config --name prod --access-config authenticationMode=API_AND_CONFIG_MAP\n"; status != 0 || !strings.HasSuffix(stderr, want) {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// The migrate commands refuse the aws-auth of one cluster with the access entries of another cluster, because the plan
// would be wrong.
func TestMigrateRefusesAnotherCluster(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	other, _, err := certutil.GenerateSelfSignedCertKey("other.example.com", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	eks.SetCA(other)
	for _, command := range []string{"plan", "apply", "verify"} {
		status, stdout, stderr := run(t.Context(), t, "", "migrate", command, "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name)
		if want := "the context of the kubeconfig is another cluster: its CA is not that of arn:aws:eks:eu-west-1:111122223333:cluster/prod"; status != 2 || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s%s", command, status, stdout, stderr)
		}
	}
}

func TestMigrateNeedsEveryPartOfTheAccessEntries(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	eks.Set(access.ModeAPIAndConfigMap, ekstest.Entry(devsARN))
	for _, action := range []string{"DescribeCluster", "ListAccessEntries", "DescribeAccessEntry", "ListAssociatedAccessPolicies"} {
		eks.Answer(action, ekstest.AccessDenied(action))
		status, stdout, stderr := run(t.Context(), t, "", "migrate", "plan", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name)
		if want := fmt.Sprintf("you need the permission eks:%s on the cluster prod", action); status != 2 || stdout != "" || !strings.Contains(stderr, want) {
			t.Errorf("%s: status %d, %s%s", action, status, stdout, stderr)
		}
		eks.Answer(action, nil)
	}
}

// verify names a principal whose access entry is stale: the principal logs in by aws-auth now, but would lose its login in mode API.
func TestVerifyFindsLoginThatModeAPIRemoves(t *testing.T) {
	kubeconfig, eks := migrateServers(t)
	again := ekstest.Entry(devsARN)
	again.Username, again.Groups = "devs", []string{"devs"}
	again.Created = time.Date(2023, 1, 2, 3, 4, 5, 0, time.UTC) // before the role, see iamtest
	ops := ekstest.Entry("arn:aws:iam::111122223333:role/platform/ops", access.ClusterAdminPolicy)
	ops.Username = "ops"
	eks.Set(access.ModeAPIAndConfigMap, again, ops)
	status, stdout, stderr := run(t.Context(), t, "", "migrate", "verify", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam")
	want := `PRINCIPAL                                     API_AND_CONFIG_MAP   API       DIFFERENCE
arn:aws:iam::111122223333:role/platform/ops   changes              changes   gains the right to everything; loses the group "ops"
arn:aws:iam::111122223333:role/devs           equal                loses     staleEntry: the principal was created at 2024-01-02T03:04:05Z, after its access entry, so it was deleted and created again; delete the access entry and create it again; loses the group "devs", the login, the username "devs"

In mode API these principals can't log in any more:
  arn:aws:iam::111122223333:role/devs
`
	if diff := cmp.Diff(want, stdout); diff != "" || status != 1 {
		t.Errorf("status %d, %s, -want +got:\n%s", status, stderr, diff)
	}
	status, stdout, _ = run(t.Context(), t, "", "migrate", "verify", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--iam", "--except", opsARN, "--except", devsARN)
	if status != 0 || strings.Count(stdout, "(excepted)") != 2 {
		t.Errorf("status %d, %s", status, stdout)
	}
	eks.Set(access.ModeConfigMap)
	if status, _, stderr := run(t.Context(), t, "", "migrate", "verify", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name); status != 2 || !strings.Contains(stderr, "CONFIG_MAP") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

// verify fails if IAM doesn't say whether an access entry is stale, because the principal may lose its login in mode API. It ignores a
// principal of --except.
func TestVerifyFailsIfIAMGivesNoAnswer(t *testing.T) {
	kubeconfig, eks, aws := migrateServersWithIAM(t)
	devs := ekstest.Entry(devsARN)
	devs.Username, devs.Groups = "devs", []string{"devs"}
	eks.Set(access.ModeAPIAndConfigMap, devs)
	flags := []string{"migrate", "verify", "--kubeconfig", kubeconfig, "--cluster-name", ekstest.Name, "--except", opsARN}
	if status, stdout, stderr := run(t.Context(), t, "", flags...); status != 0 {
		t.Errorf("without --iam: status %d, %s%s", status, stdout, stderr)
	}
	aws.Answer("GetRole", iamtest.AccessDenied())
	status, stdout, stderr := run(t.Context(), t, "", append(flags, "--iam")...)
	if want := "error: cannot compare the access of " + devsARN + ": it is not known whether the access entry is stale"; status != 2 || !strings.Contains(stderr, want) {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := run(t.Context(), t, "", append(flags, "--iam", "--except", devsARN)...); status != 0 {
		t.Errorf("excepted: status %d, %s%s", status, stdout, stderr)
	}
}

func TestPlanComparesWithEKS(t *testing.T) {
	_, eks := migrateServers(t)
	stronger := ekstest.Entry(devsARN, access.ClusterAdminPolicy)
	stronger.Username = "devs"
	eks.Set(access.ModeAPIAndConfigMap, stronger)
	file := filepath.Join(t.TempDir(), "aws-auth.yaml")
	writeFile(t, file, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth, namespace: kube-system}\ndata:\n  mapRoles: |\n    - rolearn: "+devsARN+"\n      username: devs\n")
	status, stdout, stderr := run(t.Context(), t, "", "migrate", "plan", "-f", file, "--cluster-name", ekstest.Name)
	if status != 0 || !strings.Contains(stdout, "  "+devsARN+" (data.mapRoles[0], existing access entry: stronger)\n") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}
