package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// TestModeAPINamesTheAccessEntryCommand: in the authentication mode API the commands change nothing, and print the command for the access
// entry instead. In the mode API_AND_CONFIG_MAP the same add succeeds.
func TestModeAPINamesTheAccessEntryCommand(t *testing.T) {
	eks, server := ekstest.New(t), newStub(t)
	ca, err := os.ReadFile(server.ca)
	if err != nil {
		t.Fatal(err)
	}
	eks.SetCA(ca)
	const cluster = " --cluster-name " + ekstest.Name
	for args, want := range map[string]string{
		"add role arn:aws:iam::111122223333:role/team/new --preset admin": "aws eks create-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/new" +
			" && aws eks associate-access-policy" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/new" +
			" --policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy --access-scope type=cluster",
		"add role nodes --account 111122223333 --preset windows": `aws eks create-access-entry` + cluster + ` --principal-arn "$(aws iam get-role --role-name nodes --query Role.Arn --output text)" --type EC2_WINDOWS`,
		"add user eve --account 111122223333 --group deployers":  "aws eks create-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/eve --kubernetes-groups deployers",
		// A principal that has an access entry keeps its groups, and gets the new ones in addition.
		"add role ops --account 111122223333 --preset admin": "aws eks associate-access-policy" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops" +
			" --policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy --access-scope type=cluster",
		"add user dan --account 111122223333 --group deployers": "aws eks update-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/dan --kubernetes-groups viewers deployers",
		"add user bob --account 111122223333 --preset view --group deployers --username bob": "aws eks update-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/people/bob --username bob --kubernetes-groups deployers" +
			" && aws eks associate-access-policy" + cluster + " --principal-arn arn:aws:iam::111122223333:user/people/bob --policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy --access-scope type=cluster",
		"add user bob --account 111122223333 --partition aws-cn --preset admin": "aws eks create-access-entry" + cluster + " --principal-arn arn:aws-cn:iam::111122223333:user/bob" +
			" && aws eks associate-access-policy" + cluster + " --principal-arn arn:aws-cn:iam::111122223333:user/bob" +
			` --policy-arn "$(aws eks list-access-policies --query "accessPolicies[?name=='AmazonEKSClusterAdminPolicy'].arn" --output text)" --access-scope type=cluster`,
		// EKS can't change the type of an access entry.
		"add role ops --account 111122223333 --preset node": "aws eks delete-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops" +
			" && aws eks create-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops --type EC2_LINUX",
		"add user eve --account 111122223333 --preset view": "aws eks create-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/eve" +
			" && aws eks associate-access-policy" + cluster + " --principal-arn arn:aws:iam::111122223333:user/eve --policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy --access-scope type=cluster",
		"add account 444455556666":                                      "# access entries have no counterpart of mapAccounts: create an access entry for each principal of the account 444455556666",
		"set bob --account 111122223333 --group viewers --username bob": "aws eks update-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/people/bob --username bob --kubernetes-groups viewers",
		// EKS refuses system:masters, so an access policy replaces it. The AWS CLI needs a value for no groups.
		"set ops --account 111122223333 --group system:masters --group deployers": "aws eks update-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops --kubernetes-groups deployers" +
			" && aws eks associate-access-policy" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops" +
			" --policy-arn arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy --access-scope type=cluster",
		"set ops --account 111122223333 --username aws:ops --group=":          "aws eks update-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:role/team/ops --kubernetes-groups '[]'",
		"add user ann --account 111122223333 --group eks:x --group deployers": "aws eks create-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/ann --kubernetes-groups deployers",
		"remove bob --account 111122223333":                                   "aws eks delete-access-entry" + cluster + " --principal-arn arn:aws:iam::111122223333:user/people/bob",
		"edit":                                                                "",
	} {
		dan := ekstest.Entry("arn:aws:iam::111122223333:user/dan")
		dan.Groups = []string{"viewers"}
		eks.Set(access.ModeAPI, ekstest.Entry("arn:aws:iam::111122223333:user/people/bob"), ekstest.Entry("arn:aws:iam::111122223333:role/team/ops"), dan)
		all := append(strings.Fields(args), "--server", server.URL, "--certificate-authority", server.ca, "--token", "x", "--cluster-name", ekstest.Name)
		status, stdout, stderr := run(t.Context(), t, "", all...)
		const message = "error: the authentication mode of " + ekstest.Name + " is API, so aws-auth has no effect, and nothing was sent; use access entries instead\n"
		if status != 1 || stdout != "" || !strings.Contains(stderr, message) || want != "" && !strings.HasSuffix(stderr, "\n  "+want+"\n") {
			t.Errorf("%s: status %d\n%s%s", args, status, stdout, stderr)
		}
		if strings.HasPrefix(args, "add") {
			eks.Set(access.ModeAPIAndConfigMap)
			if status, _, stderr := run(t.Context(), t, "", append(all, "--dry-run=client")...); status != 0 {
				t.Errorf("%s, in the mode API_AND_CONFIG_MAP: status %d\n%s", args, status, stderr)
			}
		}
	}
}

