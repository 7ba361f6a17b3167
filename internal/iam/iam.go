// Package iam looks up in AWS whether principals exist. A lookup has a time budget. A principal that has no result at the end of the
// budget is unknown.
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

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxCalls limits the number of concurrent calls. IAM throttles all users of an account together, at some tens of calls a
	// second.
	maxCalls = 8
	// secondCallDelay is the time between two calls for a principal that the first call did not find. IAM is eventually
	// consistent, so a new principal may not be found yet (IAM user guide, "Changes that I make are not always immediately
	// visible").
	secondCallDelay = time.Second

	// problemInterval is the minimum time before the log repeats a problem. accountInterval is the minimum time before the log
	// repeats that no role is configured for an account.
	problemInterval = 5 * time.Minute
	accountInterval = 24 * time.Hour

	sessionName = "awsauth-guard"
)

// Account configures the lookups in another account. The guard assumes the role with RoleARN in this account. ExternalID may be empty.
type Account struct{ RoleARN, ExternalID string }

// Limits limit the number of lookups, because every client that reaches the webhook's port can send reviews. The zero Limits have no
// effect.
type Limits struct {
	PerLookup int        // principals in one Lookup
	PerSecond rate.Limit // principals per second in all Lookups together
	Burst     int        // principals that can be looked up at once before PerSecond limits them
}

// WebhookLimits are the limits of the webhook. A usual change adds a few entries. A lookup of 64 principals takes a second or two,
// within the time budget of a review. With these limits the guard looks up at most 248 principals in a minute: a burst of 128, and then
// two per second. So it leaves most of the account's IAM calls to other users.
var WebhookLimits = Limits{PerLookup: 64, PerSecond: 2, Burst: 128}

func (l Limits) limiter() *rate.Limiter {
	if l.PerSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	return rate.NewLimiter(l.PerSecond, l.Burst)
}

// Recorder records metrics. It must allow concurrent calls.
type Recorder interface {
	// LookedUp counts a lookup of a principal in AWS. The result is exists, missing or unknown.
	LookedUp(result string, took time.Duration)
	// Unasked counts principals that were not looked up because of the Limits.
	Unasked(principals int)
	// CacheHit counts a principal for which the cache has an answer.
	CacheHit()
}

// NoMetrics is a Recorder that ignores all calls.
type NoMetrics struct{}

// LookedUp implements [Recorder].
func (NoMetrics) LookedUp(string, time.Duration) {}

// Unasked implements [Recorder].
func (NoMetrics) Unasked(int) {}

// CacheHit implements [Recorder].
func (NoMetrics) CacheHit() {}

// Options configures a [Client].
type Options struct {
	Accounts map[string]Account // by account id
	Limits   Limits
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time // nil means the real clock
	// MFAToken asks a person for the code of an MFA device. Some profiles require this code. If MFAToken is nil, such a profile
	// fails with [awsapi.ErrNeedsMFA].
	MFAToken func() (string, error)
	// Load are further options for the configuration of the SDK, such as those of [awsapi.As].
	Load []func(*config.LoadOptions) error
}

// Client looks up principals in AWS. It may be used concurrently.
type Client struct {
	log        *slog.Logger
	recorder   Recorder
	now        func() time.Time
	delay      time.Duration // the time between the two calls for a missing principal
	retryDelay time.Duration // the time before LogIdentity tries again

	sts           *sts.Client
	ownAccount    *awsiam.Client
	otherAccounts map[string]*awsiam.Client // by account id

	self       atomic.Pointer[identityResult] // the last identity that STS returned; nil before the first one
	slots      chan struct{}                  // has an element for each running call
	identities singleFlight[identityResult]
	gets       singleFlight[getResult]
	lists      singleFlight[principalList]
	cache      *cache
	limits     Limits
	limiter    *rate.Limiter
	// problems throttles the log lines about problems, and accounts those about accounts without a configured role.
	problems, accounts *kube.KeyThrottle
}

// New returns a Client with the default configuration of the SDK: the environment and the profile. It doesn't call AWS.
// It returns an error if this configuration or an account in the Options is not valid.
func New(ctx context.Context, o Options) (*Client, error) {
	more := slices.Clone(o.Load)
	if o.MFAToken != nil {
		more = append(more, config.WithAssumeRoleCredentialOptions(func(a *stscreds.AssumeRoleOptions) { a.TokenProvider = o.MFAToken }))
	}
	cfg, err := awsapi.LoadConfig(ctx, more...)
	if err != nil {
		return nil, err
	}
	return newClient(cfg, o)
}

