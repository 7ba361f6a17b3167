package awsauth

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
)

// read returns the aws-auth objects of a resource, and records in r the errors that it finds in these objects.
func (r *terraformReader) read(address, kind string, values terraformShape) []*Object {
	switch kind {
	case configMapResource, configMapV1Resource, configMapDataResource:
		var blocks []map[string]any
		if values.decode("metadata", &blocks) != nil || len(blocks) == 0 {
			return nil
		}
		object := map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": blocks[0]}
		for field, name := range map[string]string{"data": "data", "binaryData": "binary_data", "immutable": "immutable"} {
			var value any
			if values.decode(name, &value) == nil && value != nil {
				object[field] = value
			}
		}
		return r.objects(address, object)
	case manifestResource:
		var object map[string]any
		if values.decode("manifest", &object) != nil {
			return nil
		}
		return r.objects(address, object)
	case kubectlResource:
		return r.kubectl(address, values)
	}
	return nil
}

var errNoValue = errors.New("no such value")

func (v terraformShape) decode(name string, into any) error {
	raw, ok := v[name]
	if !ok {
		return errNoValue
	}
	return json.Unmarshal(raw, into)
}

func (r *terraformReader) objects(address string, object map[string]any) []*Object {
	var list []*Object
	for _, f := range findAWSAuth(object, nil) {
		if _, problem := inapplicable(f.object); problem != "" {
			r.fail(address, "kubectl does not apply this aws-auth: %s", problem)
			continue
		}
		o := newObject(&part{file: new(file)}, f.object, nil)
		o.positions = nil
		list = append(list, o)
	}
	return list
}

// kubectl returns the aws-auth objects in the text of a kubectl_manifest. If the plan does not know the text yet,
// kubectl returns an empty object for a resource with the name aws-auth.
func (r *terraformReader) kubectl(address string, values terraformShape) []*Object {
	var text, name string
	if values.decode("yaml_body", &text) != nil {
		if values.decode("name", &name) == nil && name == Name {
			return []*Object{{}}
		}
		return nil
	}
	if !strings.Contains(text, Name) {
		return nil
	}
	manifests, errs := ParseManifests([]byte(text))
	for _, err := range errs {
		r.fail(address, "yaml_body:%w", err)
	}
	var list []*Object
	for _, m := range manifests {
		for _, key := range m.Object.positions.duplicateKeys() {
			r.fail(address, "yaml_body:%d:%d: the manifest has the key %q twice; keep one of them", key.Line, key.Column, key.Path)
		}
		m.Object.positions = nil
		list = append(list, m.Object)
	}
	return list
}

// unknownKeys returns the paths of the values of an aws-auth that a plan does not know yet, in a fixed order. tree is
// after_unknown of the change.
func unknownKeys(kind string, tree json.RawMessage) []string {
	var unknown map[string]any
	if json.Unmarshal(tree, &unknown) != nil {
		return nil
	}
	if kind == kubectlResource {
		if unknown["yaml_body"] == true {
			return []string{"yaml_body"}
		}
		return nil
	}
	fields := []string{"data", "binary_data", "immutable"}
	if kind == manifestResource {
		if unknown["manifest"] == true {
			return []string{"manifest"}
		}
		unknown, _ = unknown["manifest"].(map[string]any)
		fields = []string{"data", "binaryData", "immutable"}
	}
	var keys []string
	for _, field := range fields {
		switch value := unknown[field].(type) {
		case bool:
			if value {
				keys = append(keys, field)
			}
		case map[string]any:
			for _, key := range slices.Sorted(maps.Keys(value)) {
				if value[key] == true {
					keys = append(keys, field+"."+key)
				}
			}
		}
	}
	return keys
}
