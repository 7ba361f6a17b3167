package admission

import (
	"time"

	admissionv1 "k8s.io/api/admission/v1"

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
func (h *Handler) notify(req *admissionv1.AdmissionRequest, o *outcome, at time.Time) {
	if isDryRun(req) || o.verdict == outcomeSkipped {
		return
	}
	requester := textutil.Shorten(req.UserInfo.Username, maxLogged)
	if !o.response.Allowed {
		h.notifier.Refused(requester, o.denied)
		return
	}
	var overrides []string
	if !o.observed { // who is only observed can't overrule anything
		overrides = overrideKinds(o.overrides)
	}
	if !o.before.object().SameContent(o.after.object()) && (o.before != nil || o.after != nil) || len(overrides) > 0 {
		h.notifier.Admitted(at, requester, overrides)
	}
}

// isSelfTest reports whether the guard itself tests whether it is asked.
func (h *Handler) isSelfTest(req *admissionv1.AdmissionRequest) bool {
	return req.Operation == admissionv1.Delete && isDryRun(req) && h.isSelf(req)
}

// isRestore reports whether the guard itself restores a version.
func (h *Handler) isRestore(req *admissionv1.AdmissionRequest) bool {
	return req.Operation != admissionv1.Delete && h.isSelf(req) && h.restores()
}

func (h *Handler) isSelf(req *admissionv1.AdmissionRequest) bool {
	self := h.self()
	return self != "" && req.UserInfo.Username == self
}
