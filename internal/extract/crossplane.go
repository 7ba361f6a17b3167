package extract

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// crossplane reports whether a mapping holds an aws-auth that lint must not evaluate, for one of two reasons. Either
// the text is known only after Crossplane has composed it, or Crossplane only observes the aws-auth. crossplane adds
// such an aws-auth to Unrendered or to Notes. The aws-auth is in spec.forProvider.manifest of an Object
// (crossplane-contrib/provider-kubernetes, v1alpha1 and v1alpha2), or in the base of a resource in a Composition. If
// the text of the aws-auth is final, crossplane returns false, and the caller searches the mapping like any other.
func (w *walker) crossplane(path awsauth.Path, object map[string]any) bool {
	base, isResource := object["base"].(map[string]any)
	switch {
	case w.asked:
		return false
	case isResource:
		patch, patched := w.manifestPatch(path, object["patches"])
		if !patched || !w.holds(path.To("base"), base) {
			return false
		}
		w.unrendered(path.To("base"), "a patch of %s writes %s of this aws-auth, so its text is known only after Crossplane has composed it; "+
			"lint the composed resources: crossplane render XR COMPOSITION FUNCTIONS | kubectl awsauth lint -", w.kind, patch)
		return true
	case text(object, "kind") == "Object" && strings.Contains(text(object, "apiVersion"), ".crossplane.io/"):
		return w.crossplaneObject(path, object)
	}
	return false
}

func (w *walker) crossplaneObject(path awsauth.Path, object map[string]any) bool {
	spec, _ := object["spec"].(map[string]any)
	if !w.holds(path.To("spec", "forProvider"), spec["forProvider"]) {
		return false
	}
	if onlyObserves(spec) {
		w.Notes = append(w.Notes, w.source.Error(path, "this Object only observes aws-auth and does not write it"))
		return true
	}
	references, _ := spec["references"].([]any)
	for i, reference := range references {
		fields, _ := reference.(map[string]any)
		to := text(fields, "toFieldPath")
		if fields["patchesFrom"] == nil || to != "" && !writesManifest("manifest."+strings.TrimPrefix(to, "manifest.")) {
			continue
		}
		w.unrendered(path.To("spec", "references", i), "Crossplane copies a value of another object into this aws-auth, so its text is not known here; lint the live object: kubectl awsauth lint --context NAME")
		return true
	}
	return false
}

// onlyObserves reports whether Crossplane neither creates nor updates the manifest of an Object. spec is the spec of
// the Object (Crossplane, "Managed Resources", managementPolicies; provider-kubernetes before v0.10, managementPolicy).
func onlyObserves(spec map[string]any) bool {
	if policies, ok := spec["managementPolicies"].([]any); ok {
		return !slices.ContainsFunc(policies, func(policy any) bool { return policy == "*" || policy == "Create" || policy == "Update" })
	}
	policy := text(spec, "managementPolicy")
	return policy == "Observe" || policy == "ObserveDelete"
}

// manifestPatch returns a field that one of the patches writes in a nested manifest. It returns false if there is none.
// path is the path of the resource with the patches.
func (w *walker) manifestPatch(path awsauth.Path, patches any) (field string, ok bool) {
	list, _ := patches.([]any)
	for _, item := range list {
		patch, _ := item.(map[string]any)
		switch kind := text(patch, "type"); {
		case kind == "PatchSet":
			if field, ok := w.patchSet(path, text(patch, "patchSetName")); ok {
				return field, true
			}
			continue
		case strings.HasPrefix(kind, "ToComposite"), strings.HasPrefix(kind, "CombineToComposite"), strings.HasPrefix(kind, "ToEnvironment"), strings.HasPrefix(kind, "CombineToEnvironment"):
			continue // such a patch only reads the nested manifest
		}
		to := text(patch, "toFieldPath")
		if to == "" {
			to = text(patch, "fromFieldPath")
		}
		if writesManifest(to) {
			return to, true
		}
	}
	return "", false
}

// patchSet returns a field that a patch set writes in a nested manifest. It returns false if there is none. It searches
// for the patch set by its name, in the Composition around the path.
func (w *walker) patchSet(path awsauth.Path, name string) (field string, ok bool) {
	for i := range path {
		sets, _ := w.source.At(path[:i].To("patchSets")).([]any)
		for _, item := range sets {
			if set, _ := item.(map[string]any); text(set, "name") == name {
				if field, ok := w.manifestPatch(nil, set["patches"]); ok {
					return field, true
				}
			}
		}
	}
	return "", false
}

// writesManifest reports whether a field is in a nested manifest, and is not a label or an annotation.
func writesManifest(field string) bool {
	return strings.Contains(field, "manifest") && !strings.Contains(field, "metadata.labels") && !strings.Contains(field, "metadata.annotations")
}

// holds reports whether a value holds an aws-auth in a form that walk recognizes.
func (w *walker) holds(path awsauth.Path, value any) bool {
	asked := &walker{source: w.source, kind: theFile, inner: w.inner, asked: true}
	asked.walk(path, value)
	return asked.foundAny() || len(asked.Errors) > 0
}
