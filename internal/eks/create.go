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
	// newAttempts limits how often Create asks EKS for an access entry that it has just created, and newDelay is the time between two
	// attempts. New access entries are eventually consistent, "and may take several seconds" (EKS user guide, "Create access entries").
	newAttempts = 5
	newDelay    = 3 * time.Second
	// cleanUpTimeout limits the time to delete a new access entry whose access policies can't be associated.
	cleanUpTimeout = 30 * time.Second
	// maxMessage limits the length in bytes of a message from EKS.
	maxMessage = 500
)

// ErrExists means that the principal already has an access entry.
var ErrExists = errors.New("the principal has an access entry")

// RefusedError means that EKS refused a change, for example because of a reserved username.
type RefusedError struct {
	Action  string // such as CreateAccessEntry
	Code    string
	Message string // of EKS
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("eks:%s: %s (%s)", e.Action, e.Message, e.Code)
}

// Account is the account and partition of a cluster.
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

// PolicyARN returns the ARN of the access policy with a name, in the cluster's partition. It returns "" if EKS doesn't list the policy.
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

// Create creates an access entry with its access policies, and returns it as EKS then describes it. It needs the permissions
// eks:CreateAccessEntry, eks:AssociateAccessPolicy and eks:DeleteAccessEntry.
//
// An access entry wins over aws-auth as soon as it exists. So Create deletes it again if an access policy can't be associated: without its
// policies, the access entry would take access away. It does the same if it doesn't learn whether EKS has created such an access entry. It
// changes no access entry that exists, and returns [ErrExists].
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

// unanswered reports whether a failed call may have changed something, because no valid answer from EKS arrived.
func unanswered(err error) bool {
	switch awsapi.NewError(err).Reason {
	case awsapi.ReasonTimeout, awsapi.ReasonUnreachable, awsapi.ReasonFailed, awsapi.ReasonInvalidResponse:
		return true
	}
	return false
}

// describeNew reads an access entry that has just been created. It repeats the call as long as EKS doesn't return the access entry with
// all its access policies, up to newAttempts times.
func (c *Client) describeNew(ctx context.Context, entry *access.AccessEntry) (access.AccessEntry, error) {
	for attempt := 1; ; attempt++ {
		made, err := c.describe(ctx, entry.PrincipalARN)
		late := isNotFound(err) || err == nil && len(made.Policies) < len(entry.Policies)
		if !late || attempt == newAttempts || !c.wait(ctx) {
			return made, err
		}
	}
}

// wait waits for newDelay, so that EKS can make a new access entry visible. It returns false if the context ends first.
func (c *Client) wait(ctx context.Context) bool {
	select {
	case <-time.After(c.delay):
		return true
	case <-ctx.Done():
		return false
	}
}

// associate associates an access policy with a new access entry. It repeats the call as long as EKS doesn't find the access entry, up to
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

// cleanUp deletes a new access entry after its creation or a later step failed. because is the error of that step. It deletes the access
// entry even if ctx has ended. It returns because, extended by the outcome of the deletion.
func (c *Client) cleanUp(ctx context.Context, principal string, because error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
	defer cancel()
	_, err := c.api.DeleteAccessEntry(ctx, &awseks.DeleteAccessEntryInput{ClusterName: &c.cluster, PrincipalArn: &principal})
	switch {
	case isNotFound(err):
		return because
	case err != nil && unanswered(because):
		return errors.Join(because, fmt.Errorf("if the access entry of %s exists, it has no access policy, and wins over aws-auth; delete it: %w", principal, changeError("DeleteAccessEntry", err)))
	case err != nil:
		return errors.Join(because, fmt.Errorf("the access entry of %s stays without its access policy, and wins over aws-auth; delete it: %w", principal, changeError("DeleteAccessEntry", err)))
	}
	return fmt.Errorf("%w; the access entry is deleted again, so aws-auth applies", because)
}

// changeError returns the error of a call that changes something. If EKS says that the request is invalid, the error includes the message
// of EKS, which says what to correct.
func changeError(action string, err error) error {
	api, ok := errors.AsType[smithy.APIError](err)
	if ok && awsapi.NewError(err).Reason == awsapi.ReasonRefused {
		return &RefusedError{action, textutil.Shorten(api.ErrorCode(), awsapi.MaxForeignBytes), textutil.Shorten(api.ErrorMessage(), maxMessage)}
	}
	return &CallError{action, awsapi.NewError(err)}
}
