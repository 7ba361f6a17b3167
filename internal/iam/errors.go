package iam

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// The reasons for Unknown. There are no others except noAccess.
const (
	reasonDenied          = "access denied"
	reasonThrottled       = "throttled"
	reasonTimeout         = "no answer in time"
	reasonUnreachable     = "AWS cannot be reached"
	reasonNoCredentials   = "no credentials"
	reasonCredentials     = "the credentials are expired or not valid"
	reasonFailed          = "AWS failed"
	reasonInvalidResponse = "AWS returned an invalid response"
	reasonRefused         = "AWS refused the request"
	reasonNotFoundOnce    = "not found once, and no time was left for a second call"
	reasonOtherPartition  = "another partition"
	reasonAccountChanged  = "the credentials are of another account than before"
	reasonPanicked        = "the guard failed during the lookup" // the same text as in package admission
	reasonTooMany         = "the change has too many principals to look up"
	reasonRateLimited     = "too many principals were looked up within a minute"
)

func noAccess(account string) string { return "no access to account " + account + " is configured" }

// lookupError is the reason why a result is unknown. All its texts may be shown and logged. It does not contain the SDK's errors,
// because a future version of the SDK may put secrets into them.
type lookupError struct {
	reason    string
	code      string // AWS's error code, such as AccessDenied
	requestID string
	host      string // the host that could not be reached
	detail    string // of a failed connection: addresses only
	stack     string // of a panic
}

// publicReason returns the reason for users who can't see the log.
func (p *lookupError) publicReason() string {
	if p.reason == reasonUnreachable && p.host != "" {
		return p.reason + ": " + p.host
	}
	return p.reason
}

// Error implements error.
func (p *lookupError) Error() string {
	text := p.publicReason()
	if p.code != "" {
		text += " (" + p.code + ")"
	}
	if p.detail != "" {
		text += ": " + p.detail
	}
	return text
}

// panicError returns the error of a panic. It contains only the type of the panic's value, because the value can contain secrets.
// Errors of the Go runtime are safe and included.
func panicError(value any) *lookupError {
	detail := fmt.Sprintf("panic of %T", value)
	if e, ok := value.(runtime.Error); ok {
		detail = "panic: " + e.Error()
	}
	return &lookupError{reason: reasonPanicked, detail: detail, stack: string(debug.Stack())}
}

// credentialCodes are the error codes with which IAM and STS refuse credentials (IAM API reference, "Common errors").
// SignatureDoesNotMatch and RequestExpired can also mean that the clock is wrong and the SDK's correction did not help.
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

// newLookupError classifies an error of the SDK.
func newLookupError(err error) *lookupError {
	if p, ok := errors.AsType[*lookupError](err); ok {
		return p
	}
	p := &lookupError{detail: detailOf(err), host: hostOf(err)}
	status := statusOf(err)
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		p.requestID = textutil.Shorten(e.ServiceRequestID(), maxForeignBytes)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		p.code = textutil.Shorten(api.ErrorCode(), maxForeignBytes)
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
		p.reason = reasonInvalidResponse
	default:
		p.reason = reasonUnreachable
	}
	return p
}

// statusOf returns the HTTP status of the response, or 0 if there was none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok { // awshttp's error wraps this one
		return e.HTTPStatusCode()
	}
	return 0
}

// hostOf returns the host of a request that got no response.
func hostOf(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		if u, err := url.Parse(e.URL); err == nil {
			return u.Host
		}
	}
	return ""
}

func timedOut(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout() || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// detailOf returns the text of connection errors. They contain only addresses and host names.
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

// maxForeignBytes limits a logged text that AWS, or another server in its place, has chosen.
const maxForeignBytes = 64

func (p *lookupError) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("reason", p.reason)}
	for _, a := range []slog.Attr{
		slog.String("code", p.code), slog.String("request_id", p.requestID), slog.String("host", p.host),
		slog.String("err", p.detail), slog.String("stack", p.stack),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	return attrs
}

// logProblem logs a problem of an account, at most once in problemInterval.
func (c *Client) logProblem(ctx context.Context, account string, p *lookupError) {
	if !c.problems.Allow(p.reason + " " + account) {
		return
	}
	attrs := p.attrs()
	if account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "cannot determine whether a principal exists", attrs...)
}
