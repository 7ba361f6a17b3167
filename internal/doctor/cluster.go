package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// clusterFacts are what EKS says about the cluster.
type clusterFacts struct {
	client      *eks.Client      // nil without a name
	description *eks.Description // nil if it can't be read
	denied      bool             // the permission eks:DescribeCluster is missing
}

// mode returns the authentication mode, or "" if it is not known.
func (c *clusterFacts) mode() access.Mode {
	if c.description == nil {
		return ""
	}
	return c.description.Mode
}

// describeCluster is the fifth step. It compares the kubeconfig with the cluster of EKS. It needs the permission eks:DescribeCluster.
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
		return d.failNoSuchCluster()
	case eks.IsDenied(err):
		d.cluster.denied = true
		return StatusUnknown, fmt.Sprintf("you lack the permission eks:DescribeCluster for %s, which aws eks update-kubeconfig needs, and kubectl does not", d.ClusterName)
	case err != nil:
		return StatusUnknown, "EKS can't be read: " + err.Error()
	}
	d.cluster.description = description
	if d.Principal == "" {
		if status, found, failed := d.compareCluster(); failed {
			return status, found
		}
	}
	return StatusOK, fmt.Sprintf("%s is %s, with the authentication mode %s", description.ARN, description.Status, description.Mode)
}

// describe describes the cluster as the caller.
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

func (d *diagnosis) failNoSuchCluster() (Status, string) {
	where := "in the region " + d.Region
	if d.Region == "" {
		where = "in the region of your AWS configuration"
	}
	if p := d.report.Principal; p != nil && p.Account != "" {
		where += " of the account " + p.Account
	}
	return d.fail(Cause{
		ID: "no-such-cluster", Step: stepCluster, Summary: fmt.Sprintf("there is no cluster %s %s", d.ClusterName, where),
		User: "aws eks list-clusters" + d.withRegion() + d.withProfile(),
	})
}

// compareCluster compares the kubeconfig with the described cluster. failed reports that it found the cause.
func (d *diagnosis) compareCluster() (status Status, found string, failed bool) {
	description := d.cluster.description
	ca, err := kube.CA(d.config)
	sameCA := err == nil && description.HasCA(ca)
	switch {
	case !sameCA && !description.HasEndpoint(d.config.Host):
		status, found = d.fail(Cause{
			ID: "other-cluster", Step: stepCluster, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the kubeconfig leads to %s, and the token is for the cluster %s, whose API server is %s", d.config.Host, d.ClusterName, description.Endpoint),
		})
	case !sameCA && err == nil && len(description.CA) > 0 && description.HasEndpoint(d.config.Host):
		status, found = d.fail(Cause{
			ID: "other-ca", Step: stepCluster, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the kubeconfig has the API server of the cluster %s, but the CA of another one", d.ClusterName),
		})
	case description.Status != eks.Active && description.Status != "UPDATING":
		status, found = d.fail(Cause{
			ID: "cluster-not-active", Step: stepCluster, User: "aws eks wait cluster-active --name " + quote(d.ClusterName) + d.withRegion() + d.withProfile(),
			Summary: fmt.Sprintf("the cluster %s has the status %s", d.ClusterName, description.Status),
		})
	default:
		return "", "", false
	}
	return status, found, true
}

// failWithoutContext sets the cause if there is no context. If the user names the cluster, it finds out whether the user can make one.
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
	}
	return d.fail(c)
}

// allowDescribeCluster returns the command that gives the caller the permission eks:DescribeCluster.
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
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"eks:DescribeCluster","Resource":"arn:%s:eks:%s:%s:cluster/%s"}]}`,
		partition, region, account, d.ClusterName)
	return fmt.Sprintf("aws iam put-%s-policy --%s-name %s --policy-name describe-eks-cluster --policy-document %s", kind, kind, quote(name), quote(policy))
}

// adminConfig returns a configuration that may read the cluster: that of an administrator, or the caller's.
func (d *diagnosis) adminConfig() *rest.Config {
	if d.Admin != nil {
		return d.Admin
	}
	return d.config
}
