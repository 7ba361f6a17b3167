package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
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
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(identityTimeout, cancel)
	defer late.Stop()
	o := iam.Options{Accounts: accounts, Recorder: uncounted{}, Logger: slog.New(slog.DiscardHandler)}
	if f, ok := a.stdin.(*os.File); ok && isTerminal(f) {
		o.MFAToken = func() (string, error) {
			late.Stop() // somebody looks for the device
			defer late.Reset(identityTimeout)
			return a.askMFAToken()
		}
	}
	client, err := iam.New(ctx, o)
	switch {
	case errors.Is(err, iam.ErrNeedsMFA):
		return nil, errors.Join(fmt.Errorf("--iam: %w", err), errors.New(`run it from a terminal, or first eval "$(aws configure export-credentials --format env)"`))
	case err != nil:
		return nil, fmt.Errorf("--iam: %w", err)
	}
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

// askMFAToken reads a line, and no byte more: the rest may be the input.
func (a *app) askMFAToken() (string, error) {
	fmt.Fprint(a.stderr, "Code of your MFA device: ")
	var line []byte
	for b := make([]byte, 1); ; {
		n, err := a.stdin.Read(b)
		switch {
		case n > 0 && b[0] == '\n', errors.Is(err, io.EOF) && len(line) > 0:
			return strings.TrimSpace(string(line)), nil
		case err != nil:
			return "", fmt.Errorf("reading the code of the MFA device: %w", err)
		}
		line = append(line, b[:n]...)
	}
}

// uncounted is the Recorder of a program that nobody scrapes.
type uncounted struct{}

func (uncounted) LookedUp(string, time.Duration) {}
func (uncounted) Unasked(int)                    {}
func (uncounted) CacheHit()                      {}
