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

// outcome is what a review came to.
type outcome struct {
	response  *admissionv1.AdmissionResponse
	verdict   string   // allow, warn, deny, error or skipped
	rules     []string // ids of the rules with findings
	denied    []string // those of them that refused the review
	wouldDeny []string // those that would have refused it to another requester, or in another mode
	overrides []validate.Override
	changed   bool // the authenticator may load something else
	access    []awsauth.AccessChange
	failures  []validate.RuleFailure
	err       error  // why the change could not be evaluated
	stack     []byte // where err is a panic
}

// Review answers one admission request. A request that cannot be evaluated is refused. A review neither waits nor
// blocks, but for the Directory, which gets at most half of the time until the context's deadline.
func (h *Handler) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, nil, h.newRequest(req, false))
}

// Observe answers a request on the path that never refuses, for EKS itself and the group that bypasses the guard. The
// rules are the same; denials are warnings, are counted and are in the audit event. An annotation that breaks the
// glass makes no difference to the answer, and is reported as it is by [Handler.Review].
//
// Nothing makes it refuse: not a rule that panics, nor a request that cannot be evaluated. It does not ask IAM, which
// could only delay.
func (h *Handler) Observe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, nil, h.newRequest(req, true))
}

// review is the pipeline: evaluate the request, respond, and tell the observers. The turn is the review's place among
// those that are evaluated, or nil.
func (h *Handler) review(ctx context.Context, t *turn, r *request) *admissionv1.AdmissionResponse {
	o := h.evaluate(ctx, t, r)
	h.notify(r, &o)
	h.record(ctx, r, &o)
	o.response.UID = r.UID
	return o.response
}

// evaluate never panics: a panic is a failure like any other.
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

// failed is the outcome of a request that could not be evaluated: it is refused, unless it never is. Its verdict is
// "error" in both cases, so that a failure of the guard does not look like a warning of a rule.
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
