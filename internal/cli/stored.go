package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// lastApplied is the annotation in which kubectl apply stores the manifest. At the next run kubectl apply compares the new manifest with
// it (kubernetes v1.37.2, api/core/v1, LastAppliedConfigAnnotation).
const lastApplied = corev1.LastAppliedConfigAnnotation

// applyMode says whether lint computes the result of kubectl apply for a manifest.
type applyMode int

const (
	applyIfApplied applyMode = iota // lint chooses; see lintRun.applies
	applyAlways
	applyNever
)

// storedVersion is the version that the cluster will have after a change. Its Object is nil if the change deletes aws-auth.
type storedVersion struct {
	*awsauth.Object

	note string // the assumptions of lint about this version; empty if lint assumed nothing that the user must know
}

// store returns the version that a cluster stores after a user applies an aws-auth of an input. It assumes that the cluster has the version
// in --old. Without --old it returns the aws-auth itself. argument is the flag with which kubectl apply reads the input, such as -f
// aws-auth.yaml.
func (l *lintRun) store(o object, argument string) (storedVersion, error) {
	old := l.change.Old
	switch {
	case old == nil && o.Lists != "":
		return storedVersion{o.Object, listsAlone(o)}, nil
	case old == nil:
		return storedVersion{Object: o.Object}, nil
	case l.patch != "":
		return storedVersion{o.Object, l.effect(o.Object, o.Object, fmt.Sprintf("evaluated as a %s patch of %s", l.patch, l.oldName))}, nil
	case o.Write == awsauth.SetsKeys && o.Object != nil:
		result := setKeys(old, o.Before, o.Object)
		return storedVersion{result, l.effect(o.Object, result, fmt.Sprintf("evaluated as the change that %s makes to its own keys of %s", o.Resource, l.oldName))}, nil
	case o.Object == nil:
		return storedVersion{}, nil
	case o.Lists != "":
		result := setKeys(old, nil, o.Object)
		return storedVersion{result, l.effect(o.Object, result, fmt.Sprintf("evaluated %s in place of the same sections of %s", o.Lists, l.oldName))}, nil
	case !l.applies(o):
		return storedVersion{o.Object, l.partialNote(o, argument)}, nil
	}
	result, err := applied(old, o.Object)
	if err != nil {
		return storedVersion{}, err
	}
	note := "evaluated as the result of kubectl apply on " + l.oldName
	if l.apply == applyAlways || o.Write == awsauth.Applies {
		return storedVersion{result, l.effect(o.Object, result, note)}, nil
	}
	note = l.effect(o.Object, result, note+", which carries the last-applied annotation")
	if len(missing(o.Data, old.Data)) == 0 {
		note = ""
	} else {
		note += "; --apply=false evaluates the file as a replacement"
	}
	return storedVersion{result, note}, nil
}

// listsAlone returns a note which says that lint evaluated only lists of entries, and not a whole aws-auth.
func listsAlone(o object) string { return "evaluated " + o.Lists + ", not a whole aws-auth" }

// applies reports whether lint evaluates a manifest as the input of kubectl apply. --apply=false excludes this for every manifest. A
// Terraform resource is such an input if and only if it applies its manifest. Any other manifest is such an input with --apply. Without the
// flag, it is one if the old version has a valid annotation lastApplied and the manifest doesn't come from a cluster. A manifest from a
// cluster is complete: it is the result of a dry run, or an edited copy for kubectl replace.
func (l *lintRun) applies(o object) bool {
	if o.Values() == nil || l.apply == applyNever || o.Resource != "" && o.Write != awsauth.Applies {
		return false
	}
	metadata, _ := o.Values()["metadata"].(map[string]any)
	fromCluster := metadata["uid"] != nil || metadata["resourceVersion"] != nil || o.Annotations[lastApplied] != ""
	return l.apply == applyAlways || o.Write == awsauth.Applies || json.Valid([]byte(l.change.Old.Annotations[lastApplied])) && !fromCluster
}

// effect appends to note which keys stay although the input lacks them, and which keys of the old version go.
func (l *lintRun) effect(input, result *awsauth.Object, note string) string {
	var set map[string]string
	if input != nil {
		set = input.Data
	}
	stay := missing(set, result.Data)
	if len(stay) > 0 {
		note += ": " + strings.Join(stay, " and ") + verb(stay, " stays", " stay")
	}
	if gone := missing(result.Data, l.change.Old.Data); len(gone) > 0 {
		separator := ": "
		if len(stay) > 0 {
			separator = ", "
		}
		note += separator + strings.Join(gone, " and ") + verb(gone, " goes", " go")
	}
	return note
}

