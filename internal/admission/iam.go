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

// Directory knows which principals exist. It is called concurrently.
type Directory interface {
	// Lookup returns a result for each principal when it has all results, or when the context ends. A principal without a
	// result by then is [validate.Unknown]. Without principals it makes no call.
	Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM
}

// maxWaiting limits the reviews that wait for the Directory, because each holds its objects in memory. Beyond the limit a review
// continues without the Directory. For large bodies the limit is Concurrency-1 if that is lower.
const maxWaiting = 16

// turn is a review's place among those that are evaluated. A nil turn is none.
type turn struct {
	place  *grant
	asking *semaphore.Weighted // limits the reviews of its class that wait for the Directory
}

// pause gives the place to others while a function waits, so that a Directory that hangs delays only reviews that
// need it. When the context ends before the place is free again, the review goes on without: its caller has left.
func (t *turn) pause(ctx context.Context, wait func()) {
	if t == nil {
		wait()
		return
	}
	_ = t.place.pause(ctx, wait)
}

// lookUp asks the Directory about the principals that a change adds or gives more: in at most half of the time that is
// left, so that the answer still arrives.
func (h *Handler) lookUp(ctx context.Context, t *turn, evaluation *validate.Evaluation) (known validate.IAM) {
	if h.directory == nil || !evaluation.AsksIAM() {
		return validate.IAM{}
	}
	principals := evaluation.ChangedPrincipals()
	defer func() {
		if p := recover(); p != nil { // no reason to refuse what has nothing to do with IAM
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

// unasked counts the principals and returns the result unknown for each, with the reason.
func (h *Handler) unasked(principals []awsauth.ARN, why string) validate.IAM {
	h.recorder.Unasked(len(principals))
	return validate.AllUnknown(principals, why)
}
