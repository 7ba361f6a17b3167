package admission

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// outcome is what a review came to.
type outcome struct {
	response  *admissionv1.AdmissionResponse
	verdict   string   // allow, warn, deny, error or skipped
	rules     []string // ids of the rules with findings
	denied    []string // those of them that refused the review
	wouldDeny []string // those that would have, had somebody else asked
	err       error    // why the change could not be judged
	stack     []byte   // where err is a panic
}

// Review answers one admission request. What cannot be judged is refused. The context is only
// handed to the logger: judging neither waits nor blocks.
func (h *Handler) Review(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	start := h.now()
	o := h.decide(req)
	h.record(ctx, req, &o, h.now().Sub(start))
	o.response.UID = req.UID
	return o.response
}

// decide never panics: a panic refuses the change like any other failure.
func (h *Handler) decide(req *admissionv1.AdmissionRequest) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = failed(req, fmt.Errorf("panic: %v", p))
			o.stack = debug.Stack()
		}
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
	before, after, err := readObjects(req)
	if err != nil {
		return failed(req, err)
	}
	if before != nil && after != nil && before.equal(after) {
		return judged(req, validate.Verdict{Action: validate.Allow})
	}
	return h.judge(req, validate.Change{
		Operation: validate.Operation(req.Operation),
		Old:       before.object(),
		New:       after.object(),
		Requester: requester(req),
	})
}

// judge asks the rules. When one of them panics the change is refused, unless EKS itself asks: a
// mistake of ours must not keep it from adding nodes.
func (h *Handler) judge(req *admissionv1.AdmissionRequest, c validate.Change) (o outcome) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		err := fmt.Errorf("panic while judging: %v", p)
		if c.Requester.IsEKS() {
			o = passed(err)
		} else {
			o = failed(req, err)
		}
		o.stack = debug.Stack()
	}()
	return judged(req, validate.Judge(c, h.policy))
}

// judged turns a verdict into an outcome.
func judged(req *admissionv1.AdmissionRequest, v validate.Verdict) outcome {
	o := outcome{verdict: string(v.Action), rules: v.Rules(), wouldDeny: v.WouldDeny}
	warnings := warningsOf(v.Findings)
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
	return o
}

// failed refuses what could not be judged: a guard that is unsure never says that all is well.
func failed(req *admissionv1.AdmissionRequest, err error) outcome {
	return outcome{
		response: errored(string(req.UID), err),
		verdict:  outcomeError,
		rules:    []string{internalError},
		denied:   []string{internalError},
		err:      err,
	}
}

// passed admits what could not be judged, with a warning.
func passed(err error) outcome {
	o := outcome{
		verdict:   string(validate.WarnOnly),
		rules:     []string{internalError},
		wouldDeny: []string{internalError},
		err:       err,
	}
	text := "awsauth-guard could not judge this change and lets EKS pass: " + printable(err.Error())
	o.response = allowed(o.verdict, o.rules, []string{shorten(text, maxWarning)})
	return o
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

// record counts and logs a review. Nothing of the objects is logged but the name of one that is not aws-auth.
func (h *Handler) record(ctx context.Context, req *admissionv1.AdmissionRequest, o *outcome, took time.Duration) {
	operation, dryRun := string(req.Operation), req.DryRun != nil && *req.DryRun
	h.recorder.Reviewed(operation, o.verdict, dryRun, took)
	for _, rule := range o.denied {
		h.recorder.Rejected(rule, operation, dryRun)
	}
	for _, rule := range o.wouldDeny {
		h.recorder.WouldDeny(rule)
	}
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("uid", string(req.UID)),
		slog.String("operation", shorten(operation, maxLogged)),
		slog.String("requester", shorten(req.UserInfo.Username, maxLogged)),
		slog.Bool("dry_run", dryRun),
		slog.String("verdict", o.verdict),
		slog.Any("rules", append([]string{}, o.rules...)),
		slog.Float64("duration_seconds", took.Seconds()),
	}
	if len(o.wouldDeny) > 0 {
		attrs = append(attrs, slog.Any("would_deny", o.wouldDeny))
	}
	if o.verdict == outcomeSkipped {
		attrs = append(attrs, slog.String("object", shorten(describe(req), maxLogged)))
	}
	if o.err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("err", shorten(o.err.Error(), maxLogged)))
	}
	if o.stack != nil {
		attrs = append(attrs, slog.String("stack", string(o.stack)))
	}
	h.log.LogAttrs(ctx, level, "review", attrs...)
}
