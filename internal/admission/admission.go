// Package admission answers the API server's admission reviews of kube-system/aws-auth.
//
// The path of a review is [Handler.Review]: find out which object it is about, decode the old and
// the new one, have the change judged, and turn the verdict into a response. None of it knows
// HTTP; http.go is the only adapter.
package admission

import (
	"log/slog"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The one object that is judged.
const (
	namespace  = "kube-system"
	name       = "aws-auth"
	resource   = "configmaps"
	kind       = "ConfigMap"
	apiVersion = "v1"
)

// Outcomes of a review besides those of [validate.Action].
const (
	outcomeError   = "error"   // refused, because the guard could not judge it
	outcomeSkipped = "skipped" // allowed, because it is about another object
)

// internalError stands where a rule's id would, in a refusal that no rule made.
const internalError = "internal-error"

// Recorder counts what a [Handler] decides. Its methods are called concurrently.
type Recorder interface {
	// Reviewed counts one finished review. The verdict is allow, warn, deny, error or skipped.
	Reviewed(operation, verdict string, dryRun bool, took time.Duration)
	// Rejected counts, for a refused review, one rule that refused it.
	Rejected(rule, operation string, dryRun bool)
	// WouldDeny counts a rule that would have refused the review to anybody else.
	WouldDeny(rule string)
}

// Options are what a [Handler] is made of. Every field may be left out.
type Options struct {
	// Policy is what the operator has configured. The zero Policy protects nobody by name.
	Policy validate.Policy
	// Recorder counts the reviews. The default counts nothing.
	Recorder Recorder
	// Logger receives one line a review, which never holds any of the objects. The default is silent.
	Logger *slog.Logger
	// Now is the clock that reviews are timed with.
	Now func() time.Time
}

// Handler judges admission requests. It is safe for concurrent use.
type Handler struct {
	policy   validate.Policy
	recorder Recorder
	log      *slog.Logger
	now      func() time.Time
}

// New returns a Handler.
func New(o Options) *Handler {
	h := &Handler{policy: o.Policy, recorder: o.Recorder, log: o.Logger, now: o.Now}
	if h.recorder == nil {
		h.recorder = silent{}
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now //nolint:forbidigo // the real clock, where no other is given
	}
	return h
}

// silent is the Recorder that counts nothing.
type silent struct{}

func (silent) Reviewed(string, string, bool, time.Duration) {}
func (silent) Rejected(string, string, bool)                {}
func (silent) WouldDeny(string)                             {}
