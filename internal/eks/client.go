// Package eks reads a cluster's authentication mode and access entries from EKS, and creates access entries. A [Snapshot] keeps the result
// of the last read, so that no admission review waits for EKS.
package eks

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"golang.org/x/sync/errgroup"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

const (
	// maxCalls limits the number of concurrent calls. EKS throttles all calls of an AWS account together, for all its clusters.
	maxCalls = 8
	// maxEntries limits the number of access entries that the client reads, to limit memory. An access entry takes about 1 KiB. A cluster
	// has some tens of access entries.
	maxEntries = 10_000
	// attempts is the maximum number of attempts of one call. The number is high, because EKS throttles a client that reads many access
	// entries. This does no harm, because no review waits for the result.
	attempts = 8
)

// Option is an option for loading the SDK's configuration, such as other credentials.
type Option = func(*config.LoadOptions) error

// Assume returns an option that makes the SDK assume a role with the credentials of the environment. region is a region of the role's
// partition, in which the SDK calls STS. Assume doesn't call AWS.
func Assume(ctx context.Context, region string, role awsapi.Role) (Option, error) {
	return awsapi.Assume(ctx, role, config.WithRegion(region)) //nolint:wrapcheck // the error names the failed action
}

// Client reads a cluster from the EKS API, and creates access entries. For reading it needs the permissions eks:DescribeCluster,
// eks:ListAccessEntries, eks:DescribeAccessEntry and eks:ListAssociatedAccessPolicies.
type Client struct {
	api     *awseks.Client
	cluster string
	ca      []byte        // see New
	delay   time.Duration // see newDelay
}

// New returns a client with the default configuration of the SDK: the environment and the profile. It doesn't call AWS.
// If region is empty, the client uses the region of this configuration. If the configuration has no region either, New
// returns [ErrNoRegion]. It doesn't guess a region, because another region may have a cluster of the same name.
//
// ca holds the certificates with which the program trusts the API server of its cluster, in PEM. If the cluster in EKS has another CA,
// [Client.Read] returns an [OtherClusterError]. If ca is nil, the client reads any cluster. more are further options, such as other
// credentials.
func New(ctx context.Context, cluster, region string, ca []byte, more ...Option) (*Client, error) {
	cfg, err := loadConfig(ctx, region, more)
	if err != nil {
		return nil, err
	}
	return &Client{api: awseks.NewFromConfig(cfg), cluster: cluster, ca: ca, delay: newDelay}, nil
}

// loadConfig loads the SDK's configuration for a region, as [New] describes.
func loadConfig(ctx context.Context, region string, more []Option) (aws.Config, error) {
	options := append([]func(*config.LoadOptions) error{
		config.WithRegion(region), config.WithDefaultRegion(""), config.WithRetryer(func() aws.Retryer {
			return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
				o.StandardOptions = append(o.StandardOptions, func(o *retry.StandardOptions) { o.MaxAttempts = attempts })
			})
		}),
	}, more...)
	cfg, err := awsapi.LoadConfig(ctx, options...)
	if err != nil {
		return cfg, err //nolint:wrapcheck // the error names the failed action
	}
	if cfg.Region == "" {
		return cfg, ErrNoRegion
	}
	if cfg.Credentials != nil {
		cfg.Credentials = awsapi.LabelledCredentials{CredentialsProvider: cfg.Credentials}
	}
	return cfg, nil
}

// Read returns the authentication mode and all access entries of the cluster. In the mode CONFIG_MAP it returns no access entries. It
// leaves out an access entry that is deleted during the read. The error contains no secret, so it may be logged.
func (c *Client) Read(ctx context.Context) (*access.Cluster, error) {
	mode, err := c.mode(ctx)
	if err != nil {
		return nil, err
	}
	cluster := &access.Cluster{Mode: mode}
	if mode == access.ModeConfigMap {
		return cluster, nil
	}
	arns, err := c.List(ctx)
	if err != nil {
		return nil, err
	}
	cluster.AccessEntries, err = describeAll(ctx, arns, c.describe)
	return cluster, err
}

// mode returns the authentication mode of the cluster. It returns an error if the cluster has another CA than c.ca.
func (c *Client) mode(ctx context.Context) (access.Mode, error) {
	described, err := c.describeCluster(ctx)
	if err != nil {
		return "", err
	}
	if c.ca != nil {
		if err := sameCA(described, c.ca); err != nil {
			return "", err
		}
	}
	return modeOf(described)
}

// describeCluster returns the description of the cluster from EKS.
func (c *Client) describeCluster(ctx context.Context) (*types.Cluster, error) {
	described, err := c.api.DescribeCluster(ctx, &awseks.DescribeClusterInput{Name: &c.cluster})
	if err != nil {
		return nil, callError("DescribeCluster", err)
	}
	if described.Cluster == nil {
		return nil, callError("DescribeCluster", errNoCluster)
	}
	return described.Cluster, nil
}

// modeOf returns the authentication mode in a cluster's description.
func modeOf(described *types.Cluster) (access.Mode, error) {
	mode := access.ModeConfigMap // the mode of an old cluster, for which EKS returns no mode
	if c := described.AccessConfig; c != nil && c.AuthenticationMode != "" {
		mode = access.Mode(c.AuthenticationMode)
	}
	switch mode {
	case access.ModeConfigMap, access.ModeAPIAndConfigMap, access.ModeAPI:
		return mode, nil
	}
	return "", fmt.Errorf("the cluster's authentication mode %q is unknown", mode)
}

// ErrNoSuchCluster means that the AWS account of the credentials has no cluster of this name in the region.
var ErrNoSuchCluster = errors.New("eks:DescribeCluster: there is no cluster of this name in this region and account")

