// Package iam asks AWS whether principals exist, within a budget of time: what is not known by then
// is unknown. It is the only package that calls AWS.
package iam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"golang.org/x/time/rate"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxCalls bounds the calls that are under way at a time. IAM throttles an account at some tens
	// of calls a second, which it shares with everybody else who works there.
	maxCalls = 8
	// secondLook is how long after IAM did not find a principal it is asked again: IAM is eventually
	// consistent, so that what was made a moment ago may not be found yet (IAM user guide,
	// "Changes that I make are not always immediately visible").
	secondLook = time.Second

	// problemAgain and accountAgain are the times after which the log repeats a problem, and that an account can't
	// be asked in.
	problemAgain = 5 * time.Minute
	accountAgain = 24 * time.Hour

	sessionName = "awsauth-guard"
)

// Account says how to ask in another account: with the credentials of a role there.
type Account struct{ RoleARN, ExternalID string }

// Limits bound what reviews, which anybody who reaches the webhook's port can send, ask of AWS. The zero Limits
// bound nothing.
type Limits struct {
	PerLookup int        // principals that one Lookup asks AWS for
	PerSecond rate.Limit // principals that all Lookups together ask AWS for
	Burst     int        // principals that may be asked for at once, before PerSecond counts
}

// WebhookLimits are those of the webhook. A change adds some entries; 64 are asked for in a second or two, within the
// budget. Two a second leave an account most of the calls that IAM allows it, and make at most 248 principals in a
// minute.
var WebhookLimits = Limits{PerLookup: 64, PerSecond: 2, Burst: 128}

func (l Limits) limiter() *rate.Limiter {
	if l.PerSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(l.PerSecond, l.Burst)
}

// Recorder counts. Its methods are called concurrently.
type Recorder interface {
	// LookedUp counts a principal that AWS was asked for: exists, missing or unknown.
	LookedUp(result string, took time.Duration)
	// Unasked counts principals that AWS was not asked for because of the Limits.
	Unasked(principals int)
	// CacheHit counts one that was answered from the cache.
	CacheHit()
}

// Options is what a [Client] needs.
type Options struct {
	Accounts map[string]Account // by account id
	Limits   Limits
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time // nil is the real clock
	// MFAToken asks somebody for the code of an MFA device, which a profile may want. Where it is nil
	// such a profile is [ErrNeedsMFA].
	MFAToken func() (string, error)
}

// Client asks AWS. It may be used concurrently.
type Client struct {
	log      *slog.Logger
	recorder Recorder
	now      func() time.Time
	delay    time.Duration // before the second look
	again    time.Duration // before a second Announce

	sts    *sts.Client
	own    *awsiam.Client
	others map[string]*awsiam.Client // by account id

	self       atomic.Pointer[identified] // the last answer
	slots      chan struct{}
	identities shared[identified]
	looks      shared[sighting]
	lists      shared[[]awsauth.ARN]
	cache      *cache
	limits     Limits
	limiter    *rate.Limiter
	// problems and accounts limit the log lines about problems, and about accounts without access.
	problems, accounts *kube.KeyThrottle
}

// New loads the SDK's default configuration, environment and profile included. It calls nobody.
func New(ctx context.Context, o Options) (*Client, error) {
	var more []func(*config.LoadOptions) error
	if o.MFAToken != nil {
		more = append(more, config.WithAssumeRoleCredentialOptions(func(a *stscreds.AssumeRoleOptions) { a.TokenProvider = o.MFAToken }))
	}
	cfg, err := loadConfig(ctx, more...)
	if err != nil {
		return nil, err
	}
	return newClient(cfg, o)
}