// TestAddInModeAPISaysThatAnAccessEntrySuffices: if the access entry of the principal gives the access already, add has nothing to change.
func TestAddInModeAPISaysThatAnAccessEntrySuffices(t *testing.T) {
	eks, server := ekstest.New(t), newStub(t)
	ca, err := os.ReadFile(server.ca)
	if err != nil {
		t.Fatal(err)
	}
	eks.SetCA(ca)
	dan := ekstest.Entry("arn:aws:iam::111122223333:user/dan")
	dan.Groups = []string{"viewers", "deployers"}
	nodes := ekstest.Entry("arn:aws:iam::111122223333:role/nodes")
	nodes.Type = "EC2_LINUX"
	eks.Set(access.ModeAPI, ekstest.Entry("arn:aws:iam::111122223333:role/team/ops", access.ClusterAdminPolicy), dan, nodes)
	for _, args := range []string{
		"add role ops --account 111122223333 --preset admin", "add role ops --account 111122223333 --group system:masters",
		"add user dan --account 111122223333 --group deployers", "add role nodes --account 111122223333 --preset node",
	} {
		all := append(strings.Fields(args), "--server", server.URL, "--certificate-authority", server.ca, "--token", "x", "--cluster-name", ekstest.Name)
		status, stdout, stderr := run(t.Context(), t, "", all...)
		const note = "note: the authentication mode of " + ekstest.Name + " is API, so aws-auth has no effect, and the access entry of the principal gives this access already\n"
		if status != 0 || stdout != "configmap/aws-auth unchanged\n" || !strings.HasSuffix(stderr, note) || strings.Contains(stderr, "aws eks") {
			t.Errorf("%s: status %d\n%s%s", args, status, stdout, stderr)
		}
	}
}

// TestEditsSayThatTheModeIsNotKnown: without --cluster-name the commands say once that they don't know the authentication mode, and name the
// cluster of the kubeconfig.
func TestEditsSayThatTheModeIsNotKnown(t *testing.T) {
	server := newStub(t)
	for cluster, want := range map[string]string{
		"arn:aws:eks:eu-west-1:111122223333:cluster/prod": "prod --region eu-west-1",
		"prod.eu-west-1.eksctl.io":                        "prod --region eu-west-1",
		"my cluster":                                      "NAME",
	} {
		kubeconfig := filepath.Join(t.TempDir(), "config")
		text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: %q, user: u}}]\nclusters: [{name: %q, cluster: {server: %q, certificate-authority: %q}}]\nusers: [{name: u, user: {token: x}}]\n",
			cluster, cluster, server.URL, server.ca)
		if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		status, _, stderr := run(t.Context(), t, "", "add", "role", "ci", "--account", "111122223333", "--group", "deployers", "--dry-run=client", "--kubeconfig", kubeconfig)
		note := "note: the authentication mode is not known, and in the mode API aws-auth has no effect; --cluster-name " + want + " reads it\n"
		if status != 0 || strings.Count(stderr, note) != 1 {
			t.Errorf("%s: status %d\n%s", cluster, status, stderr)
		}
	}
}
