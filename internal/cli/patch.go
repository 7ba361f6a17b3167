package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// The types of patches, as in kubectl patch --type.
const (
	patchMerge     = "merge"
	patchStrategic = "strategic"
	patchJSON      = "json"
)

// patchType implements pflag.Value for --patch.
type patchType string

// String returns the value.
func (t *patchType) String() string { return string(*t) }

// Set sets the value. An unknown type is an error.
func (t *patchType) Set(s string) error {
	if !slices.Contains([]string{patchMerge, patchStrategic, patchJSON}, s) {
		return errors.New("must be merge, strategic or json")
	}
	*t = patchType(s)
	return nil
}

// Type returns the placeholder of the value in the help text.
func (*patchType) Type() string { return "TYPE" }

// parsePatch decodes a patch and applies it to the old version. The result has the new version as its only object. If a document can't be
// read, the result has no objects, but problems.
func parsePatch(label string, src []byte, kind patchType, old *awsauth.Object) (input, error) {
	in := input{name: label}
	sources, errs := awsauth.ReadSources(src)
	for _, err := range errs {
		in.problems = append(in.problems, problemOf(label, err))
	}
	if len(errs) > 0 {
		return in, nil
	}
	sources = slices.DeleteFunc(sources, func(s *awsauth.Source) bool { return s.Value == nil })
	if len(sources) != 1 {
		return in, fmt.Errorf("%s holds %d documents, but a patch must be a single document", label, len(sources))
	}
	o, err := patched(old, sources[0], kind)
	if err != nil {
		return in, fmt.Errorf("%s: %w", label, err)
	}
	_, isMapping := sources[0].Value.(map[string]any)
	in.objects = []object{{Object: o, Line: 1, InText: !isMapping}}
	return in, nil
}

// patched returns the old version with a patch applied. It applies the patch as the API server does (kubernetes
// v1.37.2, apiserver, pkg/endpoints/handlers/patch.go).
func patched(old *awsauth.Object, patch *awsauth.Source, kind patchType) (*awsauth.Object, error) {
	current, err := json.Marshal(manifestOf(old))
	if err != nil {
		return nil, fmt.Errorf("encoding the old version: %w", err)
	}
	change, err := json.Marshal(patch.Value)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	mapping, isMapping := patch.Value.(map[string]any)
	o := &awsauth.Object{}
	if isMapping {
		o = patch.Object(nil)
	}
	var result []byte
	switch {
	case kind == patchJSON && isMapping:
		return nil, errors.New("the patch is a mapping, but a JSON patch is a list of operations; use --patch merge or --patch strategic")
	case kind != patchJSON && !isMapping:
		return nil, fmt.Errorf("the patch is not a mapping, as %s patches are; use --patch json for a list of operations", kind)
	case kind != patchJSON && otherObject(mapping):
		return nil, errors.New("the patch is for another object than the ConfigMap kube-system/aws-auth")
	case kind == patchJSON:
		var operations jsonpatch.Patch
		if operations, err = jsonpatch.DecodePatch(change); err == nil {
			result, err = operations.Apply(current)
		}
	case kind == patchMerge:
		result, err = jsonpatch.MergePatch(current, change)
	default:
		result, err = strategicpatch.StrategicMergePatch(current, change, corev1.ConfigMap{})
	}
	if err != nil {
		return nil, fmt.Errorf("the API server refuses the patch: %w", err)
	}
	return withResult(o, result)
}

// otherObject reports whether a patch names an object other than aws-auth.
func otherObject(patch map[string]any) bool {
	metadata := anyMap(patch["metadata"])
	differs := func(value any, want string) bool { return value != nil && value != want }
	return differs(patch["kind"], "ConfigMap") || differs(metadata["name"], awsauth.Name) || differs(metadata["namespace"], awsauth.Namespace)
}
