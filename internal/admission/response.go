package admission

import (
	"net/http"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Keys of audit annotations. The API server prefixes each key with the webhook's name and a slash. It ignores a key of the
// webhook that contains a slash itself.
const (
	auditVerdict   = "verdict"
	auditRules     = "rules"
	auditOverrides = "overrides"
	auditWouldDeny = "would-deny"
)

// allowed returns a response that admits the request.
func allowed(verdict string, rules, warnings []string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Allowed:          true,
		Warnings:         warnings,
		AuditAnnotations: audit(verdict, rules),
	}
}

// invalid returns a response that refuses a CREATE or UPDATE with code 422 and reason Invalid. For this code and reason,
// kubectl prints the causes instead of the message, and kubectl edit opens the editor again with the causes as comments.
// Other clients print the message.
func invalid(denials []validate.Finding, rules, warnings []string) *admissionv1.AdmissionResponse {
	return refused(http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, denials, rules, warnings)
}

// forbidden returns a response that refuses a DELETE with code 403. For this code kubectl prints the message instead of the
// causes. That suits a DELETE, which has no text to correct.
func forbidden(denials []validate.Finding, rules, warnings []string) *admissionv1.AdmissionResponse {
	return refused(http.StatusForbidden, metav1.StatusReasonForbidden, denials, rules, warnings)
}

func refused(code int32, reason metav1.StatusReason, denials []validate.Finding, rules, warnings []string) *admissionv1.AdmissionResponse {
	return &admissionv1.AdmissionResponse{
		Warnings:         warnings,
		AuditAnnotations: audit(string(validate.ActionDeny), rules),
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    code,
			Reason:  reason,
			Message: message(denials),
			Details: &metav1.StatusDetails{Name: name, Kind: kind, Causes: causes(denials)},
		},
	}
}

// admittedInSpiteOf returns a response that admits a request in spite of an error: the guard could not evaluate the
// request, but must never refuse it.
func admittedInSpiteOf(err error) *admissionv1.AdmissionResponse {
	const id = " [" + validate.InternalError + "]"
	text := textutil.Shorten("awsauth-guard could not evaluate this request and admits it: "+textutil.Printable(err.Error()), maxWarning-len(id)) + id
	response := allowed(outcomeError, []string{validate.InternalError}, []string{text})
	response.AuditAnnotations[auditWouldDeny] = validate.InternalError
	return response
}

// errored returns a response that refuses a request because the guard could not evaluate it. uid is empty if it is unknown.
func errored(uid string, err error) *admissionv1.AdmissionResponse {
	text := "awsauth-guard could not evaluate this request and refuses it: " +
		textutil.Printable(err.Error()) + " [" + validate.InternalError + "]"
	if uid != "" {
		text += "; the log of awsauth-guard has more under the uid " + textutil.Printable(uid)
	}
	return &admissionv1.AdmissionResponse{
		AuditAnnotations: audit(outcomeError, []string{validate.InternalError}),
		Result: &metav1.Status{
			Status:  metav1.StatusFailure,
			Code:    http.StatusForbidden,
			Reason:  metav1.StatusReasonForbidden,
			Message: textutil.Shorten(text, maxMessage),
			Details: &metav1.StatusDetails{Name: name, Kind: kind},
		},
	}
}

func audit(verdict string, rules []string) map[string]string {
	annotations := map[string]string{auditVerdict: verdict}
	if len(rules) > 0 {
		annotations[auditRules] = strings.Join(rules, ",")
	}
	return annotations
}

func denialsOf(findings []validate.Finding) []validate.Finding {
	return bySeverity(findings, func(s validate.Severity) bool { return s == validate.Deny })
}

// warningsOf returns the warnings for the overrides and for all findings that aren't denials. A finding with an unknown
// severity is a warning.
func warningsOf(v validate.Verdict) []string {
	return warnings(v.Overrides, bySeverity(v.Findings, func(s validate.Severity) bool { return s != validate.Deny }))
}

func bySeverity(findings []validate.Finding, wanted func(validate.Severity) bool) []validate.Finding {
	var list []validate.Finding
	for _, f := range findings {
		if wanted(f.Severity) {
			list = append(list, f)
		}
	}
	return list
}
