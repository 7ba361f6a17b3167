package admission

import (
	"encoding/base64"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// Journal is told of every review of a change that is no dry run, before it is answered, so that what is
// stored later can be compared with it. It must not block. Its methods are called concurrently.
type Journal interface {
	// Admitted tells of a change that passes, and of the kinds of what it overrode. The contents may be the
	// same: then only annotations are set.
	Admitted(a history.Admission, overrides []string)
	// Refused tells of one that does not pass, and of the rules that refused it.
	Refused(a history.Admission, rules []string)
}

// forgetful is the Journal that keeps nothing.
type forgetful struct{}

func (forgetful) Admitted(history.Admission, []string) {}
func (forgetful) Refused(history.Admission, []string)  {}

// journalize tells the Journal.
func (h *Handler) journalize(req *admissionv1.AdmissionRequest, o *outcome, at time.Time) {
	if isDryRun(req) || o.verdict == outcomeSkipped {
		return
	}
	a := history.Admission{
		Time: at, Old: o.before.hash(), New: o.after.hash(), Requester: textutil.Shorten(req.UserInfo.Username, maxLogged),
		How: history.Admitted, Verdict: o.verdict,
	}
	overrides := overrideKinds(o.overrides)
	switch {
	case !o.response.Allowed:
		h.journal.Refused(a, o.denied)
		return
	case o.observed:
		a.How = history.Observed
	case len(overrides) > 0:
		a.How = history.Overridden
	}
	if a.Old != a.New || len(overrides) > 0 {
		h.journal.Admitted(a, overrides)
	}
}

// hash is that of the content; empty where there is no object.
func (c *configMap) hash() string {
	if c == nil {
		return ""
	}
	binaryData := make(map[string][]byte, len(c.BinaryData))
	for key, text := range c.BinaryData {
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			value = []byte(text) // the API server writes no such thing
		}
		binaryData[key] = value
	}
	return history.Hash(c.Data, binaryData)
}

// isSelfTest reports whether it is the guard itself that tries whether it is asked.
func (h *Handler) isSelfTest(req *admissionv1.AdmissionRequest) bool {
	return req.Operation == admissionv1.Delete && isDryRun(req) && h.isSelf(req)
}

// putsBack reports whether it is the guard itself that puts a version back.
func (h *Handler) putsBack(req *admissionv1.AdmissionRequest) bool {
	return req.Operation != admissionv1.Delete && h.isSelf(req) && h.restores()
}

func (h *Handler) isSelf(req *admissionv1.AdmissionRequest) bool {
	self := h.self()
	return self != "" && req.UserInfo.Username == self
}
