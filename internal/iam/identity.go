package iam

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

const (
	logIdentityTimeout = 10 * time.Second
	// logIdentityRetry is the time before LogIdentity tries again. It doubles after each failure, up to logIdentityRetryMax. So
	// LogIdentity makes 8 attempts in the first hour and then one an hour.
	logIdentityRetry    = 15 * time.Second
	logIdentityRetryMax = time.Hour
	// probeRoleName is the name of the role that LogIdentity looks up if the guard's own identity is not a role.
	probeRoleName = "awsauth-guard"

	// identityFor is how long the Client uses an identity before it calls STS again. New credentials can belong to
	// another account, for example after a change of a Pod Identity association. If the new call fails or takes longer
	// than identityTimeout, the Client uses the old identity for another identityRetry.
	identityFor     = existsFor
	identityTimeout = 500 * time.Millisecond
	identityRetry   = time.Minute
)

// Identity is the identity of the credentials in use.
type Identity struct{ ARN, Account, Partition string }

// identityResult is the result of a call for the Identity.
type identityResult struct {
	Identity

	at      time.Time     // when the call began
	problem *awsapi.Error // why the Identity is unknown; nil if it is known
}

// Identity returns the identity of the credentials. It calls STS if the last result is ten minutes old or if there is none.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	self, problem := c.identity(ctx)
	if problem != nil {
		return Identity{}, problem
	}
	return self, nil
}

// identity is like [Client.Identity] but returns an [*awsapi.Error]. If a repeated call of STS fails or takes longer than identityTimeout,
// identity returns the old result. This is safe: before the Client reports a principal as Missing, confirmAccount checks the account again.
func (c *Client) identity(ctx context.Context) (Identity, *awsapi.Error) {
	old := c.self.Load()
	if old == nil {
		return c.identitySince(ctx, time.Time{})
	}
	due := c.now().Add(-identityFor)
	if old.at.After(due) {
		return old.Identity, nil
	}
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	self, problem := c.identitySince(ctx, due)
	if problem != nil {
		c.self.CompareAndSwap(old, &identityResult{Identity: old.Identity, at: due.Add(identityRetry)})
		return old.Identity, nil
	}
	return self, nil
}

// identitySince returns the result of a call of STS that began at or after since. It makes a new call if there is no such result.
func (c *Client) identitySince(ctx context.Context, since time.Time) (Identity, *awsapi.Error) {
	if self := c.self.Load(); self != nil && !self.at.Before(since) {
		return self.Identity, nil
	}
	if ctx.Err() != nil {
		return Identity{}, &awsapi.Error{Reason: awsapi.ReasonTimeout}
	}
	got, problem := c.identities.do(ctx, "", c.getCallerIdentity)
	if problem == nil && got.problem == nil && got.at.Before(since) {
		got, problem = c.identities.do(ctx, "", c.getCallerIdentity) // the first do joined a call that had begun before since
	}
	if problem == nil {
		problem = got.problem
	}
	return got.Identity, problem
}

// confirmAccount returns nil if the credentials still belong to the principal's account. It also returns nil for a principal of another
// account, because the lookup then used a configured role of that account. The caller calls it after IAM did not find the principal. The
// SDK renews credentials while the guard runs, and if the new credentials belong to another account, IAM can't find the principal. The
// error says that the account has changed, or why the account is unknown. since is when the lookup began.
func (c *Client) confirmAccount(ctx context.Context, self Identity, p awsauth.ARN, since time.Time) *awsapi.Error {
	if p.Account != self.Account {
		return nil // the lookup used a configured role, which always belongs to p.Account
	}
	now, failed := c.identitySince(ctx, since)
	if failed == nil && !now.sameAccount(self) {
		return &awsapi.Error{Reason: reasonAccountChanged}
	}
	return failed
}

func (i Identity) sameAccount(j Identity) bool {
	return i.Account == j.Account && i.Partition == j.Partition
}

