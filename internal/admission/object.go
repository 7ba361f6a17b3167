package admission

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// configMap is the part of a ConfigMap that the guard reads.
type configMap struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"` // after decode ours only
		// What decides how long the object stays.
		Finalizers        []string         `json:"finalizers"`
		OwnerReferences   []ownerReference `json:"ownerReferences"`
		DeletionTimestamp *string          `json:"deletionTimestamp"`
	} `json:"metadata"`
	Data       map[string]string `json:"data"`
	BinaryData map[string]string `json:"binaryData"` // still in base64: only the keys are read
	Immutable  bool              `json:"immutable"`
}

type ownerReference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// decode reads one of the two objects of a request; field is what errors call it.
func decode(field string, raw []byte) (*configMap, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, fmt.Errorf("the request has no %s", field)
	}
	var c configMap
	// This is the API server's own decoder: keys are matched with their case.
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", field, err)
	}
	if c.APIVersion != apiVersion || c.Kind != kind {
		return nil, fmt.Errorf("%s is a %q of %q, not a ConfigMap of v1", field, c.Kind, c.APIVersion)
	}
	maps.DeleteFunc(c.Metadata.Annotations, func(key, _ string) bool {
		return !strings.HasPrefix(key, validate.AnnotationPrefix)
	})
	return &c, nil
}

// equal reports whether two ConfigMaps are the same to the authenticator and to the rules. The later one is
// never the same where it may hide bytes or is being deleted.
func (c *configMap) equal(later *configMap) bool {
	return later.object().SameContent(c.object()) && maps.Equal(c.BinaryData, later.BinaryData) &&
		maps.Equal(c.Metadata.Annotations, later.Metadata.Annotations) &&
		slices.Equal(c.Metadata.Finalizers, later.Metadata.Finalizers) && slices.Equal(c.Metadata.OwnerReferences, later.Metadata.OwnerReferences)
}

// object is the ConfigMap as the rules see it; nil stays nil.
func (c *configMap) object() *awsauth.Object {
	if c == nil {
		return nil
	}
	o := &awsauth.Object{
		Annotations: c.Metadata.Annotations,
		Data:        c.Data,
		BinaryData:  slices.Sorted(maps.Keys(c.BinaryData)),
		Immutable:   c.Immutable,
		Reviewed:    true,
		Finalizers:  c.Metadata.Finalizers,
		Deleting:    c.Metadata.DeletionTimestamp != nil,
	}
	for _, owner := range c.Metadata.OwnerReferences {
		o.Owners = append(o.Owners, awsauth.OwnerReference(owner.Kind, owner.Name, owner.UID))
	}
	return o
}

// readObjects decodes the objects that the operation has: the new one of a CREATE, the old one of
// a DELETE, both of an UPDATE.
func readObjects(req *admissionv1.AdmissionRequest) (before, after *configMap, err error) {
	hasOld := req.Operation == admissionv1.Update || req.Operation == admissionv1.Delete
	hasNew := req.Operation == admissionv1.Update || req.Operation == admissionv1.Create
	if !hasOld && !hasNew {
		return nil, nil, fmt.Errorf("the operation %q is none that changes a ConfigMap", req.Operation)
	}
	if hasOld {
		if before, err = decode("oldObject", req.OldObject.Raw); err != nil {
			return nil, nil, err
		}
	}
	if hasNew {
		if after, err = decode("object", req.Object.Raw); err != nil {
			return nil, nil, err
		}
	}
	if hasOld && hasNew && before.Metadata.DeletionTimestamp != nil {
		after.Metadata.DeletionTimestamp = before.Metadata.DeletionTimestamp // no update takes it back
	}
	return before, after, nil
}

// concerns reports whether a request is about aws-auth. A request that does not say what it is
// about is an error.
func concerns(req *admissionv1.AdmissionRequest) (bool, error) {
	if req.UID == "" {
		return false, errors.New("the review holds no request, or one without a uid")
	}
	if req.Resource.Resource == "" && req.Kind.Kind == "" {
		return false, errors.New("the request names neither a resource nor a kind")
	}
	r, k := req.Resource, req.Kind
	switch {
	case r.Resource != "" && (r.Group != "" || r.Resource != resource),
		k.Kind != "" && (k.Group != "" || k.Kind != kind),
		req.SubResource != "",
		req.Namespace != namespace:
		return false, nil
	}
	n, err := objectName(req)
	return n == name, err
}

// objectName is the name of the object that a request is about. A request that deletes a collection
// names none: then the old object does. A CREATE that leaves its name to the API server has only the new one.
func objectName(req *admissionv1.AdmissionRequest) (string, error) {
	if req.Name != "" {
		return req.Name, nil
	}
	field, raw := "oldObject", req.OldObject.Raw
	if len(raw) == 0 || string(raw) == "null" {
		field, raw = "object", req.Object.Raw
	}
	c, err := decode(field, raw)
	if err != nil {
		return "", fmt.Errorf("the request has no name: %w", err)
	}
	return c.Metadata.Name, nil
}

// describe names the object of a request that is not about aws-auth.
func describe(req *admissionv1.AdmissionRequest) string {
	what := req.Resource.Resource
	if what == "" {
		what = req.Kind.Kind
	}
	if req.Resource.Group != "" {
		what += "." + req.Resource.Group
	}
	parts := []string{what, req.Namespace, req.Name}
	if req.SubResource != "" {
		parts = append(parts, req.SubResource)
	}
	return strings.Join(parts, "/")
}
