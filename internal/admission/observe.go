package admission

import (
	"context"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Observe answers a request of somebody who is never refused: EKS itself, and the group that
// bypasses the guard. The rules are the same, and what they would have refused is a warning, is
// counted and is in the audit event. An annotation that breaks the glass makes no difference to the
// answer, and is reported as it is by [Handler.Review].
//
// Nothing makes it refuse: not a rule that panics, nor a request that cannot be judged.
// IAM is not asked: it could only delay.
func (h *Handler) Observe(ctx context.Context, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.observe(ctx, nil, req)
}

func (h *Handler) observe(ctx context.Context, t *turn, req *admissionv1.AdmissionRequest) *admissionv1.AdmissionResponse {
	return h.review(ctx, t, req, func() validate.Policy {
		policy := h.policy()
		policy.Mode, policy.IAMMode = validate.WarnMode, validate.Off
		return policy
	}, true)
}

// observe admits what was refused in spite of the mode: what could not be judged. Its verdict stays
// "error", on this path too: that the guard failed must not look like a warning that a rule gave.
func (o *outcome) observe() {
	o.observed = true
	if o.response.Allowed {
		return
	}
	o.wouldDeny, o.denied = o.denied, nil
	text := "awsauth-guard admits this request without having judged it [" + validate.InternalError + "]"
	if o.err != nil {
		text = textutil.Shorten("awsauth-guard could not judge this request and admits it: "+textutil.Printable(o.err.Error()), maxWarning-len(validate.InternalError)-3) + " [" + validate.InternalError + "]"
	}
	o.response = allowed(o.verdict, o.rules, append(o.response.Warnings, text))
	o.response.AuditAnnotations[auditWouldDeny] = strings.Join(o.wouldDeny, ",")
}
