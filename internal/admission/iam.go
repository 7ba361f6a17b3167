package admission

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Directory looks up which principals exist. The Handler calls it concurrently.
type Directory interface {
	// Lookup returns a result for each principal as soon as it has all results or the context ends. A principal without a
	// result is [validate.Unknown]. Without principals Lookup makes no call.
	Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM
}

// A review that waits for the Directory holds its objects in memory, so maxLookups limits the number of these reviews. A
// review with a large body counts as several. Beyond the limit a review continues without the Directory.
const (
	maxLookups  = 16
	smallLookup = 1
	largeLookup = 8
)

// lookUp looks up the principals that a change adds or gives another group or username. The weight is that of the review in
// Handler.lookups. The lookup takes at most half of the remaining time, so that the response arrives before the deadline.
//
// lookUp needs no evaluation slot, so a Directory that hangs delays only reviews that need it.
func (h *Handler) lookUp(ctx context.Context, r *review, weight int64) (known validate.IAM) {
	if !r.asksIAM {
		return validate.IAM{}
	}
	defer func() {
		if p := recover(); p != nil { // a failed lookup must not refuse the change
			h.recorder.Panicked(validate.InternalError)
			h.log.LogAttrs(ctx, slog.LevelError, "asking for principals panicked", slog.String("panic", textutil.Shorten(fmt.Sprint(p), maxLogged)), slog.String("stack", string(debug.Stack())))
			known = h.unasked(r.principals, "the guard failed during the lookup")
		}
	}()
	if len(r.principals) == 0 {
		return h.directory.Lookup(ctx, nil)
	}
	if !h.lookups.TryAcquire(weight) {
		return h.unasked(r.principals, "too many reviews wait for IAM")
	}
	defer h.lookups.Release(weight)
	lookup := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		lookup, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	return h.directory.Lookup(lookup, r.principals)
}

// unasked counts the principals and returns [validate.Unknown] with the reason for each of them.
func (h *Handler) unasked(principals []awsauth.ARN, why string) validate.IAM {
	h.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, why)
}
