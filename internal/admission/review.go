package admission

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

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
	wouldDeny []string // those that would have, had somebody else asked or were the mode another
	overrides []validate.Override
	observed  bool // it could not be refused
	access    []awsauth.AccessChange
	failures  []validate.RuleFailure
	// The objects; nil where there is none, where they are the same beyond doubt, or cannot be read.
	before, after *configMap
	err           error  // why the change could not be judged
	stack         []byte // where err is a panic
}

// Review answers one admission request. What cannot be judged is refused. Judging neither waits nor
// blocks, but for the Directory, which gets at most half of the time until the context's deadline.
func (h *Handler) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.enforce(ctx, nil, req)
}

func (h *Handler) enforce(ctx context.Context, t *turn, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, t, req, h.policy, false)
}

// review answers a request by a policy. With observe it is admitted, whatever comes out.
func (h *Handler) review(ctx context.Context, t *turn, req *admissionv1.AdmissionRequest, policy func() validate.Policy, observe bool) *admissionv1.AdmissionResponse {
	start := h.now()
	o := h.decide(ctx, t, req, start, policy)
	if observe {
		o.observe()
	}
	h.notify(req, &o, start)
	h.record(ctx, req, &o, h.now().Sub(start))
	o.response.UID = req.UID
	return o.response
}

// decide never panics: a panic refuses the change like any other failure.
func (h *Handler) decide(ctx context.Context, t *turn, req *admissionv1.AdmissionRequest, now time.Time, policy func() validate.Policy) (o outcome) {
	var before, after *configMap
	defer func() {
		if p := recover(); p != nil {
			o = failed(req, fmt.Errorf("panic: %v", p))
			o.stack = debug.Stack()
		}
		o.before, o.after = before, after
	}()
	concerned, err := concerns(req)
	switch {
	case err != nil:
		return failed(req, err)
	case !concerned:
		return outcome{verdict: outcomeSkipped, response: allowed(outcomeSkipped, nil, nil)}
	case unchanged(req):
		return judged(req, validate.Verdict{Action: validate.Allow})
	}
	if len(req.Object.Raw) > maxObject && !requester(req).IsEKS() {
		return failed(req, fmt.Errorf("the object takes %d bytes as JSON, and %d are allowed: a later review of it could not be read", len(req.Object.Raw), maxObject))
	}
	if before, after, err = readObjects(req); err != nil {
		return failed(req, err)
	}
	if before != nil && after != nil && before.equal(after) {
		return judged(req, validate.Verdict{Action: validate.Allow})
	}
	change := validate.Change{
		Operation: validate.Operation(req.Operation),
		Old:       before.object(),
		New:       after.object(),
		Requester: requester(req),
		Now:       now,
		Replaced:  h.replaced(now),
	}
	inUse := policy()
	if change.CompletesDeletion() {
		after = nil
	} else if h.isRestore(req) {
		inUse.Mode = validate.WarnMode
	}
	reading := validate.Read(change, inUse)
	return judged(req, reading.Judge(h.ask(ctx, t, reading, inUse, change.Requester)))
}

// judged turns a verdict into an outcome.
func judged(req *admissionv1.AdmissionRequest, v validate.Verdict) outcome {
	o := outcome{
		verdict: string(v.Action), rules: v.Rules(), wouldDeny: v.WouldDeny,
		overrides: v.Overrides, access: v.Access, failures: v.Failed,
	}
	warnings := warningsOf(v)
	switch v.Action {
	case validate.Allow, validate.WarnOnly:
		o.response = allowed(o.verdict, o.rules, warnings)
	case validate.Refuse:
		denials := denialsOf(v.Findings)
		if len(denials) == 0 {
			return failed(req, errors.New("the change was refused without a finding"))
		}
		o.denied = v.Denied()
		if req.Operation == admissionv1.Delete {
			o.response = forbidden(denials, o.rules, warnings)
		} else {
			o.response = invalid(denials, o.rules, warnings)
		}
	default:
		return failed(req, fmt.Errorf("the verdict %q is unknown", v.Action))
	}
	if len(v.Overrides) > 0 {
		o.response.AuditAnnotations[auditOverrides] = textutil.Shorten(strings.Join(overrideList(v.Overrides), "; "), maxMessage)
	}
	if len(o.wouldDeny) > 0 {
		o.response.AuditAnnotations[auditWouldDeny] = strings.Join(o.wouldDeny, ",")
	}
	return o
}

// failed refuses what could not be judged: a guard that is unsure never says that all is well.
func failed(req *admissionv1.AdmissionRequest, err error) outcome {
	return outcome{
		response: errored(string(req.UID), err),
		verdict:  outcomeError,
		rules:    []string{validate.InternalError},
		denied:   []string{validate.InternalError},
		err:      err,
	}
}

func requester(req *admissionv1.AdmissionRequest) validate.Requester {
	r := validate.Requester{Username: req.UserInfo.Username, Groups: req.UserInfo.Groups}
	if len(req.UserInfo.Extra) > 0 {
		r.Extra = make(map[string][]string, len(req.UserInfo.Extra))
		for key, values := range req.UserInfo.Extra {
			r.Extra[key] = values
		}
	}
	return r
}
