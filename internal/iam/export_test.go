package iam

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// Constants that the tests use.
const (
	MaxCalls        = maxCalls
	MaxPages        = maxPages
	SecondCallDelay = secondCallDelay
	SharedTimeout   = sharedTimeout
)

// NewFrom is like New. delay is the time between the first and the second call for a principal that IAM does not find. The options of the SDK
// replace the environment, so that tests can run in parallel. If change is not nil, NewFrom calls it with the configuration that results.
func NewFrom(ctx context.Context, o Options, delay time.Duration, change func(*aws.Config), options ...func(*config.LoadOptions) error) (*Client, error) {
	cfg, err := awsapi.LoadConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&cfg)
	}
	c, err := newClient(cfg, o)
	if err == nil {
		c.delay = delay
	}
	return c, err
}

// SetCacheSize replaces the cache by an empty cache of this size.
func (c *Client) SetCacheSize(size int) { c.cache = newCache(c.now, size) }

// Cached returns the number of principals with an answer in the cache, and the number of principals that IAM did not find in a first call.
func (c *Client) Cached() (answers, notFounds int) {
	return len(c.cache.answers.Keys()), len(c.cache.notFounds.Keys())
}

// SetLogIdentityRetry sets the time before LogIdentity tries again.
func (c *Client) SetLogIdentityRetry(d time.Duration) { c.retryDelay = d }

// Reasons returns every reason for Unknown.
func Reasons() []string {
	return []string{
		awsapi.ReasonDenied, awsapi.ReasonThrottled, awsapi.ReasonTimeout, awsapi.ReasonUnreachable, awsapi.ReasonNoCredentials, awsapi.ReasonCredentials,
		awsapi.ReasonFailed, awsapi.ReasonInvalidResponse, awsapi.ReasonRefused, reasonNotFoundOnce, reasonOtherPartition, reasonAccountChanged, awsapi.ReasonPanicked, reasonTooMany, reasonRateLimited, noAccess("…"),
	}
}
