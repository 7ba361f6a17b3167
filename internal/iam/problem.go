package iam

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The reasons why a principal is Unknown. With noAccess they are all that there are.
const (
	reasonDenied        = "access denied"
	reasonThrottled     = "throttled"
	reasonTimeout       = "no answer in time"
	reasonUnreachable   = "AWS cannot be reached"
	reasonNoCredentials = "no credentials"
	reasonCredentials   = "the credentials are expired or not valid"
	reasonFailed        = "AWS failed"
	reasonGarbage       = "AWS gave an answer that makes no sense"
	reasonRefused       = "AWS refused the question"
	reasonOnce          = "not found once, and no time was left to look again"
	reasonForeign       = "another partition"
)

func noAccess(account string) string { return "no access to account " + account + " is configured" }

// problem is why something is not known, in words that can be shown and logged: the SDK's own errors
// are not, because a library of that size may one day write more into them than it should.
type problem struct {
	reason    string
	code      string // AWS's own, such as AccessDenied
	requestID string
	detail    string // of a connection that failed: addresses, and no content
}

// Error makes a problem an error for those who need one.
func (p *problem) Error() string {
	if p.code == "" {
		return p.reason
	}
	return p.reason + " (" + p.code + ")"
}

var errPanicked = errors.New("the AWS SDK panicked")

// credentialCodes are the errors by which IAM and STS refuse credentials, whatever is asked (IAM API
// reference, "Common errors"). SignatureDoesNotMatch and RequestExpired are also what a wrong clock
// leads to, where the SDK's own correction did not help.
var credentialCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true, "RequestTimeTooSkewed": true,
	"InvalidClientTokenId": true, "UnrecognizedClientException": true, "InvalidAccessKeyId": true,
	"SignatureDoesNotMatch": true, "InvalidSignatureException": true, "IncompleteSignature": true,
	"MissingAuthenticationToken": true, "MissingAuthenticationTokenException": true, "NotAuthorized": true,
	"AuthFailure": true, "InvalidIdentityToken": true, "IDPRejectedClaim": true, "OptInRequired": true,
}

var deniedCodes = map[string]bool{
	"AccessDenied": true, "AccessDeniedException": true, "UnauthorizedOperation": true, "RegionDisabledException": true,
}

// problemOf sorts an error of the SDK.
func problemOf(err error) *problem {
	p := &problem{detail: detailOf(err)}
	status := 0
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		status, p.requestID = e.HTTPStatusCode(), shorten(e.ServiceRequestID())
	} else if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok {
		status = e.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		p.code = shorten(api.ErrorCode())
	}
	_, noCredentials := errors.AsType[*credentialsError](err)
	_, throttled := retry.DefaultThrottleErrorCodes[p.code]
	switch {
	case throttled, status == http.StatusTooManyRequests:
		p.reason = reasonThrottled
	case deniedCodes[p.code]:
		p.reason = reasonDenied
	case credentialCodes[p.code]:
		p.reason = reasonCredentials
	case status >= http.StatusInternalServerError:
		p.reason = reasonFailed
	case noCredentials:
		p.reason = reasonNoCredentials
	case status >= http.StatusBadRequest:
		p.reason = reasonRefused
	case timedOut(err):
		p.reason = reasonTimeout
	case status > 0:
		p.reason = reasonGarbage
	case errors.Is(err, errPanicked):
		p.reason, p.detail = reasonGarbage, errPanicked.Error()
	default:
		p.reason = reasonUnreachable
	}
	return p
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// detailOf writes the errors of connections, which hold addresses and names of hosts.
func detailOf(err error) string {
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return e.Error()
	}
	return ""
}

// shorten bounds what whoever answers may write into the log.
func shorten(s string) string { return strings.ToValidUTF8(s[:min(len(s), 64)], "") }

func (p *problem) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("reason", p.reason)}
	for _, a := range []slog.Attr{slog.String("code", p.code), slog.String("request_id", p.requestID), slog.String("err", p.detail)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// logProblem says what goes wrong in an account, now and then.
func (c *Client) logProblem(ctx context.Context, account string, p *problem) {
	if !c.once(p.reason+" "+account, false) {
		return
	}
	attrs := p.attrs()
	if account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "AWS did not say whether a principal exists", attrs...)
}
