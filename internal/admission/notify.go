package admission

import (
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Notifier receives all refused requests, and the admitted requests that change the content of aws-auth or use an
// override. It receives no dry runs. Its methods must not block. The Handler calls them concurrently. Any client of the
// port can cause a call with forged data, so no decision may depend on these calls.
type Notifier interface {
	// Admitted reports an admitted change and the kinds of overrides that the change used.
	Admitted(at time.Time, requester string, overrides []string)
	// Refused reports a refused change and the rules that refused it.
	Refused(requester string, rules []string)
}

// NoNotifier returns a Notifier that ignores all calls.
func NoNotifier() Notifier { return silentNotifier{} }

type silentNotifier struct{}

func (silentNotifier) Admitted(time.Time, string, []string) {}
func (silentNotifier) Refused(string, []string)             {}

// notify tells the Notifier about a review. It does nothing for a dry run, for a request about another object, and for an
// admitted request that keeps the content of aws-auth and uses no override.
func (h *Handler) notify(r *request, o *outcome) {
	if r.dryRun || o.verdict == outcomeSkipped {
		return
	}
	requester := textutil.Shorten(r.UserInfo.Username, maxLogged)
	if !o.response.Allowed {
		h.notifier.Refused(requester, o.denied)
		return
	}
	var overrides []string
	if !r.observed { // an observed request needs no override, because the guard never refuses it
		overrides = overrideKinds(o.overrides)
	}
	if o.changed || len(overrides) > 0 {
		h.notifier.Admitted(r.time, requester, overrides)
	}
}
