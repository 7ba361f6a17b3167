package eks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	awseks "github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	"github.com/aws/smithy-go"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

const (
	// newAttempts limits the number of attempts of a call for an access entry that was just created. newDelay is the
	// time between two attempts. New access entries are eventually consistent, "and may take several seconds" (EKS user
	// guide, "Create access entries").
	newAttempts = 5
	newDelay    = 3 * time.Second
	// cleanUpTimeout limits the time in which [Client.Create] deletes an incomplete access entry.
	cleanUpTimeout = 30 * time.Second
	// maxMessage limits the length of a message from EKS, in bytes.
	maxMessage = 500
)

// ErrExists means that [Client.Create] changed nothing, because the principal already has an access entry.
var ErrExists = errors.New("the principal has an access entry")

// RefusedError means that EKS refused a change, for example because of a reserved username.
type RefusedError struct {
	Action  string // such as CreateAccessEntry
	Code    string
	Message string // the message of EKS
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("eks:%s: %s (%s)", e.Action, e.Message, e.Code)
}

// Account holds the id of the AWS account of a cluster, and the partition.
type Account struct{ ID, Partition string }

// Account returns the account and partition of the cluster.
func (c *Client) Account(ctx context.Context) (Account, error) {
	described, err := c.describeCluster(ctx)
	if err != nil {
		return Account{}, err
	}
	parsed, err := arn.Parse(aws.ToString(described.Arn))
	if err != nil {
		return Account{}, callError("DescribeCluster", errNoCluster)
	}
	return Account{ID: parsed.AccountID, Partition: parsed.Partition}, nil
}

// PolicyARN returns the ARN that the access policy with this name has in the cluster's partition. It returns "" if EKS doesn't list the
// policy.
func (c *Client) PolicyARN(ctx context.Context, name string) (string, error) {
	pages := awseks.NewListAccessPoliciesPaginator(c.api, &awseks.ListAccessPoliciesInput{}, func(o *awseks.ListAccessPoliciesPaginatorOptions) {
		o.StopOnDuplicateToken = true
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", callError("ListAccessPolicies", err)
		}
		for _, p := range page.AccessPolicies {
			if aws.ToString(p.Name) == name {
				return aws.ToString(p.Arn), nil
			}
		}
	}
	return "", nil
}

// Create creates an access entry with its access policies, and returns the access entry as EKS then describes it. It
// needs the permissions eks:CreateAccessEntry, eks:AssociateAccessPolicy, eks:DeleteAccessEntry,
// eks:DescribeAccessEntry and eks:ListAssociatedAccessPolicies. If the principal has an access entry, Create changes
// nothing and returns [ErrExists].
//
// An access entry wins over aws-auth as soon as it exists. Without its access policies it would take access away. So
// Create deletes the new access entry if it can't associate an access policy. If no answer to CreateAccessEntry
// arrives, EKS may have created the access entry. If entry has access policies, Create deletes the access entry in this
// case, too.
func (c *Client) Create(ctx context.Context, entry access.AccessEntry) (access.AccessEntry, error) {
	in := &awseks.CreateAccessEntryInput{ClusterName: &c.cluster, PrincipalArn: &entry.PrincipalARN, Type: &entry.Type}
	if entry.Type == access.TypeStandard {
		in.Username, in.KubernetesGroups = &entry.Username, entry.Groups
	}
	if _, err := c.api.CreateAccessEntry(ctx, in); err != nil {
		if _, ok := errors.AsType[*types.ResourceInUseException](err); ok {
			return access.AccessEntry{}, ErrExists
		}
		if len(entry.Policies) > 0 && unanswered(err) {
			return access.AccessEntry{}, c.cleanUp(ctx, entry.PrincipalARN, changeError("CreateAccessEntry", err))
		}
		return access.AccessEntry{}, changeError("CreateAccessEntry", err)
	}
	for _, p := range entry.Policies {
		if err := c.associate(ctx, entry.PrincipalARN, p); err != nil {
			return access.AccessEntry{}, c.cleanUp(ctx, entry.PrincipalARN, err)
		}
	}
	made, err := c.describeNew(ctx, &entry)
	if err != nil {
		return made, fmt.Errorf("reading the new access entry: %w", err)
	}
	return made, nil
}

