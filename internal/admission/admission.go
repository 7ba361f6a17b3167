// Package admission answers the API server's admission reviews of kube-system/aws-auth.
//
// [Handler.Review] processes a review: it finds out which object the review is about, decodes the old and the new object,
// evaluates the change, and turns the verdict into a response. Only http.go uses HTTP.
//
// http.go replaces the webhook.Admission of controller-runtime. That handler reads up to 7 MiB for each request before
// anything limits their number, and evaluates any number of reviews at the same time. It refuses every request that it can't
// decode, also requests by EKS. Package server says why its http.Server is not that of controller-runtime.
package admission

import (
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The object whose changes are evaluated.
const (
	namespace  = awsauth.Namespace
	name       = awsauth.Name
	resource   = "configmaps"
	kind       = "ConfigMap"
	apiVersion = "v1"
)

// Outcomes of a review besides those of [validate.Action].
const (
	outcomeError   = "error"   // refused, because the guard could not evaluate it
	outcomeSkipped = "skipped" // allowed, because it is about another object
)

// Recorder counts what a [Handler] decides. Its methods are called concurrently.
type Recorder interface {
	// Reviewed counts one finished review. The verdict is allow, warn, deny, error or skipped.
	Reviewed(operation, verdict string, dryRun bool, took time.Duration)
	// Rejected counts, for a refused review, one rule that refused it.
	Rejected(rule, operation string, dryRun bool)
	// WouldDeny counts a rule that would have refused the review to anybody else, or in another mode.
	WouldDeny(rule string, dryRun bool)
	// Overridden counts a request that overrules the guard. The kind is break-glass or allow-removal.
	Overridden(kind string, dryRun bool)
	// Panicked counts a rule that panicked.
	Panicked(rule string)
	// Unasked counts principals that are unknown because the [Directory] was not asked, or panicked.
	Unasked(principals int)
}

// Options are what a [Handler] is made of. Every field may be left out.
type Options struct {
	// Policy returns what the operator has configured; it is called once a review. The default is
	// the zero Policy, which has no protected principals.
	Policy func() validate.Policy
	// Recorder counts the reviews. The default counts nothing.
	Recorder Recorder
	// Logger receives one line a review, which never holds any of the objects. The default is silent.
	Logger *slog.Logger
	// Now is the clock that reviews are timed with and that the expiry of an override is compared with.
	Now func() time.Time
	// Directory is asked for the principals that a change adds, where the policy wants it. Without one
	// nothing is known of them.
	Directory Directory
	// Notifier is told of changes. The default does nothing.
	Notifier Notifier
	// Self is the user that the guard is to the API server, empty where it is not known. A deletion that it
	// asks for as a dry run is its own test: it is answered like any other and not counted.
	Self func() string
	// Restores reports whether the guard may restore a version. Then its own request is evaluated as in mode warn:
	// compared with the stored version, the faults of the restored one are new. The default is that it may not.
	Restores func() bool
	// Replaced returns the versions that were stored a short time ago, the newest first. The default is that
	// none are known.
	Replaced func(now time.Time) []*awsauth.Object
	// Concurrency is the number of reviews that are evaluated at the same time; the others wait. The default is
	// [DefaultConcurrency].
	Concurrency int
}

// Handler evaluates admission requests. It is safe for concurrent use.
type Handler struct {
	policy   func() validate.Policy
	recorder Recorder
	log      *slog.Logger
	now      func() time.Time
	small    class          // reviews with a small body
	large    class          // reviews with a large body
	refusals rate.Sometimes // throttles the log of requests that are no review

	notifier  Notifier
	self      func() string
	restores  func() bool
	replaced  func(time.Time) []*awsauth.Object
	directory Directory
	decoded   awsauth.Cache
}

// New returns a Handler.
func New(o Options) *Handler {
	h := &Handler{policy: o.Policy, recorder: o.Recorder, log: o.Logger, now: o.Now, directory: o.Directory, notifier: o.Notifier, self: o.Self, restores: o.Restores, replaced: o.Replaced}
	if h.notifier == nil {
		h.notifier = silentNotifier{}
	}
	if h.self == nil {
		h.self = func() string { return "" }
	}
	if h.restores == nil {
		h.restores = func() bool { return false }
	}
	if h.replaced == nil {
		h.replaced = func(time.Time) []*awsauth.Object { return nil }
	}
	if h.policy == nil {
		h.policy = func() validate.Policy { return validate.Policy{} }
	}
	if h.recorder == nil {
		h.recorder = silent{}
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.now == nil {
		h.now = time.Now //nolint:forbidigo // the real clock, where no other is given
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency()
	}
	half := max(1, int64(o.Concurrency)/2)
	h.small = newClass(smallMemory, smallShare, max(1, int64(o.Concurrency)-half), maxWaiting)
	h.large = newClass(largeMemory, largeShare, half, min(int64(o.Concurrency)-1, maxWaiting))
	h.refusals = rate.Sometimes{First: 10, Interval: time.Second}
	return h
}

// silent is the Recorder that counts nothing.
type silent struct{}

func (silent) Reviewed(string, string, bool, time.Duration) {}
func (silent) Rejected(string, string, bool)                {}
func (silent) WouldDeny(string, bool)                       {}
func (silent) Overridden(string, bool)                      {}
func (silent) Panicked(string)                              {}
func (silent) Unasked(int)                                  {}
