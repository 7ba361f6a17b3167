package iam

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
)

// What the tests hold the code to.
const (
	MaxCalls   = maxCalls
	MaxPages   = maxPages
	SecondLook = secondLook
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

// SetMemory bounds the memory, which holds no more than thousands of principals otherwise.
func (c *Client) SetMemory(size int) { c.memory.size = size }

// Remembered returns how many principals the memory holds.
func (c *Client) Remembered() int {
	c.memory.mu.Lock()
	defer c.memory.mu.Unlock()
	return len(c.memory.entries)
}

// Said returns how many things were logged that are not to be logged again and again.
func (c *Client) Said() int {
	c.said.mu.Lock()
	defer c.said.mu.Unlock()
	return len(c.said.problems) + len(c.said.accounts)
}

// Waiting returns how many wait for a call about what has this in its key.
func (c *Client) Waiting(part string) int {
	c.looks.mu.Lock()
	defer c.looks.mu.Unlock()
	n := 0
	for key, f := range c.looks.now {
		if strings.Contains(key, part) {
			n += f.waiting
		}
	}
	return n
}

// SetAnnounceAgain sets the time before Announce tries again.
func (c *Client) SetAnnounceAgain(d time.Duration) { c.again = d }

// Reasons returns every reason for Unknown.
func Reasons() []string {
	return []string{
		reasonDenied, reasonThrottled, reasonTimeout, reasonUnreachable, reasonNoCredentials, reasonCredentials,
		reasonFailed, reasonGarbage, reasonRefused, reasonOnce, reasonForeign, reasonChanged, reasonPanicked, noAccess("…"),
	}
}
