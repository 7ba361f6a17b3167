package eks

import (
	"context"
	"encoding/base64"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// The format of a token (aws-iam-authenticator v0.7.18, pkg/token/token.go, GetWithSTS).
const (
	tokenPrefix   = "k8s-aws-v1." //nolint:gosec // it begins every token
	clusterHeader = "x-k8s-aws-id"
	tokenExpires  = "60" // seconds; the authenticator accepts the token for 15 minutes whatever this value is
)

// Token returns a token with which the principal of the credentials logs in to the API server of a cluster for 15 minutes. It signs a request
// of sts:GetCallerIdentity, and calls AWS only for credentials. The token is a secret.
//
// The token always names the public host of STS in the region, because the authenticator accepts no other one.
func Token(ctx context.Context, cluster, region string, more ...Option) (string, error) {
	cfg, err := loadConfig(ctx, region, more)
	if err != nil {
		return "", err
	}
	cfg.BaseEndpoint = nil
	client := sts.NewPresignClient(sts.NewFromConfig(cfg, func(o *sts.Options) { o.BaseEndpoint = nil }))
	signed, err := client.PresignGetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}, func(o *sts.PresignOptions) {
		o.ClientOptions = append(o.ClientOptions, sts.WithAPIOptions(smithyhttp.SetHeaderValue(clusterHeader, cluster), smithyhttp.SetHeaderValue("X-Amz-Expires", tokenExpires)))
	})
	if err != nil {
		return "", &TokenError{awsapi.NewError(err)}
	}
	return tokenPrefix + base64.RawURLEncoding.EncodeToString([]byte(signed.URL)), nil
}

// CallerAccount returns the id of the account of the credentials. It calls sts:GetCallerIdentity, which needs no permission.
func CallerAccount(ctx context.Context, region string, more ...Option) (string, error) {
	cfg, err := loadConfig(ctx, region, more)
	if err != nil {
		return "", err
	}
	identity, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", &AccountError{awsapi.NewError(err)}
	}
	return aws.ToString(identity.Account), nil
}

// AccountError means that the account of the credentials is not known.
type AccountError struct{ Err *awsapi.Error }

// Error implements error.
func (e *AccountError) Error() string { return "sts:GetCallerIdentity: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *AccountError) Unwrap() error { return e.Err }

// TokenError means that no token can be made, usually because there are no credentials.
type TokenError struct{ Err *awsapi.Error }

// Error implements error.
func (e *TokenError) Error() string { return "making a token: " + e.Err.Error() }

// Unwrap returns the reason.
func (e *TokenError) Unwrap() error { return e.Err }
