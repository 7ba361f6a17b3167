package admission

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
		Annotations map[string]string `json:"annotations"`
		// These fields decide when the API server or the garbage collector deletes the object.
		Finalizers        []string         `json:"finalizers"`
		OwnerReferences   []ownerReference `json:"ownerReferences"`
		DeletionTimestamp *string          `json:"deletionTimestamp"`
	} `json:"metadata"`
	Data       map[string]string `json:"data"`
	BinaryData map[string]string `json:"binaryData"` // the values stay in base64, because the rules use only the keys
	Immutable  bool              `json:"immutable"`
}

type ownerReference struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// decode converts an object of a request into the form that the rules evaluate. It keeps only the annotations of the
// guard. field is the name of the object in the request, for errors: object or oldObject.
func decode(field string, raw []byte) (*awsauth.Object, error) {
	c, err := decodeConfigMap(field, raw)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(c.Metadata.Annotations, func(key, _ string) bool {
		return !strings.HasPrefix(key, validate.AnnotationPrefix)
	})
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
	return o, nil
}

func decodeConfigMap(field string, raw []byte) (*configMap, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, fmt.Errorf("the request has no %s", field)
	}
	var c configMap
	// Use the API server's decoder, which matches keys case-sensitively.
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", field, err)
	}
	if c.APIVersion != apiVersion || c.Kind != kind {
		return nil, fmt.Errorf("%s is a %q of %q, not a ConfigMap of v1", field, c.Kind, c.APIVersion)
	}
	return &c, nil
}
