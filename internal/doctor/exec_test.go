package doctor_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

// Doctor reads the cluster and its settings from the exec sections that aws eks update-kubeconfig, eksctl and users write. From
// the exec section of another provider it reads nothing.
func TestExecSectionsAreRead(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:iam::111122223333:role/dev"
	env := func(pairs ...string) (list []clientcmdapi.ExecEnvVar) {
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, clientcmdapi.ExecEnvVar{Name: pairs[i], Value: pairs[i+1]})
		}
		return list
	}
	for name, test := range map[string]struct {
		exec clientcmdapi.ExecConfig
		want [4]string // cluster, region, profile, role
	}{
		"aws eks update-kubeconfig": {
			clientcmdapi.ExecConfig{Command: "aws", Args: []string{"--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod", "--output", "json"}},
			[4]string{"prod", "eu-west-1", "", ""},
		},
		"with --role-arn and --profile": {
			clientcmdapi.ExecConfig{
				Command: "aws", Args: []string{"--region", "eu-west-1", "eks", "get-token", "--cluster-name", "prod", "--output", "json", "--role", role},
				Env: env("AWS_PROFILE", "ops"),
			},
			[4]string{"prod", "eu-west-1", "ops", role},
		},
		"an older AWS CLI": {
			clientcmdapi.ExecConfig{Command: "aws", Args: []string{"eks", "get-token", "--cluster-name=prod", "--region=eu-west-1", "--role-arn=" + role}},
			[4]string{"prod", "eu-west-1", "", role},
		},
		"eksctl": {
			clientcmdapi.ExecConfig{Command: "aws-iam-authenticator", Args: []string{"token", "-i", "prod", "-r", role}, Env: env("AWS_STS_REGIONAL_ENDPOINTS", "regional", "AWS_DEFAULT_REGION", "eu-west-1")},
			[4]string{"prod", "eu-west-1", "", role},
		},
		"aws-iam-authenticator with long flags": {
			clientcmdapi.ExecConfig{Command: "aws-iam-authenticator", Args: []string{"token", "--cluster-id", "prod", "--role", role}},
			[4]string{"prod", "", "", role},
		},
		"aws-vault": {
			clientcmdapi.ExecConfig{Command: "aws-vault", Args: []string{"exec", "ops", "--", "aws", "eks", "get-token", "--cluster-name", "prod"}},
			[4]string{"prod", "", "", ""},
		},
		"a shell": {
			clientcmdapi.ExecConfig{Command: "bash", Args: []string{"-i", "-c", `aws --profile "ops" eks get-token --cluster-name 'prod'`}},
			[4]string{"prod", "", "ops", ""},
		},
		"an interactive shell without a cluster": {
			clientcmdapi.ExecConfig{Command: "bash", Args: []string{"-i", "-c", "my-token"}},
			[4]string{},
		},
		"kubelogin": {
			clientcmdapi.ExecConfig{Command: "kubectl", Args: []string{"oidc-login", "get-token", "--oidc-issuer-url=https://example.org", "--oidc-client-id=kubernetes"}},
			[4]string{},
		},
		"gcloud": {clientcmdapi.ExecConfig{Command: "gke-gcloud-auth-plugin"}, [4]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [4]string
			got[0], got[1], got[2], got[3] = doctor.ReadExec(&test.exec)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
