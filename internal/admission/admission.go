// Package admission answers the API server's admission reviews of kube-system/aws-auth.
//
// [Handler.Review] processes a review: it finds out which object the review is about, decodes the old and the new object,
// looks up new principals, runs the rules, and turns the verdict into a response. [Handler.ServeHTTP] does the same over
// HTTP. There are limits on the memory of the bodies, on the number of reviews that use the CPU, and on the number of
// reviews that wait for IAM.
//
// ServeHTTP replaces the webhook.Admission of controller-runtime. That handler reads any number of bodies of up to 7 MiB, and
// evaluates any number of reviews at the same time. It also refuses every request that it can't decode, even a request by
// EKS. Package server explains why the webhook doesn't use the webhook.Server of controller-runtime.
package admission

import (
	"log/slog"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// The object whose changes the guard evaluates.
const (
	namespace  = awsauth.Namespace
	name       = awsauth.Name
	resource   = "configmaps"
	kind       = "ConfigMap"
	apiVersion = "v1"
)

// Verdicts of a review in addition to those of [validate.Action].
const (
	outcomeError   = "error"   // the guard could not evaluate the request
	outcomeSkipped = "skipped" // allowed: the request is about another object
)

// Recorder counts the decisions of a [Handler]. The Handler calls its methods concurrently.
type Recorder interface {
	// Reviewed counts one finished review. The verdict is allow, warn, deny, error or skipped.
	Reviewed(operation, verdict string, dryRun bool, took time.Duration)
	// Rejected counts one rule that refused a request. The Handler calls it once for each such rule.
	Rejected(rule, operation string, dryRun bool)
	// WouldDeny counts a rule that denies the request while the guard admits it: in mode warn, on the observing path, for a
	// request by EKS, or for a restore by the guard.
	WouldDeny(rule string, dryRun bool)
	// Overridden counts a request that uses an override. The kind is break-glass or allow-removal.
	Overridden(kind string, dryRun bool)
	// Panicked counts a rule that panicked.
	Panicked(rule string)
	// Unasked counts principals that the guard didn't look up, and principals for which the [Directory] panicked. Their
	// existence is unknown.
	Unasked(principals int)
	// WithoutAccessEntries counts a review whose policy should contain the cluster's access entries but doesn't.
	WithoutAccessEntries()
}

// Options configure a [Handler]. Every field is optional.
type Options struct {
	// Policy returns the configured policy. The Handler calls it once for each review of aws-auth. The default is the zero
	// Policy, which has no protected principals.
	Policy func() validate.Policy
	// Recorder counts the reviews. By default reviews aren't counted.
	Recorder Recorder
	// Logger receives a line for each review, and further lines about failures. No line contains an object. By default
	// nothing is logged.
	Logger *slog.Logger
	// Now is the clock for durations of reviews and for the expiry of overrides. The default is time.Now.
	Now func() time.Time
	// Directory looks up the principals that a change adds, or to which it gives another group or username, if the
	// policy requires it. Without a Directory the guard doesn't check whether principals exist.
	Directory Directory
	// Authorizer reports whether a requester has the RBAC right "break-glass". The Handler asks it only if the policy
	// accepts that right. Without an Authorizer the right is unknown.
	Authorizer Authorizer
	// Notifier receives admitted and refused changes. The default ignores them.
	Notifier Notifier
	// Self returns the username under which the API server knows the guard, or an empty string while the username is
	// unknown. A dry-run deletion by this user is the guard's self-test. The Handler answers a self-test like any other
	// request, but doesn't count it. By default the username is unknown.
	Self func() string
	// Restores reports whether the guard may restore a version. If it returns true, the Handler admits the guard's own
	// creations and updates with warnings, as in mode warn. Without this, a rule could refuse the restore for a fault
	// that the restored version has and the stored version doesn't have. By default the guard may not restore.
	Restores func() bool
	// Replaced returns the versions that were stored a short time ago, sorted from the newest to the oldest. The default
	// returns no versions.
	Replaced func(now time.Time) []*awsauth.Object
	// Concurrency is the maximum number of reviews that ServeHTTP evaluates at the same time. Other reviews wait. The default
	// is [DefaultConcurrency], and the minimum is 2.
	Concurrency int
}

// Handler evaluates admission requests. It is safe for concurrent use.
type Handler struct {
	policy   func() validate.Policy
	recorder Recorder
	log      *slog.Logger
	now      func() time.Time
	small    class               // limits for reviews with a small body
	large    class               // limits for reviews with a large body
	lookups  *semaphore.Weighted // limits the reviews that wait for the Directory or the Authorizer
	refusals rate.Sometimes      // throttles the log of requests that aren't valid reviews

	notifier   Notifier
	self       func() string
	restores   func() bool
	replaced   func(time.Time) []*awsauth.Object
	directory  Directory
	authorizer Authorizer
	decoded    awsauth.Cache
}

// New returns a Handler.
func New(o Options) *Handler {
	h := &Handler{policy: o.Policy, recorder: o.Recorder, log: o.Logger, now: o.Now, directory: o.Directory, authorizer: o.Authorizer, notifier: o.Notifier, self: o.Self, restores: o.Restores, replaced: o.Replaced}
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
		h.now = time.Now //nolint:forbidigo // the default is the real clock
	}
	if o.Concurrency <= 0 {
		o.Concurrency = DefaultConcurrency()
	}
	half := max(1, int64(o.Concurrency)/2)
	h.small = newClass(smallMemory, smallShare, max(1, int64(o.Concurrency)-half), smallLookup)
	h.large = newClass(largeMemory, largeShare, half, largeLookup)
	h.lookups = semaphore.NewWeighted(maxLookups)
	h.refusals = rate.Sometimes{First: 10, Interval: time.Second}
	return h
}

// silent is a Recorder that ignores all calls.
type silent struct{}

func (silent) Reviewed(string, string, bool, time.Duration) {}
func (silent) Rejected(string, string, bool)                {}
func (silent) WouldDeny(string, bool)                       {}
func (silent) Overridden(string, bool)                      {}
func (silent) Panicked(string)                              {}
func (silent) Unasked(int)                                  {}
func (silent) WithoutAccessEntries()                        {}
