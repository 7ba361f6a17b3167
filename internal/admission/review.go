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

// review is a review in progress. It has three steps. [Handler.prepare] uses the CPU, [Handler.lookUp] waits for IAM and
// for the API server, and [Handler.finish] uses the CPU again.
type review struct {
	*request
	evaluation *validate.Evaluation // nil if the outcome is known without an evaluation
	outcome    outcome

	asksIAM    bool          // the rules need to know which principals exist
	principals []awsauth.ARN // the principals to look up
	asksRight  bool          // the verdict depends on the requester's right break-glass
}

// outcome is the result of a review.
type outcome struct {
	response  *admissionv1.AdmissionResponse
	verdict   string   // allow, warn, deny, error or skipped
	rules     []string // ids of the rules with findings
	denied    []string // ids of the rules that refused the request
	wouldDeny []string // ids of the rules that deny a request that the guard admits all the same; see Recorder.WouldDeny
	overrides []validate.Override
	changed   bool // effective access may have changed
	access    []awsauth.AccessChange
	failures  []validate.RuleFailure
	err       error  // why the guard could not evaluate the change
	stack     []byte // stack trace if err is a panic
}

// Review answers one admission request. It refuses a request that it can't evaluate. It admits such a request by EKS,
// because the guard must never refuse EKS. Review waits only for the Directory and the Authorizer. Both together take at
// most half of the time until the context's deadline.
func (h *Handler) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, h.newRequest(req, false))
}

// Observe answers a request on the path that never refuses. The API server uses this path for EKS itself and for the
// bypass group. The rules are the same as for [Handler.Review], but denials become warnings. The Handler counts these
// denials as WouldDeny, and the audit event lists them. Observe reports a break-glass annotation as Review does.
//
// Observe admits the request even if a rule panics or the Handler can't decode the request. It doesn't look up
// principals in IAM: it admits the change anyway, so a lookup would only delay the response.
func (h *Handler) Observe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, h.newRequest(req, true))
}

func (h *Handler) review(ctx context.Context, req *request) *admissionv1.AdmissionResponse {
	r := h.prepare(req)
	return h.finish(ctx, r, h.lookUp(ctx, r, smallLookup))
}

// prepare decodes the objects of the request, compares the effective access, and finds the principals to look up. A request
// about another object needs no evaluation, and a faulty request can't have one. In both cases the returned review has an
// outcome instead of an evaluation.
func (h *Handler) prepare(req *request) (r *review) {
	r = &review{request: req}
	defer r.recoverPanic()
	switch concerned, err := req.isAboutAWSAuth(); {
	case err != nil:
		r.outcome = failed(req, err)
		return r
	case !concerned:
		r.outcome = outcome{verdict: outcomeSkipped, response: allowed(outcomeSkipped, nil, nil)}
		return r
	}
	change, err := req.change()
	if err != nil {
		r.outcome = failed(req, err)
		return r
	}
	change.Replaced, change.Cache = h.replaced(req.time), &h.decoded
	r.evaluation = validate.NewEvaluation(change, h.policy())
	r.asksRight = r.evaluation.AsksRight()
	if r.asksIAM = h.directory != nil && r.evaluation.AsksIAM(); r.asksIAM {
		r.principals = r.evaluation.ChangedPrincipals()
	}
	return r
}

// finish runs the rules, notifies the Notifier, counts and logs the outcome, and returns the response.
func (h *Handler) finish(ctx context.Context, r *review, known validate.Answers) *admissionv1.AdmissionResponse {
	r.decide(known)
	h.notify(r.request, &r.outcome)
	h.record(ctx, r.request, &r.outcome)
	r.outcome.response.UID = r.UID
	return r.outcome.response
}

// decide runs the rules if the review has an evaluation.
func (r *review) decide(known validate.Answers) {
	if r.evaluation == nil {
		return
	}
	defer r.recoverPanic()
	r.outcome = respond(r.request, r.evaluation.Verdict(known))
}

// recoverPanic makes a panic the outcome of the review. A method defers recoverPanic, so that its panic does not end the
// process.
func (r *review) recoverPanic() {
	if p := recover(); p != nil {
		r.evaluation, r.asksIAM, r.asksRight, r.outcome = nil, false, false, failed(r.request, fmt.Errorf("panic: %v", p))
		r.outcome.stack = debug.Stack()
	}
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

// failed returns the outcome of a request that the guard could not evaluate. The outcome refuses the request, unless the
// guard must never refuse it. The verdict is "error" in both cases, so that a failure of the guard doesn't look like a
// warning of a rule.
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
