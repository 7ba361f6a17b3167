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
)

// Identity is whose credentials are in use.
type Identity struct{ ARN, Account, Partition string }

// identified is the outcome of asking for the Identity.
type identified struct {
	Identity

	problem *problem
}

// Identity asks STS, once: after a success the answer stays.
func (c *Client) Identity(ctx context.Context) (Identity, error) {
	self, problem := c.identity(ctx)
	if problem != nil {
		return Identity{}, problem
	}
	return self, nil
}

func (c *Client) identity(ctx context.Context) (Identity, *problem) {
	if self := c.self.Load(); self != nil {
		return *self, nil
	}
	if ctx.Err() != nil {
		return Identity{}, &problem{reason: reasonTimeout}
	}
	got, ok := c.identities.do(ctx, "", c.getCallerIdentity)
	if !ok {
		return Identity{}, &problem{reason: reasonTimeout}
	}
	return got.Identity, got.problem
}

// getCallerIdentity needs no permission (STS API reference, GetCallerIdentity).
func (c *Client) getCallerIdentity(ctx context.Context) identified {
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
	self := Identity{ARN: arn.String(), Account: arn.Account, Partition: arn.Partition}
	c.self.Store(&self)
	return identified{Identity: self}
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

func (c *Client) announce(ctx context.Context) *problem {
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
