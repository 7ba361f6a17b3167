package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// identityFacts holds the AWS options with which doctor makes calls as the caller.
type identityFacts struct {
	options []func(*config.LoadOptions) error // nil if they are not loaded yet or can't be loaded
}

// bearerToken returns the token of a client configuration. It reads the token from a file if the configuration names one. It returns ""
// if the configuration has no token.
func bearerToken(c *rest.Config) (string, error) {
	if c.BearerTokenFile == "" || c.BearerToken != "" {
		return c.BearerToken, nil
	}
	file, err := os.Open(c.BearerTokenFile)
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxPluginOutput))
	if err != nil {
		return "", fmt.Errorf("reading the token: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// maxSkew is the largest difference between two clocks at which AWS accepts a signature (IAM user guide, "Elements of an AWS API request
// signature").
const maxSkew = 5 * time.Minute

// askSTS is the fourth step. The token contains a signed request. askSTS sends this request to STS, as the authenticator does, and so
// gets the same caller as the authenticator.
func (d *diagnosis) askSTS(ctx context.Context) (Status, string) {
	if d.Principal != "" || d.token == nil {
		return "", ""
	}
	if d.ClusterName == "" {
		return StatusUnknown, "the name of the EKS cluster is not in the kubeconfig, and the token can't be checked without it; set --cluster-name"
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	answer, err := d.token.identify(ctx, d.ClusterName)
	if err != nil {
		return StatusUnknown, "STS can't be asked: " + err.Error()
	}
	return d.explainSTS(answer)
}

// explainSTS sets the principal from the answer of STS. If STS refused the request, it sets the cause.
func (d *diagnosis) explainSTS(answer stsAnswer) (Status, string) {
	if skew := d.Now().Sub(answer.date); answer.code != "" && !answer.date.IsZero() && skew.Abs() > maxSkew {
		return d.fail(Cause{
			ID: "clock-skew", Step: stepIdentity, User: "sudo timedatectl set-ntp true",
			Summary: fmt.Sprintf("the clock of this machine differs by %s from that of AWS, so that AWS refuses the signature", skew.Abs().Round(time.Minute)),
		})
	}
	switch answer.code {
	case "":
		d.report.Principal = &answer.identity
		return StatusOK, fmt.Sprintf("STS says that you are %s", answer.identity.ARN)
	case "InvalidClientTokenId", "UnrecognizedClientException":
		return d.fail(Cause{
			ID: "credentials-rejected", Step: stepIdentity, User: "aws configure list" + d.withProfile(),
			Summary: "AWS does not know your access key; it was deleted or deactivated, or belongs to another partition",
		})
	case "ExpiredToken", "ExpiredTokenException":
		return d.fail(Cause{
			ID: "credentials-expired", Step: stepIdentity, User: "aws configure list" + d.withProfile(),
			Summary: "your temporary AWS credentials have expired; the command shows where they come from; get new ones there",
		})
	case "SignatureDoesNotMatch":
		return d.fail(Cause{
			ID: "signature-mismatch", Step: stepIdentity, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("the signature of the token is wrong: it was made for another cluster than %s, or with a wrong secret access key", d.ClusterName),
		})
	case "RegionDisabledException", "OptInRequired":
		return d.fail(Cause{
			ID: "sts-region-disabled", Step: stepIdentity, User: d.updateKubeconfig(),
			Summary: fmt.Sprintf("STS is not enabled in the region of %s for your account", d.token.host),
		})
	}
	return StatusUnknown, fmt.Sprintf("STS refused the token's request (%s)", redact(answer.code))
}

// stsAnswer is an answer of STS. It has no error message, because the message of SignatureDoesNotMatch contains parts of the request.
type stsAnswer struct {
	identity Identity
	code     string    // the error code; empty if STS returned the identity
	date     time.Time // the time of the server; zero if the answer has none
}

// maxARN is the maximum length of an ARN in bytes (IAM API reference, arnType).
const maxARN = 2048

// maxSTSAnswer limits the size of an answer from STS in bytes.
const maxSTSAnswer = 64 << 10

// identify sends the token's request to STS. Its errors contain no part of the URL.
func (t *token) identify(ctx context.Context, cluster string) (stsAnswer, error) {
	client, err := newHTTPClient(ctx)
	if err != nil {
		return stsAnswer{}, err
	}
	request := (&http.Request{
		Method: http.MethodGet, URL: t.url, Host: t.host, Header: http.Header{"Accept": {"application/json"}, http.CanonicalHeaderKey(clusterHeader): {cluster}},
	}).WithContext(ctx)
	response, err := client.Do(request)
	if err != nil {
		return stsAnswer{}, fmt.Errorf("%s: %w", t.host, withoutURL(err))
	}
	defer response.Body.Close()
	answer, err := readSTSAnswer(response)
	if err != nil {
		return stsAnswer{}, fmt.Errorf("%s %w", t.host, err)
	}
	return answer, nil
}

// readSTSAnswer decodes the answer of STS. Its errors contain no part of the answer.
func readSTSAnswer(response *http.Response) (stsAnswer, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxSTSAnswer))
	if err != nil {
		return stsAnswer{}, fmt.Errorf("sent an incomplete answer: %w", withoutURL(err))
	}
	var decoded struct {
		Response struct {
			Result struct {
				Account string `json:"Account"`
				Arn     string `json:"Arn"`
				UserID  string `json:"UserId"`
			} `json:"GetCallerIdentityResult"`
		} `json:"GetCallerIdentityResponse"`
		Error struct {
			Code string `json:"Code"`
		} `json:"Error"`
	}
	if err := json.Unmarshal(body, &decoded); err != nil {
		return stsAnswer{}, fmt.Errorf("answered %d without JSON; maybe a proxy answered", response.StatusCode)
	}
	answer := stsAnswer{code: decoded.Error.Code}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		answer.date = date
	}
	if response.StatusCode != http.StatusOK {
		if answer.code == "" {
			answer.code = fmt.Sprintf("status %d", response.StatusCode)
		}
		return answer, nil
	}
	r := decoded.Response.Result
	answer.identity = Identity{ARN: r.Arn, Account: r.Account, UserID: r.UserID}
	if quote(r.Arn) != r.Arn || len(r.Arn) > maxARN || !strings.HasPrefix(r.Arn, "arn:") {
		return stsAnswer{}, errors.New("answered without the ARN of a caller")
	}
	return answer, nil
}

