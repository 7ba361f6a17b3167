package awsauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Resource is an aws-auth in the output of terraform show -json. Positions in its objects count
// within the text of a key: Terraform writes everything on one line.
type Resource struct {
	Address string // such as module.eks.kubernetes_config_map.aws_auth
	// Before is what a plan takes away; nil unless it does. After is what the plan or the state
	// gives; nil where nothing is left.
	Before, After *Object
}

// ResourceError is an aws-auth of Terraform that cannot be judged.
type ResourceError struct {
	Address string
	Err     error
}

func (e *ResourceError) Error() string { return e.Address + ": " + e.Err.Error() }

// Unwrap returns the error without its address.
func (e *ResourceError) Unwrap() error { return e.Err }

// The types of resources that can hold an aws-auth, from the providers hashicorp/kubernetes and
// kubectl (gavinbunney, alekc).
const (
	configMapResource     = "kubernetes_config_map"
	configMapV1Resource   = "kubernetes_config_map_v1"
	configMapDataResource = "kubernetes_config_map_v1_data"
	manifestResource      = "kubernetes_manifest"
	kubectlResource       = "kubectl_manifest"
)

// terraformOutput is what terraform show -json writes of a plan or a state (Terraform, "JSON Output
// Format", format versions 0.1 to 1.2; OpenTofu writes the same).
type terraformOutput struct {
	FormatVersion   string            `json:"format_version"`
	PlannedValues   *terraformValues  `json:"planned_values"`
	Values          *terraformValues  `json:"values"` // of a state
	ResourceChanges []terraformChange `json:"resource_changes"`
}

type terraformValues struct {
	RootModule terraformModule `json:"root_module"`
}

type terraformModule struct {
	Resources    []terraformResource `json:"resources"`
	ChildModules []terraformModule   `json:"child_modules"`
}

type terraformResource struct {
	Address string         `json:"address"`
	Mode    string         `json:"mode"`
	Type    string         `json:"type"`
	Values  terraformShape `json:"values"`
}

type terraformChange struct {
	Address string `json:"address"`
	Mode    string `json:"mode"`
	Type    string `json:"type"`
	Change  struct {
		Actions      []string        `json:"actions"`
		Before       terraformShape  `json:"before"`
		AfterUnknown json.RawMessage `json:"after_unknown"` // the tree of the values, true where one is unknown
	} `json:"change"`
}

// terraformShape is the union of what the resources that matter hold. Values are kept raw: other
// types use the same names for other things.
type terraformShape map[string]json.RawMessage

// IsTerraform reports whether a text looks like the output of terraform show -json.
func IsTerraform(src []byte) bool {
	src = bytes.TrimSpace(src)
	return bytes.HasPrefix(src, []byte("{")) && bytes.Contains(src, []byte(`"format_version"`)) &&
		(bytes.Contains(src, []byte(`"terraform_version"`)) || bytes.Contains(src, []byte(`"planned_values"`)))
}

// ParseTerraform finds the aws-auth of a plan or a state in the root module and its children. Each
// error is a [*ResourceError], but where the text does not parse.
func ParseTerraform(src []byte) ([]Resource, []error) {
	var output terraformOutput
	if err := json.Unmarshal(src, &output); err != nil {
		return nil, []error{fmt.Errorf("the output of terraform show -json does not parse: %w", err)}
	}
	r := &terraformReader{unknown: make(map[string]json.RawMessage)}
	for _, c := range output.ResourceChanges {
		r.unknown[c.Address] = c.Change.AfterUnknown
	}
	for _, values := range []*terraformValues{output.PlannedValues, output.Values} {
		if values != nil {
			r.module(values.RootModule)
		}
	}
	for _, c := range output.ResourceChanges {
		if c.Mode == "managed" && slices.Equal(c.Change.Actions, []string{"delete"}) {
			r.removed(c)
		}
	}
	return r.resources, r.errs
}

type terraformReader struct {
	unknown   map[string]json.RawMessage
	resources []Resource
	errs      []error
}

func (r *terraformReader) fail(address, format string, args ...any) {
	r.errs = append(r.errs, &ResourceError{address, fmt.Errorf(format, args...)})
}

func (r *terraformReader) module(m terraformModule) {
	for _, resource := range m.Resources {
		if resource.Mode != "managed" {
			continue // a data source tells what there is, not what will be
		}
		for _, o := range r.read(resource.Address, resource.Type, resource.Values) {
			if keys := unknownKeys(resource.Type, r.unknown[resource.Address]); len(keys) > 0 {
				r.fail(resource.Address, "%s is known after apply only; lint it then, with terraform show -json | kubectl awsauth lint -", strings.Join(keys, ", "))
				continue
			}
			r.resources = append(r.resources, Resource{Address: resource.Address, After: o})
		}
	}
	for _, child := range m.ChildModules {
		r.module(child)
	}
}

// removed adds what a plan deletes. A kubernetes_config_map_v1_data leaves the object behind,
// without the keys that it has set.
func (r *terraformReader) removed(c terraformChange) {
	for _, o := range r.read(c.Address, c.Type, c.Change.Before) {
		gone := Resource{Address: c.Address, Before: o}
		if c.Type == configMapDataResource {
			gone.After = &Object{Data: map[string]string{}}
		}
		r.resources = append(r.resources, gone)
	}
}

// read returns the aws-auth that a resource holds, if any.
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
		o.source = nil
		list = append(list, o)
	}
	return list
}

// kubectl reads the text of a kubectl_manifest. One whose text is unknown is known by its name only.
func (r *terraformReader) kubectl(address string, values terraformShape) []*Object {
	var text, name string
	if values.decode("yaml_body", &text) != nil {
		if values.decode("name", &name) == nil && name == "aws-auth" {
			return []*Object{{}}
		}
		return nil
	}
	if !strings.Contains(text, "aws-auth") {
		return nil
	}
	manifests, errs := ParseManifests([]byte(text))
	for _, err := range errs {
		r.fail(address, "yaml_body:%w", err)
	}
	var list []*Object
	for _, m := range manifests {
		for _, key := range m.Object.source.duplicateKeys() {
			r.fail(address, "yaml_body:%d:%d: the key %q stands twice; keep one of them", key.Line, key.Column, key.Path)
		}
		m.Object.source = nil
		list = append(list, m.Object)
	}
	return list
}

// unknownKeys are the paths of those values of an aws-auth that a plan does not know yet, sorted.
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
