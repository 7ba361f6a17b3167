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
	reasonChanged       = "the credentials are of another account than before"
	reasonPanicked      = "the guard failed while it asked" // as package admission says it
	reasonTooMany       = "the change has too many principals to ask for"
	reasonTooOften      = "too many principals were asked for within a minute"
)

func noAccess(account string) string { return "no access to account " + account + " is configured" }

// problem is why something is not known, in words that can be shown and logged: the SDK's own errors
// are not, because a library of that size may one day write more into them than it should.
type problem struct {
	reason    string
	code      string // AWS's own, such as AccessDenied
	requestID string
	host      string // that cannot be reached
	detail    string // of a connection that failed: addresses, and no content
	stack     string // of a panic
}

// why is the reason for those who cannot see the log.
func (p *problem) why() string {
	if p.reason == reasonUnreachable && p.host != "" {
		return p.reason + ": " + p.host
	}
	return p.reason
}

// Error makes a problem an error for those who need one.
func (p *problem) Error() string {
	text := p.why()
	if p.code != "" {
		text += " (" + p.code + ")"
	}
	if p.detail != "" {
		text += ": " + p.detail
	}
	return text
}

// panicked is the problem of a panic. Of its value there is the type and no content, which may be
// anything, but for errors of the Go runtime.
func panicked(value any) *problem {
	detail := fmt.Sprintf("panic of %T", value)
	if e, ok := value.(runtime.Error); ok {
		detail = "panic: " + e.Error()
	}
	return &problem{reason: reasonPanicked, detail: detail, stack: string(debug.Stack())}
}

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
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	p := &problem{detail: detailOf(err), host: hostOf(err)}
	status := statusOf(err)
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		p.requestID = textutil.Shorten(e.ServiceRequestID(), maxForeign)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		p.code = textutil.Shorten(api.ErrorCode(), maxForeign)
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
	default:
		p.reason = reasonUnreachable
	}
	return p
}

// statusOf returns the status of the answer, or 0 where there is none.
func statusOf(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok { // awshttp's wraps one
		return e.HTTPStatusCode()
	}
	return 0
}

// hostOf returns whom a request was for that got no answer.
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

// maxForeign limits the bytes of a text in the log that AWS, or what answers in its place, has chosen.
const maxForeign = 64

func (p *problem) attrs() []slog.Attr {
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

// logProblem says what goes wrong in an account, now and then.
func (c *Client) logProblem(ctx context.Context, account string, p *problem) {
	if !c.problems.Allow(p.reason + " " + account) {
		return
	}
	attrs := p.attrs()
	if account != "" {
		attrs = append(attrs, slog.String("account", account))
	}
	c.log.LogAttrs(ctx, slog.LevelWarn, "AWS did not say whether a principal exists", attrs...)
}