// newHTTPClient returns a client that uses the proxy and the CA bundle of the AWS configuration. It follows no redirect, because the
// request is a credential.
func newHTTPClient(ctx context.Context) (*http.Client, error) {
	cfg, err := awsapi.LoadConfig(ctx)
	if err != nil {
		return nil, err //nolint:wrapcheck // the error names the failed action
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if c, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		client.Transport = c.GetTransport()
	}
	return client, nil
}

// withoutURL returns the error of an HTTP client without the URL of the request, because the URL may be a credential. It also hides other
// parts of the text that may be a credential.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return errors.New("no answer in time")
	}
	if text := err.Error(); redact(text) != text { // a server or a proxy may repeat parts of the request
		return errors.New(redact(text))
	}
	return err
}

// awsOptions returns the options with which doctor calls AWS as the caller. They have the profile and the role of the kubeconfig.
func (d *diagnosis) awsOptions(ctx context.Context) ([]func(*config.LoadOptions) error, error) {
	if d.identity.options == nil {
		options, err := awsapi.As(ctx, d.profile(), d.plugin.roleARN, "awsauth-doctor")
		if err != nil {
			return nil, err //nolint:wrapcheck // the error names the failed action
		}
		d.identity.options = options
	}
	return d.identity.options, nil
}

// callerOf returns the ARN that STS returns for the credentials of a profile. The call needs no permission.
func callerOf(ctx context.Context, profile, region string) (string, error) {
	options, err := awsapi.As(ctx, profile, "", "")
	if err != nil {
		return "", err //nolint:wrapcheck // the error names the failed action
	}
	return callerWith(ctx, region, options)
}

// callerWith returns the ARN that STS returns for the credentials of these options. If region is not empty, it replaces the region of the
// options.
func callerWith(ctx context.Context, region string, options []func(*config.LoadOptions) error) (string, error) {
	options = slices.Clone(options)
	if region != "" {
		options = append(options, config.WithRegion(region))
	}
	cfg, err := awsapi.LoadConfig(ctx, options...)
	if err != nil {
		return "", err //nolint:wrapcheck // the error names the failed action
	}
	out, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return "", awsapi.NewError(err)
	}
	return aws.ToString(out.Arn), nil
}
