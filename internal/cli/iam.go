package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// identityTimeout is for the first question, who asks: an answer that takes longer will not come.
	identityTimeout = 15 * time.Second
	// iamTimeout is how long a file waits for IAM: at eight questions at a time and some 50 ms each, long
	// enough for thousands of principals.
	iamTimeout = time.Minute
)

// directory asks IAM about the principals of a file.
type directory func([]awsauth.ARN) validate.IAM

// openDirectory makes sure that AWS can be asked, with the caller's own credentials, and says as whom.
func (a *app) openDirectory(ctx context.Context, c config.IAM) (directory, error) {
	accounts := make(map[string]iam.Account, len(c.Accounts))
	for id, account := range c.Accounts {
		accounts[id] = iam.Account(account)
	}
	client, err := iam.New(ctx, iam.Options{Accounts: accounts, Recorder: uncounted{}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("--iam: %w", err)
	}
	asking, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	self, err := client.Identity(asking)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--iam: asking AWS who you are: %w", err), errors.New("set AWS_PROFILE or log in, so that aws sts get-caller-identity works, or leave --iam out"))
	}
	a.note("IAM is asked as %s", self.ARN)
	return func(principals []awsauth.ARN) validate.IAM {
		asking, cancel := context.WithTimeout(ctx, iamTimeout)
		defer cancel()
		return client.Lookup(asking, principals)
	}, nil
}

// uncounted is the Recorder of a program that nobody scrapes.
type uncounted struct{}

func (uncounted) LookedUp(string, time.Duration) {}
func (uncounted) CacheHit()                      {}
