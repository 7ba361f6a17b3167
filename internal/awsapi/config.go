// Package awsapi configures the clients of AWS services, and turns their errors into texts that may be shown and logged.
package awsapi

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
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"
)

const (
	// defaultRegion is the region if neither the environment nor the profile sets one. A pod has the variable AWS_REGION if it uses
	// IRSA or Pod Identity. The region determines the partition, and IAM has one endpoint for each partition.
	defaultRegion = "us-east-1"

	// connectTimeout limits the time to open a connection, and maxBackoff the pause between two attempts. The SDK's defaults are too long:
	// 30 s for a connection is more than a whole attempt may take, and a pause of 20 s is more than a review waits for a lookup.
	connectTimeout = 3 * time.Second
	maxBackoff     = 300 * time.Millisecond
	// RequestTimeout limits one attempt of a call. It is necessary in addition to the time budget of a lookup. A call that several
	// reviews share, and the SDK's background calls for credentials, may last longer than this budget.
	RequestTimeout = 5 * time.Second
	// MaxAttempts is the maximum number of attempts of one call.
	MaxAttempts = 3
)

// LoadConfig loads the SDK's configuration, including the environment and the profile. It applies the options in more last. It
// doesn't call AWS. Its error contains no value of a variable or file.
func LoadConfig(ctx context.Context, more ...func(*config.LoadOptions) error) (aws.Config, error) {
	options := append([]func(*config.LoadOptions) error{
		config.WithDefaultRegion(defaultRegion),
		config.WithLogger(logging.Nop{}), // the SDK's default logger writes to standard error
		// The SDK applies AWS_CA_BUNDLE only to a client of this type.
		config.WithHTTPClient(awshttp.NewBuildableClient().
			WithTimeout(RequestTimeout).
			WithDialerOptions(func(d *net.Dialer) { d.Timeout = connectTimeout }).
			WithTransportOptions(func(t *http.Transport) { t.TLSHandshakeTimeout = connectTimeout })),
		config.WithRetryer(func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.MaxBackoff = MaxAttempts, maxBackoff })
		}),
	}, more...)
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", redactLoadError(err))
	}
	return cfg, nil
}

// As returns options for [LoadConfig] that select a profile. An empty profile means the profile of the environment. If
// roleARN is not empty, the options also make the SDK assume this role with the profile's credentials, in a session
// with the name sessionName. As doesn't call AWS.
func As(ctx context.Context, profile, roleARN, sessionName string) ([]func(*config.LoadOptions) error, error) {
	options := []func(*config.LoadOptions) error{config.WithSharedConfigProfile(profile)}
	if roleARN == "" {
		return options, nil
	}
	assume, err := Assume(ctx, Role{ARN: roleARN, SessionName: sessionName}, options...)
	return append(options, assume), err
}

// Role is a role to assume. SessionName is required, and ExternalID is optional.
type Role struct{ ARN, ExternalID, SessionName string }

// Assume returns an option for [LoadConfig] that makes the SDK assume a role with the credentials of other options. All configurations that
// are loaded with the result share the credentials of one session. Assume doesn't call AWS.
func Assume(ctx context.Context, role Role, options ...func(*config.LoadOptions) error) (func(*config.LoadOptions) error, error) {
	cfg, err := LoadConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	provider := stscreds.NewAssumeRoleProvider(sts.NewFromConfig(cfg), role.ARN, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName = role.SessionName
		if role.ExternalID != "" {
			o.ExternalID = aws.String(role.ExternalID)
		}
	})
	return config.WithCredentialsProvider(aws.NewCredentialsCache(provider)), nil
}

// ErrNeedsMFA means that the profile requires the code of an MFA device, and the program has no way to ask a person for it.
var ErrNeedsMFA = errors.New("the profile requires the code of an MFA device")

// redactLoadError returns an error which says why the configuration can't be loaded. It does not contain the SDK's error. The SDK's
// errors quote values of variables and lines of files, which may contain secrets. Names of profiles and files are not secret.
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
	return errors.New("a variable or a profile is not valid; its name and value are not shown, because they may be secret")
}

// LabelledCredentials marks the errors of a credentials provider. So [NewError] can distinguish an error in getting credentials
// from an error of the call that needed them.
type LabelledCredentials struct{ aws.CredentialsProvider }

// Retrieve implements [aws.CredentialsProvider].
func (c LabelledCredentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	got, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return got, &credentialsError{err}
	}
	return got, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "getting credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
