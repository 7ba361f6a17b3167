package admission_test

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

// The guard refuses an object if a later review that contains this object would be too large, unless EKS writes the object.
// JSON encodes a character such as < with six bytes, so the object can be larger than its text.
func TestObjectTooLargeForLaterReviewIsRefused(t *testing.T) {
	t.Parallel()
	large := configMap(admin, set("data", map[string]any{"mapRoles": admin, "x": strings.Repeat("<", 600_000)}))
	h := admission.New(admission.Options{})
	for username, allowed := range map[string]bool{"ann": false, "eks:node-manager": true} {
		got := h.Review(t.Context(), request("UPDATE", configMap(admin), large, func(r *admissionv1.AdmissionRequest) { r.UserInfo.Username = username }))
		if got.Allowed != allowed {
			t.Errorf("%s: got %+v", username, got)
		}
	}
	fits := configMap(admin, set("data", map[string]any{"mapRoles": admin, "x": strings.Repeat("x", 900_000)}))
	if got := h.Review(t.Context(), request("UPDATE", configMap(admin), fits)); !got.Allowed {
		t.Errorf("a full object: got %+v", got)
	}
}
