package admission

import (
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Notifier is told of every review that is no dry run and changes something. It must not block. Its methods are called
// concurrently, and by every caller of the port: nothing that is decided rests on them.
type Notifier interface {
	// Admitted tells of a change that was admitted, and of the kinds of overrides that it used.
	Admitted(at time.Time, requester string, overrides []string)
	// Refused tells of a change that was refused, and of the rules that refused it.
	Refused(requester string, rules []string)
}

// NoNotifier returns the Notifier that does nothing.
func NoNotifier() Notifier { return silentNotifier{} }

type silentNotifier struct{}

func (silentNotifier) Admitted(time.Time, string, []string) {}
func (silentNotifier) Refused(string, []string)             {}

// notify tells the Notifier.
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
	if !r.observed { // a request that is only observed can't overrule anything
		overrides = overrideKinds(o.overrides)
	}
	if o.changed || len(overrides) > 0 {
		h.notifier.Admitted(r.time, requester, overrides)
	}
}