func newClient(cfg aws.Config, o Options) (*Client, error) {
	if o.Now == nil {
		o.Now = time.Now //nolint:forbidigo // the default clock
	}
	if cfg.Credentials != nil {
		cfg.Credentials = awsapi.LabelledCredentials{CredentialsProvider: cfg.Credentials}
	}
	c := &Client{
		log:           o.Logger,
		recorder:      o.Recorder,
		now:           o.Now,
		delay:         secondCallDelay,
		retryDelay:    logIdentityRetry,
		sts:           sts.NewFromConfig(cfg),
		ownAccount:    awsiam.NewFromConfig(cfg),
		otherAccounts: make(map[string]*awsiam.Client, len(o.Accounts)),
		slots:         make(chan struct{}, maxCalls),
		cache:         newCache(o.Now, maxCached),
		limits:        o.Limits,
		limiter:       o.Limits.limiter(),
		problems:      kube.NewKeyThrottle(problemInterval, o.Now),
		accounts:      kube.NewKeyThrottle(accountInterval, o.Now),
	}
	for _, id := range slices.Sorted(maps.Keys(o.Accounts)) {
		account := o.Accounts[id]
		role, err := awsauth.ParseARN(account.RoleARN)
		if err != nil {
			return nil, fmt.Errorf("the role for lookups in account %s: %w", id, err)
		}
		// A role in another account would find no principal, and every principal would be missing.
		if role.Account != id || !role.IsRole() {
			return nil, fmt.Errorf("the role for lookups in account %s: %q is not a role in that account", id, account.RoleARN)
		}
		c.otherAccounts[id] = awsiam.NewFromConfig(cfg, func(options *awsiam.Options) {
			options.Credentials = awsapi.LabelledCredentials{CredentialsProvider: aws.NewCredentialsCache(c.assume(account))}
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

// service returns the SDK's client for an account. It returns nil if the account is not the guard's own and has no configured role.
func (c *Client) service(self Identity, account string) *awsiam.Client {
	if account == self.Account {
		return c.ownAccount
	}
	return c.otherAccounts[account]
}

// call waits for one of the maxCalls slots and runs f. It converts a panic of f to an error, because call may run in a
// goroutine in which a panic would end the process.
func call[T any](ctx context.Context, c *Client, f func(context.Context) (T, error)) (out T, err error) {
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return out, fmt.Errorf("waiting for %d other calls: %w", maxCalls, ctx.Err())
	}
	defer func() {
		<-c.slots
		if v := recover(); v != nil {
			err = awsapi.NewPanicError(v)
		}
	}()
	return f(ctx)
}

// Facts looks up the unique id and the creation time of a role or user in IAM. It doesn't use the cache for principals. IAM may not
// find a new principal yet; the result is then Missing. If the result is Unknown, the error says why.
func (c *Client) Facts(ctx context.Context, principal awsauth.ARN) (access.IAMFacts, validate.Existence, error) {
	var none access.IAMFacts
	self, err := c.Identity(ctx)
	if err != nil {
		return none, validate.Unknown, err
	}
	service := c.service(self, principal.Account)
	switch {
	case principal.Service != "iam" || principal.Name() == "root":
		return none, validate.Unknown, errors.New("only roles and users have a unique id")
	case principal.Partition != self.Partition:
		return none, validate.Unknown, &awsapi.Error{Reason: reasonOtherPartition}
	case service == nil:
		return none, validate.Unknown, &awsapi.Error{Reason: noAccess(principal.Account)}
	}
	seen := c.get(ctx, service, principal)
	switch {
	case seen.problem != nil:
		return none, validate.Unknown, seen.problem
	case seen.matches(principal):
		return seen.facts, validate.Exists, nil
	}
	if problem := c.confirmAccount(ctx, self, principal, seen.began); problem != nil {
		return none, validate.Unknown, problem
	}
	return none, validate.Missing, nil
}

// Replacement returns the ARN that replaced a missing principal, such as the present role of its permission set.
// [Client.Lookup] returns the same ARN as a hint. Replacement returns "" if no ARN replaced the principal. It also
// returns "" if it can't search, for example because the guard may not list principals.
func (c *Client) Replacement(ctx context.Context, missing awsauth.ARN) string {
	ctx, cancel := context.WithTimeout(ctx, awsapi.RequestTimeout) // for all pages together
	defer cancel()
	self, err := c.Identity(ctx)
	if err != nil || missing.Partition != self.Partition || c.service(self, missing.Account) == nil {
		return ""
	}
	_, replacement := c.searchList(ctx, self, missing, getResult{})
	return replacement
}
