package awsapi

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

// Reasons of an [Error].
const (
	ReasonDenied          = "access denied"
	ReasonThrottled       = "throttled"
	ReasonTimeout         = "no answer in time"
	ReasonUnreachable     = "AWS cannot be reached"
	ReasonNoCredentials   = "no credentials"
	ReasonCredentials     = "the credentials are expired or not valid"
	ReasonFailed          = "AWS failed"
	ReasonInvalidResponse = "AWS returned an invalid response"
	ReasonRefused         = "AWS refused the request"
	ReasonPanicked        = "the guard failed during the lookup" // the same text as in package admission
)

// Error is the reason why a result is unknown. All its texts may be shown and logged. It does not contain the SDK's errors,
// because a future version of the SDK may put secrets into them.
type Error struct {
	Reason    string
	Code      string // AWS's error code, such as AccessDenied
	RequestID string
	Host      string // the host that could not be reached
	Detail    string // the cause in more detail, such as the addresses of a failed connection
	Stack     string // the stack of a panic
}

// Public returns the reason, and the host if it could not be reached. The text is for users who can't see the log.
func (p *Error) Public() string {
	if p.Reason == ReasonUnreachable && p.Host != "" {
		return p.Reason + ": " + p.Host
	}
	return p.Reason
}

// Error returns the text of Public with the code and the detail.
func (p *Error) Error() string {
	text := p.Public()
	if p.Code != "" {
		text += " (" + p.Code + ")"
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// NewPanicError returns the Error for a recovered panic. It contains the type of the panic's value but not the value,
// because the value can contain secrets. A [runtime.Error] contains no secrets, so its text is in the Error.
func NewPanicError(value any) *Error {
	detail := fmt.Sprintf("panic of %T", value)
	if e, ok := value.(runtime.Error); ok {
		detail = "panic: " + e.Error()
	}
	return &Error{Reason: ReasonPanicked, Detail: detail, Stack: string(debug.Stack())}
}

// credentialCodes are the error codes with which IAM and STS refuse credentials (IAM API reference, "Common errors").
// SignatureDoesNotMatch and RequestExpired can also mean that the clock is wrong, and that the SDK could not correct
// the time.
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

// NewError returns the Error for an error of the SDK. It returns an Error unchanged.
func NewError(err error) *Error {
	if p, ok := errors.AsType[*Error](err); ok {
		return p
	}
	p := &Error{Detail: detailOf(err), Host: hostOf(err)}
	status := StatusOf(err)
	if e, ok := errors.AsType[*awshttp.ResponseError](err); ok {
		p.RequestID = textutil.Shorten(e.ServiceRequestID(), MaxForeignBytes)
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		p.Code = textutil.Shorten(api.ErrorCode(), MaxForeignBytes)
	}
	_, noCredentials := errors.AsType[*credentialsError](err)
	_, throttled := retry.DefaultThrottleErrorCodes[p.Code]
	switch {
	case throttled, status == http.StatusTooManyRequests:
		p.Reason = ReasonThrottled
	case deniedCodes[p.Code]:
		p.Reason = ReasonDenied
	case credentialCodes[p.Code]:
		p.Reason = ReasonCredentials
	case status >= http.StatusInternalServerError:
		p.Reason = ReasonFailed
	case noCredentials:
		p.Reason = ReasonNoCredentials
	case status >= http.StatusBadRequest:
		p.Reason = ReasonRefused
	case timedOut(err):
		p.Reason = ReasonTimeout
	case status > 0:
		p.Reason = ReasonInvalidResponse
	default:
		p.Reason = ReasonUnreachable
	}
	return p
}

// StatusOf returns the HTTP status of the response that caused an error of the SDK, or 0 if there was no response.
func StatusOf(err error) int {
	if e, ok := errors.AsType[*smithyhttp.ResponseError](err); ok { // awshttp's error wraps this one
		return e.HTTPStatusCode()
	}
	return 0
}

// hostOf returns the host of a request that got no response, or "" for any other error.
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

// detailOf returns the text of a connection error, and "" for any other error. Texts of connection errors contain only
// addresses and host names.
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

// MaxForeignBytes limits the length, in bytes, of a text that the log or an error message takes from a response. The
// response may come from a server that only pretends to be AWS.
const MaxForeignBytes = 64

// Attrs returns the attributes for the log.
func (p *Error) Attrs() []slog.Attr {
	Attrs := []slog.Attr{slog.String("reason", p.Reason)}
	for _, a := range []slog.Attr{
		slog.String("code", p.Code), slog.String("request_id", p.RequestID), slog.String("host", p.Host),
		slog.String("err", p.Detail), slog.String("stack", p.Stack),
	} {
		if a.Value.String() != "" {
			Attrs = append(Attrs, a)
		}
	}
	return Attrs
}
