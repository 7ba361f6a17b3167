package iam

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// What the tests hold the code to.
const (
	MaxCalls      = maxCalls
	MaxPages      = maxPages
	SecondLook    = secondCallDelay
	SharedTimeout = sharedTimeout
)

// NewFrom is New with the second look after another delay, and with options of the SDK that stand for
// the environment, so that tests can run side by side. change, if given, has the last word.
func NewFrom(ctx context.Context, o Options, delay time.Duration, change func(*aws.Config), options ...func(*config.LoadOptions) error) (*Client, error) {
	cfg, err := loadConfig(ctx, options...)
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

// SetCacheSize replaces the cache by an empty one for fewer principals.
func (c *Client) SetCacheSize(size int) { c.cache = newCache(c.now, size) }

// Cached returns how many answers and absences the cache holds.
func (c *Client) Cached() (answers, notFounds int) {
	return len(c.cache.answers.Keys()), len(c.cache.notFounds.Keys())
}

// SetAnnounceAgain sets the time before Announce tries again.
func (c *Client) SetLogIdentityRetry(d time.Duration) { c.retryDelay = d }

// Reasons returns every reason for Unknown.
func Reasons() []string {
	return []string{
		reasonDenied, reasonThrottled, reasonTimeout, reasonUnreachable, reasonNoCredentials, reasonCredentials,
		reasonFailed, reasonInvalidResponse, reasonRefused, reasonNotFoundOnce, reasonOtherPartition, reasonAccountChanged, reasonPanicked, reasonTooMany, reasonRateLimited, noAccess("…"),
	}
}