// getCallerIdentity calls STS. The call needs no permission (STS API reference, GetCallerIdentity).
func (c *Client) getCallerIdentity(ctx context.Context) identityResult {
	at := c.now()
	out, err := call(ctx, c, func(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
		return c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	})
	if err != nil {
		return identityResult{problem: awsapi.NewError(err)}
	}
	self, problem := parseIdentity(aws.ToString(out.Arn))
	if problem != nil {
		return identityResult{problem: problem}
	}
	got := identityResult{Identity: self, at: at}
	if old := c.self.Swap(&got); old != nil && !old.sameAccount(got.Identity) {
		c.cache.clear() // the cache may hold principals as Missing that IAM looked up in another account
		c.log.LogAttrs(ctx, slog.LevelWarn, "the AWS credentials belong to another account than before",
			slog.String("identity", got.ARN), slog.String("account", got.Account), slog.String("partition", got.Partition))
	}
	return got
}

// maxARN limits the length of an ARN in an error, in bytes. An ARN can have 2,048 bytes (IAM User Guide, "IAM and AWS STS quotas"), but the
// error needs only its beginning and its end.
const maxARN = 256

// parseIdentity returns the identity for the ARN in an answer of STS. It accepts every resource, because it needs only the partition and
// the account. Emulators of AWS return ARNs in a form that AWS doesn't use, such as arn:aws:sts::111122223333:user/moto.
func parseIdentity(arn string) (Identity, *awsapi.Error) {
	invalid := func(cause string) (Identity, *awsapi.Error) {
		return Identity{}, &awsapi.Error{
			Reason: awsapi.ReasonInvalidResponse,
			Detail: fmt.Sprintf("GetCallerIdentity names %q, %s", textutil.Shorten(arn, maxARN), cause),
		}
	}
	parts := strings.SplitN(arn, ":", 6) // arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE
	switch {
	case len(parts) < 6 || parts[0] != "arn":
		return invalid("which is not an ARN")
	case !slices.Contains(awsauth.Partitions(), parts[1]):
		return invalid("which has an unknown partition")
	case !awsauth.IsAccountID(parts[4]):
		return invalid("whose account is not 12 digits")
	}
	return Identity{ARN: arn, Account: parts[4], Partition: parts[1]}, nil
}

// LogIdentity logs the ARN, the account and the partition of the credentials, and whether these credentials may call
// iam:GetRole. If it can't get these facts from AWS, it logs a warning and tries again later. It returns after a
// successful attempt or when ctx ends.
func (c *Client) LogIdentity(ctx context.Context) {
	for retryDelay := c.retryDelay; ; retryDelay = min(2*retryDelay, logIdentityRetryMax) {
		problem := c.logIdentityOnce(ctx)
		if problem == nil || ctx.Err() != nil {
			return
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "cannot verify the AWS credentials yet", problem.Attrs()...)
		select {
		case <-time.After(retryDelay):
		case <-ctx.Done():
			return
		}
	}
}

func (c *Client) logIdentityOnce(ctx context.Context) (failed *awsapi.Error) {
	defer func() {
		if v := recover(); v != nil {
			failed = awsapi.NewPanicError(v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, logIdentityTimeout)
	defer cancel()
	self, problem := c.identity(ctx)
	if problem != nil {
		return problem
	}
	asked := awsauth.ARN{Partition: self.Partition, Service: "iam", Account: self.Account, Resource: "role/" + probeRoleName}
	if arn, err := awsauth.ParseARN(self.ARN); err == nil {
		if role, ok := arn.SessionRole(); ok {
			asked = role
		}
	}
	seen := c.get(ctx, c.ownAccount, asked)
	attrs := []slog.Attr{
		slog.String("identity", self.ARN), slog.String("account", self.Account), slog.String("partition", self.Partition),
		slog.Bool("get_role_allowed", seen.problem == nil),
	}
	switch {
	case seen.problem == nil:
		c.log.LogAttrs(ctx, slog.LevelInfo, "can look up principals in IAM", attrs...)
	case seen.problem.Reason == awsapi.ReasonDenied:
		c.log.LogAttrs(ctx, slog.LevelWarn, "cannot look up principals in IAM", append(attrs, seen.problem.Attrs()...)...)
	default:
		return seen.problem
	}
	return nil
}