func newClient(cfg aws.Config, o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the real clock, where no other is given
	}
	if cfg.Credentials != nil {
		cfg.Credentials = credentials{cfg.Credentials}
	}
	c := &Client{
		log:      o.Logger,
		recorder: o.Recorder,
		now:      o.Now,
		delay:    secondLook,
		again:    announceAgain,
		sts:      sts.NewFromConfig(cfg),
		own:      awsiam.NewFromConfig(cfg),
		others:   make(map[string]*awsiam.Client, len(o.Accounts)),
		slots:    make(chan struct{}, maxCalls),
		cache:    newCache(o.Now, maxCached),
		limits:   o.Limits,
		limiter:  o.Limits.limiter(),
		problems: kube.NewKeyThrottle(problemAgain, o.Now),
		accounts: kube.NewKeyThrottle(accountAgain, o.Now),
	}
	for _, id := range slices.Sorted(maps.Keys(o.Accounts)) {
		account := o.Accounts[id]
		role, err := awsauth.ParseARN(account.RoleARN)
		if err != nil {
			return nil, fmt.Errorf("the role to ask with in account %s: %w", id, err)
		}
		// In another account than the one that is meant nothing would be found, and all be missing.
		if role.Account != id || !role.IsRole() {
			return nil, fmt.Errorf("the role to ask with in account %s: %q is no role of that account", id, account.RoleARN)
		}
		c.others[id] = awsiam.NewFromConfig(cfg, func(options *awsiam.Options) {
			options.Credentials = credentials{aws.NewCredentialsCache(c.assume(account))}
		})
	}
	return c, nil
}

func (c *Client) assume(account Account) *stscreds.AssumeRoleProvider {
	return stscreds.NewAssumeRoleProvider(c.sts, account.RoleARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = sessionName
		if account.ExternalID != "" {
			o.ExternalID = &account.ExternalID
		}
	})
}

// service is what asks in an account, or nil where no access to it is configured.
func (c *Client) service(self Identity, account string) *awsiam.Client {
	if account == self.Account {
		return c.own
	}
	return c.others[account]
}

// call waits for one of the slots, and calls. A panic of the SDK is an error: the call runs where
// nobody else would catch it, and what AWS answers must not end the webhook.
func call[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (out T, err error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return out, fmt.Errorf("waiting for %d other calls: %w", maxCalls, ctx.Err())
	}
	defer func() {
		<-c.slots
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	return f(ctx)
}

// UniqueID asks once, past the cache, for the unique id of a role or user, such as AROA… or AIDA….
// A principal that was made a moment ago may be Missing here. The error says why it is Unknown.
func (c *Client) UniqueID(ctx context.Context, principal awsauth.ARN) (string, validate.Existence, error) {
	self, err := c.Identity(ctx)
	if err != nil {
		return "", validate.Unknown, err
	}
	service := c.service(self, principal.Account)
	switch {
	case principal.Service != "iam" || principal.Name() == "root":
		return "", validate.Unknown, errors.New("only roles and users have a unique id")
	case principal.Partition != self.Partition:
		return "", validate.Unknown, &problem{reason: reasonForeign}
	case service == nil:
		return "", validate.Unknown, &problem{reason: noAccess(principal.Account)}
	}
	seen := c.find(ctx, service, principal)
	switch {
	case seen.problem != nil:
		return "", validate.Unknown, seen.problem
	case seen.is(principal):
		return seen.id, validate.Exists, nil
	}
	if problem := c.confirm(ctx, self, principal, seen.began); problem != nil {
		return "", validate.Unknown, problem
	}
	return "", validate.Missing, nil
}

// Instead names what is there instead of a missing principal, as the hint of a [Client.Lookup] does, such as the role
// that its permission set has now. It is empty where that is not known, as where listing is not allowed.
func (c *Client) Instead(ctx context.Context, missing awsauth.ARN) string {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout) // of all pages
	defer cancel()
	self, err := c.Identity(ctx)
	if err != nil || missing.Partition != self.Partition || c.service(self, missing.Account) == nil {
		return ""
	}
	_, instead := c.searchList(ctx, self, missing, sighting{})
	return instead
}
