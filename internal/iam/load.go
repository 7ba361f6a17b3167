package iam

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
)

const (
	// defaultRegion is used where neither the environment nor the profile names one. IAM has one
	// endpoint for each partition, and a region says which; IRSA and Pod Identity set AWS_REGION.
	defaultRegion = "us-east-1"

	// The SDK waits 30 s for a connection and up to 20 s between attempts, and neither fits into a
	// budget of 2 s. requestTimeout also ends what outlives a budget: calls that later reviews share, and
	// the SDK's own for credentials, which it fetches in the background, one call at a time.
	connectTimeout = 3 * time.Second
	requestTimeout = 5 * time.Second
	maxAttempts    = 3
	maxBackoff     = 300 * time.Millisecond
)

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
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", loadError(err))
	}
	return cfg, nil
}

// ErrNeedsMFA is a profile that wants the code of an MFA device where nobody can be asked for it.
var ErrNeedsMFA = errors.New("the profile wants the code of an MFA device")

// loadError says why the configuration cannot be loaded. The SDK's own errors quote values of variables
// and lines of files, which may be a secret that stands where it does not belong. Names of profiles and
// of files are none.
func loadError(err error) error {
	if _, ok := errors.AsType[config.AssumeRoleTokenProviderNotSetError](err); ok {
		return ErrNeedsMFA
	}
	if e, ok := errors.AsType[config.SharedConfigAssumeRoleError](err); ok {
		return fmt.Errorf("the source_profile %q, or what it names itself, cannot be used", e.Profile)
	}
	if e, ok := errors.AsType[config.SharedConfigProfileNotExistError](err); ok {
		return fmt.Errorf("there is no profile %q", e.Profile)
	}
	if e, ok := errors.AsType[config.CredentialRequiresARNError](err); ok {
		return fmt.Errorf("the profile %q has no role_arn", e.Profile)
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e
	}
	return errors.New("a variable or a profile is not valid; which one is not said here, because it may be a secret")
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
