// Package iam asks AWS whether principals exist, within a budget of time: what is not known by then
// is unknown. It is the only package that calls AWS.
package iam

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
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

	sessionName = "awsauth-guard"
	// defaultRegion is used where neither the environment nor the profile names one. IAM has one
	// endpoint for each partition, and a region says which; IRSA and Pod Identity set AWS_REGION.
	defaultRegion = "us-east-1"

	// The SDK waits 30 s for a connection and up to 20 s between attempts, and neither fits into a
	// budget of 2 s. requestTimeout also ends the one thing that outlives a budget: the SDK fetches
	// credentials in the background, one call at a time, for whoever comes next.
	connectTimeout = 3 * time.Second
	requestTimeout = 5 * time.Second
	maxAttempts    = 3
	maxBackoff     = 300 * time.Millisecond
)

// Account says how to ask in another account: with the credentials of a role there.
type Account struct{ RoleARN, ExternalID string }

// Recorder counts. Its methods are called concurrently.
type Recorder interface {
	// LookedUp counts a principal that AWS was asked for: exists, missing or unknown.
	LookedUp(result string, took time.Duration)
	// CacheHit counts one that was answered from memory.
	CacheHit()
}

// Options is what a [Client] needs.
type Options struct {
	Accounts map[string]Account // by account id
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time // nil is the real clock
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

	self       atomic.Pointer[Identity]
	slots      chan struct{}
	identities flights[identified]
	looks      flights[sighting]
	lists      flights[[]awsauth.ARN]
	memory     memory

	mu   sync.Mutex
	said map[string]time.Time // when each thing was logged last
}

// New loads the SDK's default configuration, environment and profile included. It calls nobody.
func New(ctx context.Context, o Options) (*Client, error) {
	cfg, err := loadConfig(ctx)
	if err != nil {
		return nil, err
	}
	return newClient(cfg, o)
}

// loadConfig leaves endpoints, FIPS and dual-stack to the SDK, which reads them from the environment.
func loadConfig(ctx context.Context, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	options := append([]func(*config.LoadOptions) error{
		config.WithDefaultRegion(defaultRegion),
		config.WithLogger(logging.Nop{}), // without one the SDK writes to standard error
		// The SDK adds AWS_CA_BUNDLE to a client of this type only.
		config.WithHTTPClient(awshttp.NewBuildableClient().
			WithTimeout(requestTimeout).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = connectTimeout })),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = maxAttempts, maxBackoff })
		}),
	}, more...)
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	return cfg, nil
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
		said:     make(map[string]time.Time),
	}
	c.memory.now, c.memory.size = o.Now, maxMemory
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

// credentials marks the errors of a provider, to tell them from those of the call that needed it.
type credentials struct{ aws.CredentialsProvider }

func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return got, &credentialsError{err}
	}
	return got, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

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
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f(ctx)
}

const (
	sayAgain = 5 * time.Minute
	maxSaid  = 256
)

// once reports whether what has this name is to be logged now: at most every five minutes, or with
// forever only one time. Names hold account ids, which come from aws-auth, and are bounded here.
func (c *Client) once(name string, forever bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	last, ok := c.said[name]
	switch {
	case ok && (forever || c.now().Sub(last) < sayAgain), !ok && len(c.said) >= maxSaid:
		return false
	}
	c.said[name] = c.now()
	return true
}

// UniqueID asks once, past the memory, for the unique id of a role or user, such as AROA… or AIDA….
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
	case !seen.is(principal):
		return "", validate.Missing, nil
	}
	return seen.id, validate.Exists, nil
}
