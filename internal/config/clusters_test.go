package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/config"
)

const clustersHead = "apiVersion: awsauth-guard.io/v1alpha1\nkind: ClusterList\n"

func TestParseClustersDecodesEveryField(t *testing.T) {
	got, err := config.ParseClusters("accounts.yaml", []byte(clustersHead+`accounts:
- account: "111122223333"
  regions: [eu-west-1, us-gov-east-1]
- account: "222233334444"
  roleARN: arn:aws:iam::222233334444:role/team/Reader
  externalID: "4711"
  regions: [us-east-1]
  clusters: [prod, dev_2]
`))
	want := &config.ClusterList{APIVersion: config.APIVersion, Kind: config.ClusterListKind, Accounts: []config.ClusterAccount{
		{Account: "111122223333", Regions: []string{"eu-west-1", "us-gov-east-1"}},
		{
			Account: "222233334444", RoleARN: "arn:aws:iam::222233334444:role/team/Reader", ExternalID: "4711",
			Regions: []string{"us-east-1"}, Clusters: []string{"prod", "dev_2"},
		},
	}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// ParseClusters reports each problem with its line and field.
func TestParseClustersReportsProblems(t *testing.T) {
	for src, want := range map[string]string{
		"":                        "accounts.yaml: is empty; write at least apiVersion: awsauth-guard.io/v1alpha1 and kind: ClusterList",
		"kind: GuardConfig\n":     `accounts.yaml:1: this is a "GuardConfig", not a ClusterList; write apiVersion: awsauth-guard.io/v1alpha1 and kind: ClusterList`,
		clustersHead:              "accounts.yaml:1: accounts: is missing",
		clustersHead + "accounts": "accounts.yaml:3: is not YAML: could not find expected ':'",
		clustersHead + `accounts:
- account: 111122223333
  regions: [eu-west-1]
- account: "1111"
  regions: []
- account: "111122223333"
  roleArn: x
  externalID: e
  regions: [Ireland, eu-west-1, eu-west-1]
  clusters: [a b]
- account: "111122223333"
  roleARN: arn:aws:iam::222233334444:role/a
  regions: []
`: `accounts.yaml:4: accounts[0].account: is the number 111122223333; write text, "111122223333" in quotes
accounts.yaml:6: accounts[1].account: is "1111"; write the 12 digits of an account in quotes
accounts.yaml:9: accounts[2].roleArn: is not a field; write roleARN
accounts.yaml:10: accounts[2].externalID: needs roleARN, the role to assume
accounts.yaml:11: accounts[2].regions[0]: is "Ireland"; write a region, such as eu-west-1
accounts.yaml:11: accounts[2].regions[2]: "eu-west-1" appears twice
accounts.yaml:12: accounts[2].clusters[0]: is "a b"; write the name of an EKS cluster
accounts.yaml:14: accounts[3].roleARN: "arn:aws:iam::222233334444:role/a" belongs to another account; write a role of 111122223333
accounts.yaml:15: accounts[3].regions: has 0 regions; write 1 to 100`,
		clustersHead + "accounts: &a [*a]\n": "accounts.yaml:3: accounts[0]: is an alias",
	} {
		_, err := config.ParseClusters("accounts.yaml", []byte(src))
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q:\ngot  %v\nwant %s", src, err, want)
		}
	}
}