// unanswered reports whether no valid answer of EKS arrived for a failed call. Such a call may have changed something.
func unanswered(err error) bool {
	switch awsapi.NewError(err).Reason {
	case awsapi.ReasonTimeout, awsapi.ReasonUnreachable, awsapi.ReasonFailed, awsapi.ReasonInvalidResponse:
		return true
	}
	return false
}

// describeNew reads an access entry that has just been created. It tries until EKS returns the access entry with all its access policies,
// at most newAttempts times. After the last attempt it returns the access entry even if access policies are missing.
func (c *Client) describeNew(ctx context.Context, entry *access.AccessEntry) (access.AccessEntry, error) {
	for attempt := 1; ; attempt++ {
		made, err := c.describe(ctx, entry.PrincipalARN)
		late := isNotFound(err) || err == nil && len(made.Policies) < len(entry.Policies)
		if !late || attempt == newAttempts || !c.wait(ctx) {
			return made, err
		}
	}
}

// wait waits until EKS may have made a new access entry visible. It returns false if the context ends first.
func (c *Client) wait(ctx context.Context) bool {
	select {
	case <-time.After(c.delay):
		return true
	case <-ctx.Done():
		return false
	}
}

// associate associates an access policy with a new access entry. If EKS doesn't find the access entry yet, associate tries again, at most
// newAttempts times.
func (c *Client) associate(ctx context.Context, principal string, p access.AccessPolicy) error {
	in := &awseks.AssociateAccessPolicyInput{
		ClusterName: &c.cluster, PrincipalArn: &principal, PolicyArn: &p.ARN,
		AccessScope: &types.AccessScope{Type: types.AccessScopeType(p.Scope), Namespaces: p.Namespaces},
	}
	for attempt := 1; ; attempt++ {
		_, err := c.api.AssociateAccessPolicy(ctx, in)
		if err == nil {
			return nil
		}
		notFound, ok := errors.AsType[*types.ResourceNotFoundException](err)
		if !ok || !strings.Contains(notFound.ErrorMessage(), "principalArn") || attempt == newAttempts || !c.wait(ctx) {
			return changeError("AssociateAccessPolicy", err)
		}
	}
}

// cleanUp deletes a new access entry after a step of Create has failed. It does so even if ctx has ended. cause is the error of the
// failed step. cleanUp returns this error with the outcome of the deletion.
func (c *Client) cleanUp(ctx context.Context, principal string, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	_, err := c.api.DeleteAccessEntry(ctx, &awseks.DeleteAccessEntryInput{ClusterName: &c.cluster, PrincipalArn: &principal})
	switch {
	case isNotFound(err):
		return cause
	case err != nil && unanswered(cause):
		return errors.Join(cause, fmt.Errorf("if the access entry of %s exists, it has no access policy, and wins over aws-auth; delete it: %w", principal, changeError("DeleteAccessEntry", err)))
	case err != nil:
		return errors.Join(cause, fmt.Errorf("the access entry of %s stays without its access policy, and wins over aws-auth; delete it: %w", principal, changeError("DeleteAccessEntry", err)))
	}
	return fmt.Errorf("%w; the access entry is deleted again, so aws-auth applies", cause)
}

// changeError returns the error for a failed call that changes something. If EKS refused the request, the error is a [RefusedError] with
// the message of EKS, because this message says what the user has to correct. Otherwise it is a [CallError].
func changeError(action string, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && awsapi.NewError(err).Reason == awsapi.ReasonRefused {
		return &RefusedError{action, textutil.Shorten(api.ErrorCode(), awsapi.MaxForeignBytes), textutil.Shorten(api.ErrorMessage(), maxMessage)}
	}
	return &CallError{action, awsapi.NewError(err)}
}