// ErrNoRegion means that neither the region argument of [New] nor the AWS configuration names a region.
var ErrNoRegion = errors.New("neither eks.region nor the AWS configuration of the guard names a region")

var errNoCluster = &awsapi.Error{Reason: awsapi.ReasonInvalidResponse}

// CallError is the error of a failed call of the EKS API.
type CallError struct {
	Action string // such as DescribeCluster
	Err    *awsapi.Error
}

// Error implements error.
func (e *CallError) Error() string { return "eks:" + e.Action + ": " + e.Err.Error() }

// Public returns a shorter text of the error, for users who can't see the log.
func (e *CallError) Public() string { return "eks:" + e.Action + ": " + e.Err.Public() }

// Unwrap returns the reason.
func (e *CallError) Unwrap() error { return e.Err }

// callError returns the error for a failed call of an EKS action: a [CallError], or [ErrNoSuchCluster].
func callError(action string, err error) error {
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok && action == "DescribeCluster" {
		return ErrNoSuchCluster
	}
	return &CallError{action, awsapi.NewError(err)}
}

// List returns the ARNs of the principals that have an access entry. It returns an error if there are more than maxEntries. It needs the
// permission eks:ListAccessEntries.
func (c *Client) List(ctx context.Context) (arns []string, err error) {
	pages := awseks.NewListAccessEntriesPaginator(c.api, &awseks.ListAccessEntriesInput{ClusterName: &c.cluster}, func(o *awseks.ListAccessEntriesPaginatorOptions) {
		o.StopOnDuplicateToken = true
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, callError("ListAccessEntries", err)
		}
		if arns = append(arns, page.AccessEntries...); len(arns) > maxEntries {
			return nil, fmt.Errorf("the cluster has more than %d access entries", maxEntries)
		}
	}
	return arns, nil
}

// describeAll returns the access entries of the principals, sorted by ARN. It calls describe for each principal. It
// leaves out a principal without an access entry. It returns an error if arns is not empty and no principal in it has
// an access entry.
func describeAll(ctx context.Context, arns []string, describe func(context.Context, string) (access.AccessEntry, error)) ([]access.AccessEntry, error) {
	var mu sync.Mutex
	var entries []access.AccessEntry
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxCalls)
	for _, arn := range arns {
		group.Go(func() error {
			entry, err := describe(ctx, arn)
			if isNotFound(err) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, entry)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err //nolint:wrapcheck // describe says what was tried
	}
	if len(arns) > 0 && len(entries) == 0 {
		return nil, errors.New("eks:DescribeAccessEntry: every listed access entry is gone; the cluster may have been deleted")
	}
	slices.SortFunc(entries, func(a, b access.AccessEntry) int { return strings.Compare(a.PrincipalARN, b.PrincipalARN) })
	return entries, nil
}

// describe returns the access entry of a principal with its access policies. It doesn't ask for the access policies of
// an access entry for nodes, because there are none.
func (c *Client) describe(ctx context.Context, arn string) (entry access.AccessEntry, err error) {
	defer func() {
		if v := recover(); v != nil { // a panic in a goroutine would end the process
			err = awsapi.NewPanicError(v)
		}
	}()
	if entry, err = c.describeEntry(ctx, arn); err != nil || entry.Type != access.TypeStandard {
		return entry, err
	}
	entry.Policies, err = c.policies(ctx, arn)
	return entry, err
}

// describeEntry returns the access entry of a principal without its access policies.
func (c *Client) describeEntry(ctx context.Context, arn string) (access.AccessEntry, error) {
	described, err := c.api.DescribeAccessEntry(ctx, &awseks.DescribeAccessEntryInput{ClusterName: &c.cluster, PrincipalArn: &arn})
	if err != nil {
		return access.AccessEntry{}, notFoundOr("DescribeAccessEntry", err)
	}
	if described.AccessEntry == nil {
		return access.AccessEntry{}, callError("DescribeAccessEntry", errNoCluster)
	}
	e := described.AccessEntry
	return access.AccessEntry{
		PrincipalARN: arn, Type: aws.ToString(e.Type), Username: aws.ToString(e.Username), Groups: e.KubernetesGroups, Created: aws.ToTime(e.CreatedAt),
	}, nil
}

// policies returns the access policies of the access entry of a principal.
func (c *Client) policies(ctx context.Context, arn string) (list []access.AccessPolicy, err error) {
	pages := awseks.NewListAssociatedAccessPoliciesPaginator(c.api, &awseks.ListAssociatedAccessPoliciesInput{ClusterName: &c.cluster, PrincipalArn: &arn}, func(o *awseks.ListAssociatedAccessPoliciesPaginatorOptions) {
		o.StopOnDuplicateToken = true
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return list, notFoundOr("ListAssociatedAccessPolicies", err)
		}
		for _, p := range page.AssociatedAccessPolicies {
			policy := access.AccessPolicy{ARN: aws.ToString(p.PolicyArn)}
			if p.AccessScope != nil {
				policy.Scope, policy.Namespaces = string(p.AccessScope.Type), p.AccessScope.Namespaces
			}
			list = append(list, policy)
		}
	}
	return list, nil
}

// notFoundOr adds the name of the failed call to err. If err says that the access entry doesn't exist, notFoundOr returns err unchanged,
// so that isNotFound recognizes it.
func notFoundOr(action string, err error) error {
	if isNotFound(err) {
		return err
	}
	return callError(action, err)
}

func isNotFound(err error) bool {
	_, ok := errors.AsType[*types.ResourceNotFoundException](err)
	return ok
}