// partialNote returns a note for a manifest that lacks keys of the old version. lint evaluates such a manifest as a replacement, but
// kubectl apply may keep the keys. A key in another case, or with a value that isn't a text, doesn't count as lacking. partialNote returns
// "" if the manifest lacks no keys, if it comes from a Terraform resource, or if the user excluded kubectl apply.
func (l *lintRun) partialNote(o object, argument string) string {
	lost := slices.DeleteFunc(missing(o.Data, l.change.Old.Data), func(path string) bool {
		for key := range o.Data { // the rule misspelt-data-key reports such a key
			if strings.EqualFold("data."+key, path) {
				return true
			}
		}
		return slices.ContainsFunc(o.NotText, func(key awsauth.Scalar) bool { return "data."+key.Value == path })
	})
	if len(lost) == 0 || l.apply == applyNever || o.Resource != "" {
		return ""
	}
	return fmt.Sprintf("evaluated as a replacement of %s, which removes %s; if you apply the file, lint what will be stored: "+
		"kubectl apply --dry-run=server -o yaml %s | kubectl awsauth lint - --old %s, or use --apply", l.oldName, strings.Join(lost, " and "), argument, l.oldName)
}

// missing returns the paths of the keys that full has and part lacks, sorted. It ignores keys with a blank text.
func missing(part, full map[string]string) []string {
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(full)) {
		if _, ok := part[key]; !ok && strings.TrimSpace(full[key]) != "" {
			keys = append(keys, "data."+key)
		}
	}
	return keys
}

func verb(list []string, singular, plural string) string {
	if len(list) == 1 {
		return singular
	}
	return plural
}

// setKeys returns the old version after a change that sets only some keys, as a Terraform resource or lists of entries do. It removes the
// keys of before, which the resource had set, and adds the keys and annotations of after. before and after may be nil.
func setKeys(old, before, after *awsauth.Object) *awsauth.Object {
	if after == nil {
		after = &awsauth.Object{}
	}
	values := manifestOf(old)
	data := maps.Clone(anyMap(values["data"]))
	if before != nil {
		for key := range before.Data {
			delete(data, key)
		}
	}
	for key, text := range after.Data {
		data[key] = text
	}
	for _, key := range after.NotText {
		data[key.Value] = anyMap(after.Values()["data"])[key.Value]
	}
	values["data"] = data
	if after.Immutable {
		values["immutable"] = true
	}
	metadata := maps.Clone(anyMap(values["metadata"]))
	annotations := maps.Clone(anyMap(metadata["annotations"]))
	for key, text := range after.Annotations {
		annotations[key] = text
	}
	metadata["annotations"], values["metadata"] = annotations, metadata
	return after.WithValues(values)
}

// applied returns the result of kubectl apply with a manifest on the old version. It computes the patch as kubectl does (kubernetes
// v1.37.2, kubectl/pkg/cmd/apply/patcher.go, buildStrategicMergePatchFromBuiltins).
func applied(old, manifest *awsauth.Object) (*awsauth.Object, error) {
	current, err := json.Marshal(manifestOf(old))
	if err != nil {
		return nil, fmt.Errorf("encoding the old version: %w", err)
	}
	modified, err := json.Marshal(manifestOf(manifest))
	if err != nil {
		return nil, fmt.Errorf("encoding the manifest: %w", err)
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(corev1.ConfigMap{})
	if err != nil {
		return nil, fmt.Errorf("reading the schema of ConfigMap: %w", err)
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch([]byte(old.Annotations[lastApplied]), modified, current, schema, true)
	if err != nil {
		return nil, fmt.Errorf("computing the patch of kubectl apply: %w", err)
	}
	result, err := strategicpatch.StrategicMergePatchUsingLookupPatchMeta(current, patch, schema)
	if err != nil {
		return nil, fmt.Errorf("applying the patch of kubectl apply: %w", err)
	}
	return withResult(manifest, result)
}

// withResult returns a copy of an object with the content of a JSON manifest.
func withResult(o *awsauth.Object, manifest []byte) (*awsauth.Object, error) {
	var values map[string]any
	if err := json.Unmarshal(manifest, &values); err != nil {
		return nil, fmt.Errorf("decoding the result: %w", err)
	}
	return o.WithValues(values), nil
}

// manifestOf returns the manifest of an object. If the object has no manifest, because it comes from a Terraform resource, manifestOf
// builds one from the content.
func manifestOf(o *awsauth.Object) map[string]any {
	if values := o.Values(); values != nil {
		return maps.Clone(values)
	}
	data := make(map[string]any, len(o.Data))
	for key, text := range o.Data {
		data[key] = text
	}
	annotations := make(map[string]any, len(o.Annotations))
	for key, text := range o.Annotations {
		annotations[key] = text
	}
	return map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "data": data, "immutable": o.Immutable,
		"metadata": map[string]any{"name": awsauth.Name, "namespace": awsauth.Namespace, "annotations": annotations},
	}
}

func anyMap(value any) map[string]any {
	m, _ := value.(map[string]any)
	if m == nil {
		return map[string]any{}
	}
	return m
}
