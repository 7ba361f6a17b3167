package doctor_test

import (
	"testing"

	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/doctor"
)

// TestEKSClusterOfAKubeconfig checks the sources of the name and the region: the plugin first, then the name of the cluster, then the host.
func TestEKSClusterOfAKubeconfig(t *testing.T) {
	const arn, host = "arn:aws:eks:eu-west-1:111122223333:cluster/prod", "https://0123456789ABCDEF0123456789ABCDEF.gr7.us-east-2.eks.amazonaws.com"
	for name, c := range map[string]struct {
		args                 []string
		cluster, host        string
		wantName, wantRegion string
	}{
		"the plugin":            {[]string{"--region", "ap-south-1", "eks", "get-token", "--cluster-name", "test"}, arn, host, "test", "ap-south-1"},
		"the name is an ARN":    {nil, arn, host, "prod", "eu-west-1"},
		"the name is of eksctl": {nil, "prod.eu-west-1.eksctl.io", host, "prod", "eu-west-1"},
		"only the host":         {nil, "my-cluster", host, "", "us-east-2"},
		"another cluster":       {nil, "kind", "https://127.0.0.1:6443", "", ""},
		"a name with more dots": {nil, "a.b.eu-west-1.eksctl.io", "https://127.0.0.1:6443", "", ""},
	} {
		config := &rest.Config{Host: c.host}
		if c.args != nil {
			config.ExecProvider = &clientcmdapi.ExecConfig{Command: "aws", Args: c.args}
		}
		if gotName, gotRegion := doctor.EKSCluster(config, c.cluster); gotName != c.wantName || gotRegion != c.wantRegion {
			t.Errorf("%s: got %q in %q, want %q in %q", name, gotName, gotRegion, c.wantName, c.wantRegion)
		}
	}
}
