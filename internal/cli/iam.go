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

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/iam"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// identityTimeout limits the time of the first call, which asks STS for the caller's identity. This call usually takes less than a
	// second.
	identityTimeout = 15 * time.Second
	// iamTimeout limits the time for the lookups in IAM of the principals of one aws-auth, or of the grants of one cluster. Eight concurrent
	// calls of about 50 ms each look up thousands of principals in a minute.
	iamTimeout = time.Minute
)

// principalLookup is a function that looks up principals in IAM. It returns for each whether it exists, or the reason why this is not
// known.
type principalLookup func([]awsauth.ARN) validate.IAM

// newPrincipalLookup returns a lookup that uses the AWS credentials of the environment.
func (a *app) newPrincipalLookup(ctx context.Context, c config.IAM) (principalLookup, error) {
	client, err := a.newIAMClient(ctx, c)
	if err != nil {
		return nil, err
	}
	return func(principals []awsauth.ARN) validate.IAM {
		callCtx, cancel := context.WithTimeout(ctx, iamTimeout)
		defer cancel()
		return client.Lookup(callCtx, principals)
	}, nil
}

// newIAMClient returns an IAM client that uses the AWS credentials of the environment. It first asks STS for the identity of these
// credentials, and prints the identity as a note. It returns an error if the credentials can't be used.
func (a *app) newIAMClient(ctx context.Context, c config.IAM) (*iam.Client, error) {
	accounts := make(map[string]iam.Account, len(c.Accounts))
	for id, account := range c.Accounts {
		accounts[id] = iam.Account(account)
	}
	callCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(identityTimeout, cancel)
	defer late.Stop()
	o := iam.Options{Accounts: accounts, Recorder: iam.NoMetrics{}, Logger: slog.New(slog.DiscardHandler)}
	if f, ok := a.stdin.(*os.File); ok && isTerminal(f) {
		o.MFAToken = func() (string, error) {
			late.Stop() // no time limit while the user types the MFA code
			defer late.Reset(identityTimeout)
			return a.askMFAToken()
		}
	}
	client, err := iam.New(ctx, o)
	switch {
	case errors.Is(err, awsapi.ErrNeedsMFA):
		return nil, errors.Join(fmt.Errorf("--iam: %w", err), errors.New(`run the command in a terminal, or first run eval "$(aws configure export-credentials --format env)"`))
	case err != nil:
		return nil, fmt.Errorf("--iam: %w", err)
	}
	self, err := client.Identity(callCtx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--iam: getting your identity from AWS: %w", err), errors.New("set AWS_PROFILE or log in, so that aws sts get-caller-identity works, or omit --iam"))
	}
	a.note("looking principals up in IAM as %s", self.ARN)
	return client, nil
}

// askMFAToken asks the user for the code of the MFA device and returns the answer. It reads standard input byte by byte up to the end of
// the line, because manifests may follow the code on standard input.
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
