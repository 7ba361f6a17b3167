package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Directory looks up which principals exist. The Handler calls it concurrently.
type Directory interface {
	// Lookup returns when it has a result for each principal, or when the context ends. A principal that has no result by
	// then is [validate.Unknown]. If the list of principals is empty, Lookup makes no call.
	Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM
}

// Authorizer asks the API server for the rights of a user. The Handler calls it concurrently.
type Authorizer interface {
	// MayBreakGlass reports whether the user has the RBAC right break-glass on aws-auth. An error means that the right is
	// unknown.
	MayBreakGlass(ctx context.Context, user *authenticationv1.UserInfo) (bool, error)
}

// A review that waits for the Directory or the Authorizer holds its objects in memory, so maxLookups limits the number of these
// reviews. A review with a large body counts as largeLookup reviews. At the limit, a further review doesn't ask. It continues
// as if the answers were unknown.
const (
	maxLookups  = 16
	smallLookup = 1
	largeLookup = 8
)

// asks reports whether the review needs the Directory or the Authorizer.
func (r *review) asks() bool { return r.asksIAM || r.asksRight }

// lookUp asks the Authorizer whether the requester has the right break-glass, and asks the Directory whether principals
// exist. It asks about the principals that are new, and about those that get another group or username. weight is how
// much the review counts in Handler.lookups. Both questions together take at most half of the time until the deadline
// of ctx, so that the response arrives in time.
//
// The caller should hold no evaluation slot, so that a Directory that hangs delays only the reviews that ask it.
func (h *Handler) lookUp(ctx context.Context, r *review, weight int64) (known validate.Answers) {
	switch {
	case !r.asks():
		return known
	case !r.asksRight && len(r.principals) == 0:
		return validate.Answers{IAM: h.lookUpPrincipals(ctx, r)} // without principals the Directory makes no call
	}
	if !h.lookups.TryAcquire(weight) {
		if r.asksRight {
			known.BreakGlass = h.unknownRight(ctx, r, errors.New("too many reviews wait for IAM or the API server"))
		}
		if r.asksIAM {
			known.IAM = h.unasked(r.principals, "too many reviews wait for IAM")
		}
		return known
	}
	defer h.lookups.Release(weight)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	if r.asksRight {
		known.BreakGlass = h.askForRight(ctx, r)
	}
	if r.asksIAM {
		known.IAM = h.lookUpPrincipals(ctx, r)
	}
	return known
}

// askForRight asks the Authorizer whether the requester has the right break-glass. The right is unknown after an error or a
// panic, and if the Handler has no Authorizer.
func (h *Handler) askForRight(ctx context.Context, r *review) (right validate.Right) {
	defer func() {
		if p := recover(); p != nil { // an unknown right doesn't let the requester break the glass
			h.recorder.Panicked(validate.InternalError)
			right = h.unknownRight(ctx, r, fmt.Errorf("panic: %v", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	if h.authorizer == nil {
		return h.unknownRight(ctx, r, errors.New("the guard does not call the API server, because it runs without --state"))
	}
	granted, err := h.authorizer.MayBreakGlass(ctx, &r.UserInfo)
	switch {
	case err != nil:
		return h.unknownRight(ctx, r, err)
	case granted:
		return validate.RightGranted
	}
	return validate.RightDenied
}

// unknownRight logs why the right break-glass is unknown, and returns [validate.RightUnknown].
func (h *Handler) unknownRight(ctx context.Context, r *review, err error, more ...slog.Attr) validate.Right {
	attrs := append([]slog.Attr{slog.String("uid", string(r.UID)), slog.String("err", textutil.Shorten(err.Error(), maxLogged))}, more...)
	h.log.LogAttrs(ctx, slog.LevelWarn, "cannot ask whether the requester may break the glass", attrs...)
	return validate.RightUnknown
}

// lookUpPrincipals asks the Directory which principals of a review exist. If the Directory panics, all of them are unknown.
func (h *Handler) lookUpPrincipals(ctx context.Context, r *review) (known validate.IAM) {
	defer func() {
		if p := recover(); p != nil { // a failed lookup must not refuse the change
			h.recorder.Panicked(validate.InternalError)
			h.log.LogAttrs(ctx, slog.LevelError, "the lookup of principals in IAM panicked", slog.String("panic", textutil.Shorten(fmt.Sprint(p), maxLogged)), slog.String("stack", string(debug.Stack())))
			known = h.unasked(r.principals, "the guard failed during the lookup")
		}
	}()
	return h.directory.Lookup(ctx, r.principals)
}

// unasked counts the principals, and returns the result [validate.Unknown] for each of them. why is the reason.
func (h *Handler) unasked(principals []awsauth.ARN, why string) validate.IAM {
	h.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, why)
}
