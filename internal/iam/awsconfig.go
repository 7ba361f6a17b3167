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
	// defaultRegion is used if neither the environment nor the profile sets a region. IAM has one endpoint for each
	// partition, and the region determines the partition. IRSA and Pod Identity set AWS_REGION.
	defaultRegion = "us-east-1"

	// By default the SDK waits 30 s for a connection and up to 20 s between attempts, which does not fit into a budget of
	// 2 s. requestTimeout also limits calls that outlive a budget: calls that later reviews share, and the SDK's background
	// calls for credentials.
	connectTimeout = 3 * time.Second
	requestTimeout = 5 * time.Second
	maxAttempts    = 3
	maxBackoff     = 300 * time.Millisecond
)

// loadConfig loads the SDK's configuration. The SDK reads endpoints, FIPS and dual-stack from the environment.
func loadConfig(ctx context.Context, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	options := append([]func(*config.LoadOptions) error{
		config.WithDefaultRegion(defaultRegion),
		config.WithLogger(logging.Nop{}), // the SDK's default logger writes to standard error
		// The SDK applies AWS_CA_BUNDLE only to a client of this type.
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
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", redactLoadError(err))
	}
	return cfg, nil
}

// ErrNeedsMFA means that the profile requires the code of an MFA device, and no person can be asked for it.
var ErrNeedsMFA = errors.New("the profile requires the code of an MFA device")

// redactLoadError returns the reason why the configuration can't be loaded. It does not return the SDK's errors, because they quote
// values of variables and lines of files, which may contain misplaced secrets. Names of profiles and files are not secret.
func redactLoadError(err error) error {
	if _, ok := errors.AsType[config.AssumeRoleTokenProviderNotSetError](err); ok {
		return ErrNeedsMFA
	}
	if e, ok := errors.AsType[config.SharedConfigAssumeRoleError](err); ok {
		return fmt.Errorf("the source_profile %q, or a profile that it refers to, cannot be used", e.Profile)
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
	return errors.New("a variable or a profile is not valid; its name and value are not shown, because it may be a secret")
}

// labelledCredentials wraps the errors of a provider, to distinguish them from errors of the call that needed the credentials.
type labelledCredentials struct{ aws.CredentialsProvider }

func (c labelledCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return got, &credentialsError{err}
	}
	return got, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
