package admission

import (
	"context"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Directory knows which principals exist. It is called concurrently.
type Directory interface {
	// Lookup returns what is known of the principals when the context ends, or before; what is not
	// known by then is [validate.Unknown]. Without principals it asks nobody.
	Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM
}

// maxWaiting bounds the reviews that wait for the Directory, each of which holds its objects. One more
// does not wait.
const maxWaiting = 16

// turn is a review's place among those that are judged. A nil turn is none.
type turn struct{ slots chan struct{} }

// pause gives the place to others while a function waits, so that a Directory that hangs delays
// nobody whom it has nothing to say about.
func (t *turn) pause(wait func()) {
	if t != nil {
		<-t.slots
		defer func() { t.slots <- struct{}{} }()
	}
	wait()
}

// ask looks up the principals that a change adds: in at most half of the time that is left, so that
// the answer still arrives. EKS is not kept waiting.
func (h *Handler) ask(ctx context.Context, t *turn, reading *validate.Reading, policy validate.Policy, r validate.Requester) validate.IAM {
	if h.directory == nil || policy.IAMMode == "" || policy.IAMMode == validate.Off || r.IsEKS() {
		return validate.IAM{}
	}
	principals := reading.NewPrincipals()
	if len(principals) == 0 {
		return h.directory.Lookup(ctx, nil)
	}
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return unasked(principals)
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	var known validate.IAM
	t.pause(func() { known = h.directory.Lookup(ctx, principals) })
	return known
}

func unasked(principals []awsauth.ARN) validate.IAM {
	known := validate.IAM{Principals: make(map[string]validate.Lookup, len(principals))}
	for _, arn := range principals {
		known.Principals[arn.String()] = validate.Lookup{Existence: validate.Unknown, Reason: "too many reviews wait for IAM"}
	}
	return known
}
