package admission

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"golang.org/x/sync/semaphore"

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

// maxWaiting limits the number of reviews that wait for the Directory, because each holds its objects in memory. Beyond
// the limit a review continues without the Directory. For large bodies the limit is Concurrency-1 if that is lower.
const maxWaiting = 16

// turn is the evaluation slot of a review. A nil turn means that the review needs no slot.
type turn struct {
	place  *grant
	asking *semaphore.Weighted // limits the reviews of its class that wait for the Directory
}

// pause releases the slot, calls the function, and acquires a slot again. So a Directory that hangs delays only reviews
// that need it. If the context ends before a slot is free, the review continues without a slot, because its caller no
// longer waits.
func (t *turn) pause(ctx context.Context, wait func()) {
	if t == nil {
		wait()
		return
	}
	_ = t.place.pause(ctx, wait)
}

// lookUp looks up the principals that a change adds or gives another group or username. The lookup takes at most half of
// the remaining time, so that the response arrives before the deadline.
func (h *Handler) lookUp(ctx context.Context, t *turn, evaluation *validate.Evaluation) (known validate.IAM) {
	if h.directory == nil || !evaluation.AsksIAM() {
		return validate.IAM{}
	}
	principals := evaluation.ChangedPrincipals()
	defer func() {
		if p := recover(); p != nil { // a failed lookup must not refuse the change
			h.recorder.Panicked(validate.InternalError)
			h.log.LogAttrs(ctx, slog.LevelError, "asking for principals panicked", slog.String("panic", textutil.Shorten(fmt.Sprint(p), maxLogged)), slog.String("stack", string(debug.Stack())))
			known = h.unasked(principals, "the guard failed while it asked")
		}
	}()
	if len(principals) == 0 {
		return h.directory.Lookup(ctx, nil)
	}
	asking := h.small.asking
	if t != nil {
		asking = t.asking
	}
	if !asking.TryAcquire(1) {
		return h.unasked(principals, "too many reviews wait for IAM")
	}
	defer asking.Release(1)
	lookup := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		lookup, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	t.pause(ctx, func() { known = h.directory.Lookup(lookup, principals) })
	return known
}

// unasked counts the principals and returns [validate.Unknown] with the reason for each of them.
func (h *Handler) unasked(principals []awsauth.ARN, why string) validate.IAM {
	h.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, why)
}
