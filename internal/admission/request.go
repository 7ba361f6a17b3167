package admission

import (
	"errors"
	"fmt"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// request is an admission request with the facts that the evaluation needs.
type request struct {
	*admissionv1.AdmissionRequest

	requester validate.Requester
	time      time.Time // when the review began
	dryRun    bool
	observed  bool // the request came on the observing path, which never refuses
	// selfTest means that the guard sent this request to test whether the API server calls the webhook.
	selfTest bool
	// restore means that the guard sent this request to restore a version.
	restore bool
}

func (h *Handler) newRequest(req *admissionv1.AdmissionRequest, observed bool) *request {
	r := &request{AdmissionRequest: req, requester: requesterOf(req), time: h.now(), dryRun: req.DryRun != nil && *req.DryRun, observed: observed}
	self := h.self()
	if self != "" && req.UserInfo.Username == self {
		r.selfTest = req.Operation == admissionv1.Delete && r.dryRun
		r.restore = req.Operation != admissionv1.Delete && h.restores()
	}
	return r
}

// neverRefused reports whether the guard admits the request even if it can't evaluate it.
func (r *request) neverRefused() bool {
	return validate.NeverRefused(validate.Change{Requester: r.requester, Observed: r.observed})
}

func requesterOf(req *admissionv1.AdmissionRequest) validate.Requester {
	r := validate.Requester{Username: req.UserInfo.Username, Groups: req.UserInfo.Groups}
	if len(req.UserInfo.Extra) > 0 {
		r.Extra = make(map[string][]string, len(req.UserInfo.Extra))
		for key, values := range req.UserInfo.Extra {
			r.Extra[key] = values
		}
	}
	return r
}

// change decodes the objects of the request: the new object of a CREATE, the old object of a DELETE, or both objects of an
// UPDATE. It returns an error for other operations, for a missing or invalid object, and for a new object larger than
// maxObject.
func (r *request) change() (c validate.Change, err error) {
	c = validate.Change{Operation: validate.Operation(r.Operation), Requester: r.requester, Now: r.time, Observed: r.observed, Restore: r.restore}
	hasOld := r.Operation == admissionv1.Update || r.Operation == admissionv1.Delete
	hasNew := r.Operation == admissionv1.Update || r.Operation == admissionv1.Create
	if !hasOld && !hasNew {
		return c, fmt.Errorf("the operation %q does not change a ConfigMap", r.Operation)
	}
	if hasOld {
		if c.Old, err = decode("oldObject", r.OldObject.Raw); err != nil {
			return c, err
		}
	}
	if hasNew {
		if len(r.Object.Raw) > maxObject {
			return c, fmt.Errorf("the object takes %d bytes as JSON, but at most %d are allowed, because the guard could not read a later review of it", len(r.Object.Raw), maxObject)
		}
		if c.New, err = decode("object", r.Object.Raw); err != nil {
			return c, err
		}
	}
	if hasOld && hasNew {
		c.New.Deleting = c.New.Deleting || c.Old.Deleting // an update can't cancel a deletion
	}
	return c, nil
}

// isAboutAWSAuth reports whether the request is about aws-auth. It returns an error if the request has no uid, or if it
// lacks both a resource and a kind. It also returns an error for a ConfigMap of kube-system if it can't find out the name.
func (r *request) isAboutAWSAuth() (bool, error) {
	if r.UID == "" {
		return false, errors.New("the review has no request, or its request has no uid")
	}
	if r.Resource.Resource == "" && r.Kind.Kind == "" {
		return false, errors.New("the request names neither a resource nor a kind")
	}
	switch {
	case r.Resource.Resource != "" && (r.Resource.Group != "" || r.Resource.Resource != resource),
		r.Kind.Kind != "" && (r.Kind.Group != "" || r.Kind.Kind != kind),
		r.SubResource != "",
		r.Namespace != namespace:
		return false, nil
	}
	n, err := r.objectName()
	return n == name, err
}

// objectName returns the name of the object that the request is about. Two kinds of request have no name. For a request
// that deletes a collection, objectName takes the name from the old object. For a CREATE with generateName, it takes the
// name from the new object. objectName returns an error if it can't decode that object.
func (r *request) objectName() (string, error) {
	if r.Name != "" {
		return r.Name, nil
	}
	field, raw := "oldObject", r.OldObject.Raw
	if len(raw) == 0 || string(raw) == "null" {
		field, raw = "object", r.Object.Raw
	}
	c, err := decodeConfigMap(field, raw)
	if err != nil {
		return "", fmt.Errorf("the request has no name: %w", err)
	}
	return c.Metadata.Name, nil
}

// String describes the object of the request for the log: resource.group/namespace/name/subresource. It leaves out an empty
// group or subresource.
func (r *request) String() string {
	what := r.Resource.Resource
	if what == "" {
		what = r.Kind.Kind
	}
	if r.Resource.Group != "" {
		what += "." + r.Resource.Group
	}
	parts := []string{what, r.Namespace, r.Name}
	if r.SubResource != "" {
		parts = append(parts, r.SubResource)
	}
	return strings.Join(parts, "/")
}
