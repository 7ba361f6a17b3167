package iam

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const (
	announceTimeout = 10 * time.Second
	// A check that fails is made again, and said again, after 15 s, 30 s and so on: 8 lines in the
	// first hour and one an hour later.
	announceAgain     = 15 * time.Second
	announceAgainMost = time.Hour
	// strangerName is asked for where the guard itself is no role.
	strangerName = "awsauth-guard"

	// identityFor is how long it is believed who asks: credentials that are fetched anew may be of
	// another account, such as after a change of a Pod Identity association. Where STS does not say it
	// then in a part of the budget, it is asked again after identityAgain.
	identityFor     = existsFor
	identityTimeout = 500 * time.Millisecond
	identityAgain   = time.Minute
)

// Identity is whose credentials are in use.
type Identity struct{ ARN, Account, Partition string }

// identified is the outcome of asking for the Identity.
type identified struct {
	Identity

	at      time.Time // when the question was asked
	problem *problem
}

// Identity asks STS, and again when the answer is ten minutes old.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	self, problem := c.identity(ctx)
	if problem != nil {
		return Identity{}, problem
	}
	return self, nil
}

// identity is Identity. An old answer stands where STS does not give a new one soon: nothing is Missing
// by it, see confirm.
func (c *Client) identity(ctx context.Context) (Identity, *problem) {
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
		c.self.CompareAndSwap(old, &identified{Identity: old.Identity, at: due.Add(identityAgain)})
		return old.Identity, nil
	}
	return self, nil
}

// identitySince returns an answer to a question that was asked since then.
func (c *Client) identitySince(ctx context.Context, since time.Time) (Identity, *problem) {
	if self := c.self.Load(); self != nil && !self.at.Before(since) {
		return self.Identity, nil
	}
	if ctx.Err() != nil {
		return Identity{}, &problem{reason: reasonTimeout}
	}
	got, problem := c.identities.do(ctx, "", c.getCallerIdentity)
	if problem == nil && got.problem == nil && got.at.Before(since) {
		got, problem = c.identities.do(ctx, "", c.getCallerIdentity) // somebody had asked before
	}
	if problem == nil {
		problem = got.problem
	}
	return got.Identity, problem
}

// confirm makes sure that those who asked IAM for a principal which it did not find are still of its
// account. Credentials are fetched anew while the guard runs, and those of another account find nothing.
func (c *Client) confirm(ctx context.Context, self Identity, p awsauth.ARN, since time.Time) *problem {
	if p.Account != self.Account {
		return nil // asked with the role of c.others, which is of this account whoever assumes it
	}
	now, failed := c.identitySince(ctx, since)
	if failed == nil && !now.sameAccount(self) {
		return &problem{reason: reasonChanged}
	}
	return failed
}

func (i Identity) sameAccount(j Identity) bool {
	return i.Account == j.Account && i.Partition == j.Partition
}

// getCallerIdentity needs no permission (STS API reference, GetCallerIdentity).
func (c *Client) getCallerIdentity(ctx context.Context) identified {
	at := c.now()
	out, err := call(ctx, c, func(ctx context.Context) (*sts.GetCallerIdentityOutput, error) {
		return c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	})
	if err != nil {
		return identified{problem: problemOf(err)}
	}
	arn, err := awsauth.ParseARN(deref(out.Arn))
	if err != nil {
		return identified{problem: &problem{reason: reasonGarbage}}
	}
	got := identified{Identity: Identity{ARN: arn.String(), Account: arn.Account, Partition: arn.Partition}, at: at}
	if old := c.self.Swap(&got); old != nil && !old.sameAccount(got.Identity) {
		c.cache.clear() // what is not there may be so because the wrong account was asked
		c.log.LogAttrs(ctx, slog.LevelWarn, "AWS is asked with credentials of another account than before",
			slog.String("identity", got.ARN), slog.String("account", got.Account), slog.String("partition", got.Partition))
	}
	return got
}

// Announce logs one line: who asks, in which account and partition, and whether it may call
// iam:GetRole. Where that cannot be found out it warns and tries again, until it is known or ctx ends.
func (c *Client) Announce(ctx context.Context) {
	for again := c.again; ; again = min(2*again, announceAgainMost) {
		problem := c.announce(ctx)
		if problem == nil || ctx.Err() != nil {
			return
		}
		c.log.LogAttrs(ctx, slog.LevelWarn, "AWS cannot be asked yet", problem.attrs()...)
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return
		}
	}
}

func (c *Client) announce(ctx context.Context) (failed *problem) {
	defer func() {
		if v := recover(); v != nil {
			failed = panicked(v)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	self, problem := c.identity(ctx)
	if problem != nil {
		return problem
	}
	asked := awsauth.ARN{Partition: self.Partition, Service: "iam", Account: self.Account, Resource: "role/" + strangerName}
	if arn, err := awsauth.ParseARN(self.ARN); err == nil {
		if role, ok := arn.SessionRole(); ok {
			asked = role
		}
	}
	seen := c.find(ctx, c.own, asked)
	attrs := []slog.Attr{
		slog.String("identity", self.ARN), slog.String("account", self.Account), slog.String("partition", self.Partition),
		slog.Bool("get_role_allowed", seen.problem == nil),
	}
	switch {
	case seen.problem == nil:
		c.log.LogAttrs(ctx, slog.LevelInfo, "AWS can be asked for principals", attrs...)
	case seen.problem.reason == reasonDenied:
		c.log.LogAttrs(ctx, slog.LevelWarn, "AWS cannot be asked for principals", append(attrs, seen.problem.attrs()...)...)
	default:
		return seen.problem
	}
	return nil
}
