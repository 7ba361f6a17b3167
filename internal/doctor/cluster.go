package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// clusterFacts is what doctor knows about the cluster from the EKS API.
type clusterFacts struct {
	client      *eks.Client      // nil if the name of the cluster is not known
	description *eks.Description // nil if it can't be read
	// suspicion is a difference between the kubeconfig and EKS. It becomes the cause if the API server refuses the caller or does not
	// answer. If the login works, the difference is no fault: the caller may use a tunnel, or the cluster may belong to another account.
	suspicion *Cause
}

// mode returns the authentication mode, or "" if it is not known.
func (c *clusterFacts) mode() access.Mode {
	if c.description == nil {
		return ""
	}
	return c.description.Mode
}

// describeCluster is the fifth step. It compares the kubeconfig with the cluster that EKS describes. It needs the permission
// eks:DescribeCluster.
func (d *diagnosis) describeCluster(ctx context.Context) (Status, string) {
	switch {
	case d.Principal == "" && d.token == nil:
		return "", ""
	case d.ClusterName == "":
		return StatusUnknown, "the name of the EKS cluster is not in the kubeconfig; set --cluster-name to read it from EKS"
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	client, description, err := d.describe(ctx)
	d.cluster.client = client
	switch {
	case errors.Is(err, eks.ErrNoSuchCluster):
		return d.suspectNoSuchCluster(ctx)
	case eks.IsDenied(err):
		return StatusUnknown, fmt.Sprintf("you lack the permission eks:DescribeCluster for %s, which aws eks update-kubeconfig needs but kubectl does not", d.ClusterName)
	case err != nil:
		return StatusUnknown, "EKS can't be read: " + err.Error()
	}
	if d.Principal == "" && !d.isOwnCluster(ctx, description) {
		return StatusUnknown, fmt.Sprintf("EKS describes %s, but doctor calls AWS with other credentials than those of the token, so this may not be the cluster of the kubeconfig", description.ARN)
	}
	d.cluster.description = description
	if d.Principal == "" {
		if d.cluster.suspicion = d.compareCluster(); d.cluster.suspicion != nil {
			return StatusWarning, d.cluster.suspicion.Summary
		}
	}
	return StatusOK, fmt.Sprintf("%s is %s, with the authentication mode %s", description.ARN, description.Status, description.Mode)
}

// describe creates an EKS client with the caller's credentials, and describes the cluster. If only the description fails, it still returns
// the client.
func (d *diagnosis) describe(ctx context.Context) (*eks.Client, *eks.Description, error) {
	options, err := d.awsOptions(ctx)
	if err != nil {
		return nil, nil, err
	}
	client, err := eks.New(ctx, d.ClusterName, d.Region, nil, options...)
	if err != nil {
		return nil, nil, err //nolint:wrapcheck // the caller names the failed action
	}
	description, err := client.Describe(ctx)
	if err != nil {
		return client, nil, err //nolint:wrapcheck // the caller names the failed action
	}
	return client, &description, nil
}

// suspectNoSuchCluster sets the suspicion that the cluster does not exist, after EKS found no cluster of this name. This is not certain:
// EKS describes only clusters of the caller's own account, but a principal can log in to a cluster of another account.
func (d *diagnosis) suspectNoSuchCluster(ctx context.Context) (Status, string) {
	where := "in the region " + d.Region
	if d.Region == "" {
		where = "in the region of your AWS configuration"
	}
	asking := ""
	if caller, err := d.sdkCaller(ctx); err == nil {
		asking = access.NewCaller(caller).AccountID
		where += " of the account " + asking
	}
	summary := fmt.Sprintf("there is no cluster %s %s", d.ClusterName, where)
	owner := d.clusterAccount()
	if p := d.report.Principal; owner == "" && p != nil {
		owner = p.Account
	}
	if d.Principal == "" && asking != owner {
		return StatusUnknown, summary + ", but the cluster may belong to another account"
	}
	c := Cause{ID: "no-such-cluster", Step: stepCluster, Summary: summary, User: "aws eks list-clusters" + d.awsCluster().RegionFlag() + d.withProfile()}
	if d.Principal != "" {
		return d.fail(c)
	}
	d.cluster.suspicion = &c
	return StatusWarning, summary
}

// isOwnCluster reports whether the cluster that EKS describes can be the cluster of the kubeconfig. If a wrapper runs the exec plugin with
// other credentials, EKS may describe a cluster of the same name in another account.
func (d *diagnosis) isOwnCluster(ctx context.Context, description *eks.Description) bool {
	if d.report.Principal == nil || description.HasEndpoint(d.config.Host) {
		return true
	}
	described, err := arn.Parse(description.ARN)
	if err != nil {
		return false
	}
	if owner := d.clusterAccount(); owner != "" {
		return owner == described.AccountID
	}
	caller, err := d.sdkCaller(ctx)
	return err == nil && access.NewCaller(caller).AccountID == d.report.Principal.Account
}

// sdkCaller returns the ARN that STS returns for doctor's own AWS credentials. If a wrapper runs the exec plugin with other credentials,
// this is not the principal of the token.
func (d *diagnosis) sdkCaller(ctx context.Context) (string, error) {
	options, err := d.awsOptions(ctx)
	if err != nil {
		return "", err
	}
	return callerWith(ctx, d.Region, options)
}

// clusterAccount returns the AWS account of the cluster. It takes the account from the description of EKS. If there is none, it takes the
// account from the name of the cluster in the kubeconfig, because aws eks update-kubeconfig uses the cluster's ARN as this name. It returns
// "" if it finds no account.
func (d *diagnosis) clusterAccount() string {
	text := d.Cluster
	if d.cluster.description != nil {
		text = d.cluster.description.ARN
	}
	if a, err := arn.Parse(text); err == nil && a.Service == "eks" {
		return a.AccountID
	}
	return ""
}

// compareCluster compares the API server and the CA of the kubeconfig with the described cluster. It returns a cause if they belong to
// another cluster, or if the status of the cluster is neither ACTIVE nor UPDATING. Otherwise it returns nil.
func (d *diagnosis) compareCluster() *Cause {
	description := d.cluster.description
	ca, err := kube.CA(d.config)
	sameCA := err == nil && description.HasCA(ca)
	switch {
	case !sameCA && !description.HasEndpoint(d.config.Host):
		return &Cause{
			ID: "other-cluster", Step: stepCluster, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the kubeconfig has the API server %s, but the token is for the cluster %s, whose API server is %s", d.config.Host, d.ClusterName, description.Endpoint),
		}
	case !sameCA && err == nil && len(ca) > 0 && len(description.CA) > 0:
		return &Cause{
			ID: "other-ca", Step: stepCluster, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the kubeconfig has the API server of the cluster %s, but the CA of another one", d.ClusterName),
		}
	case description.Status != eks.Active && description.Status != "UPDATING":
		return &Cause{
			ID: "cluster-not-active", Step: stepCluster, User: d.queryCluster("status"),
			Summary: fmt.Sprintf("the cluster %s has the status %s", d.ClusterName, description.Status),
		}
	}
	return nil
}

// failWithoutContext sets the cause after no kubeconfig had a current context. aws eks update-kubeconfig writes a context, but needs the
// permission eks:DescribeCluster. So if the user names the cluster, failWithoutContext also finds out whether the caller lacks this
// permission.
func (d *diagnosis) failWithoutContext(ctx context.Context) (Status, string) {
	c := Cause{ID: "no-context", Step: stepKubeconfig, Summary: "no kubeconfig has a current context", User: d.updateKubeconfig()}
	if d.ClusterName == "" {
		return d.fail(c)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, _, err := d.describe(ctx); eks.IsDenied(err) {
		c.ID, c.Step = "describe-cluster-denied", stepCluster
		c.Summary = "aws eks update-kubeconfig can't write a context for you, because you lack the permission eks:DescribeCluster for " + d.ClusterName
		c.Admin = d.allowDescribeCluster(ctx)
		if strings.HasPrefix(c.Admin, "aws iam create-policy") {
			c.Summary += "; your role belongs to IAM Identity Center, so the administrator also adds the policy to your permission set"
		}
	}
	return d.fail(c)
}

// allowDescribeCluster returns a command for the administrator that gives the caller the permission eks:DescribeCluster. For a role of IAM
// Identity Center, the command creates an IAM policy and doesn't change the role, because only IAM Identity Center can change the role.
func (d *diagnosis) allowDescribeCluster(ctx context.Context) string {
	kind, name, partition, region, account := "role", "ROLE", "aws", "*", "*"
	if d.Region != "" {
		region = d.Region
	}
	if text, err := callerOf(ctx, d.plugin.profile, d.Region); err == nil {
		c := access.NewCaller(text)
		account = c.AccountID
		if canonical, err := awsauth.Canonicalize(text); err == nil {
			name = awsName(canonical)
		}
		if a, err := awsauth.ParseARN(text); err == nil {
			partition = a.Partition
			if strings.HasPrefix(a.Resource, "user/") {
				kind = "user"
			}
		}
	}
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:DescribeCluster","Resource":%q}]}`,
		fmt.Sprintf("arn:%s:eks:%s:%s:cluster/%s", partition, region, account, d.ClusterName))
	named := " --policy-name " + quote("describe-eks-cluster-"+d.ClusterName) + " --policy-document " + quote(policy)
	if strings.HasPrefix(name, "AWSReservedSSO_") { // only IAM Identity Center can change this role
		return "aws iam create-policy" + named
	}
	return fmt.Sprintf("aws iam put-%s-policy --%s-name %s%s", kind, kind, quote(name), named)
}

// adminConfig returns the client configuration with the rights of an administrator. Without one it returns the client configuration of the
// caller. It returns nil if there is neither.
func (d *diagnosis) adminConfig() *rest.Config {
	if d.Admin != nil {
		return d.Admin
	}
	return d.config
}
