package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// outcome is the result of a review.
type outcome struct {
	response  *admissionv1.AdmissionResponse
	verdict   string   // allow, warn, deny, error or skipped
	rules     []string // ids of the rules with findings
	denied    []string // ids of the rules that refused the request
	wouldDeny []string // ids of the rules that would have refused another requester, or in another mode
	overrides []validate.Override
	changed   bool // effective access may have changed
	access    []awsauth.AccessChange
	failures  []validate.RuleFailure
	err       error  // why the guard could not evaluate the change
	stack     []byte // stack trace if err is a panic
}

// Review answers one admission request. It refuses a request that it can't evaluate, unless the guard must never refuse
// it. Review waits only for the Directory, for at most half of the time until the context's deadline.
func (h *Handler) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, nil, h.newRequest(req, false))
}

// Observe answers a request on the path that never refuses. The API server uses this path for EKS itself and for the
// bypass group. The rules are the same as for [Handler.Review], but denials become warnings. Denials are counted and
// appear in the audit event. A break-glass annotation doesn't change the response, and is reported as in [Handler.Review].
//
// Observe admits the request even if a rule panics or the request can't be evaluated. It doesn't look up principals in
// IAM, because a lookup can only delay the response.
func (h *Handler) Observe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, nil, h.newRequest(req, true))
}

// review evaluates the request, notifies the Notifier, counts and logs the outcome, and returns the response. The turn is
// the review's evaluation slot, or nil.
func (h *Handler) review(ctx context.Context, t *turn, r *request) *admissionv1.AdmissionResponse {
	o := h.evaluate(ctx, t, r)
	h.notify(r, &o)
	h.record(ctx, r, &o)
	o.response.UID = r.UID
	return o.response
}

// evaluate evaluates the request. It recovers from a panic and returns it as a failure.
func (h *Handler) evaluate(ctx context.Context, t *turn, r *request) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = failed(r, fmt.Errorf("panic: %v", p))
			o.stack = debug.Stack()
		}
	}()
	switch concerned, err := r.isAboutAWSAuth(); {
	case err != nil:
		return failed(r, err)
	case !concerned:
		return outcome{verdict: outcomeSkipped, response: allowed(outcomeSkipped, nil, nil)}
	}
	change, err := r.change()
	if err != nil {
		return failed(r, err)
	}
	change.Replaced, change.Cache = h.replaced(r.time), &h.decoded
	evaluation := validate.NewEvaluation(change, h.policy())
	return respond(r, evaluation.Verdict(h.lookUp(ctx, t, evaluation)))
}

// respond turns a verdict into an outcome.
func respond(r *request, v validate.Verdict) outcome {
	o := outcome{
		verdict: string(v.Action), rules: v.Rules(), wouldDeny: v.WouldDeny,
		overrides: v.Overrides, changed: v.Changed, access: v.Access, failures: v.Failed,
	}
	warnings := warningsOf(v)
	switch v.Action {
	case validate.ActionAllow, validate.ActionWarn:
		o.response = allowed(o.verdict, o.rules, warnings)
	case validate.ActionDeny:
		denials := denialsOf(v.Findings)
		if len(denials) == 0 {
			return failed(r, errors.New("the change was refused without a finding"))
		}
		o.denied = v.Denied()
		if r.Operation == admissionv1.Delete {
			o.response = forbidden(denials, o.rules, warnings)
		} else {
			o.response = invalid(denials, o.rules, warnings)
		}
	default:
		return failed(r, fmt.Errorf("the verdict %q is unknown", v.Action))
	}
	if len(v.Overrides) > 0 {
		o.response.AuditAnnotations[auditOverrides] = textutil.Shorten(strings.Join(overrideList(v.Overrides), "; "), maxMessage)
	}
	if len(o.wouldDeny) > 0 {
		o.response.AuditAnnotations[auditWouldDeny] = strings.Join(o.wouldDeny, ",")
	}
	return o
}

// failed returns the outcome of a request that the guard could not evaluate. The guard refuses the request, unless it
// must never refuse it. The verdict is "error" in both cases, so that a failure of the guard doesn't look like
// a warning of a rule.
func failed(r *request, err error) outcome {
	rules := []string{validate.InternalError}
	o := outcome{verdict: outcomeError, rules: rules, err: err}
	if r.neverRefused() {
		o.wouldDeny = rules
		o.response = admittedInSpiteOf(err)
		return o
	}
	o.denied = rules
	o.response = errored(string(r.UID), err)
	return o
}
