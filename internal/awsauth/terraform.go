package awsauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Resource is an aws-auth in the output of terraform show -json. Positions in its objects count within the text of a
// key, because Terraform writes everything on one line.
type Resource struct {
	Address string // such as module.eks.kubernetes_config_map.aws_auth
	// Before is the object that a plan changes or deletes, or nil if there is none. After is the object after the plan,
	// or the object in the state. If the plan deletes the resource, After is the object that remains, or nil if none
	// remains.
	Before, After *Object
	// Replaced reports that the plan replaces the resource: it deletes Before and creates After. In between the cluster
	// has the object Left, or no aws-auth if Left is nil.
	Replaced bool
	Left     *Object
	// Write is the way in which the resource changes an object that exists already.
	Write Write
}

// Write is the way in which a resource changes an object that exists in the cluster and may hold keys of other tools.
type Write int

// The ways to write.
const (
	// Replaces writes the whole data, and so removes the keys that the resource does not set.
	Replaces Write = iota
	// SetsKeys writes the keys that the resource sets, and removes the keys that only its earlier version set. Other
	// keys stay (Kubernetes, "Server-Side Apply").
	SetsKeys
	// Applies writes like kubectl apply.
	Applies
)

// writes maps types of resources to the way in which they write. Other types replace the data
// (terraform-provider-kubernetes v2.38.0, kubernetes/resource_kubernetes_config_map_v1_data.go and
// manifest/provider/apply.go; terraform-provider-kubectl v1.19.0, kubernetes/resource_kubectl_manifest.go).
var writes = map[string]Write{
	configMapDataResource: SetsKeys,
	manifestResource:      SetsKeys,
	kubectlResource:       Applies,
}

// ResourceError is the reason why an aws-auth of Terraform can't be evaluated.
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

// terraformOutput is the output of terraform show -json for a plan or a state (Terraform, "JSON Output
// Format", format versions 0.1 to 1.2; OpenTofu writes the same).
type terraformOutput struct {
	FormatVersion   string            `json:"format_version"`
	PlannedValues   *terraformValues  `json:"planned_values"`
	Values          *terraformValues  `json:"values"` // set for a state
	ResourceChanges []terraformChange `json:"resource_changes"`
	Errored         bool              `json:"errored"` // set if planning failed
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
	Deposed string `json:"deposed"` // the key of an object that an earlier replacement did not delete
	Change  struct {
		Actions      []string        `json:"actions"`
		Before       terraformShape  `json:"before"`
		After        terraformShape  `json:"after"`
		AfterUnknown json.RawMessage `json:"after_unknown"` // a tree like that of the values, with true for each unknown value
	} `json:"change"`
}

// terraformShape holds the values of a resource. They stay raw, because other resource types have values of other types
// under the same names.
type terraformShape map[string]json.RawMessage

// IsTerraform reports whether a text looks like the output of terraform show -json.
func IsTerraform(src []byte) bool {
	src = trimText(src)
	return bytes.HasPrefix(src, []byte("{")) && bytes.Contains(src, []byte(`"format_version"`)) &&
		(bytes.Contains(src, []byte(`"terraform_version"`)) || bytes.Contains(src, []byte(`"planned_values"`)))
}

// trimText removes white space and the byte order mark with which PowerShell begins a file.
func trimText(src []byte) []byte {
	return bytes.TrimSpace(bytes.TrimPrefix(src, []byte("\ufeff")))
}

// NotShown returns an error for a state file of Terraform, and for the log of a run with -json. The error says that the
// user should lint the output of terraform show -json instead. NotShown returns nil for other texts.
func NotShown(src []byte) error {
	src = trimText(src)
	if !bytes.HasPrefix(src, []byte("{")) {
		return nil
	}
	first, _, _ := bytes.Cut(src, []byte("\n"))
	var line struct {
		Level string `json:"@level"`
	}
	if json.Unmarshal(first, &line) == nil && line.Level != "" {
		return errors.New("it is a log of Terraform; write the plan to a file with -out, and lint the output of terraform show -json for it")
	}
	if !bytes.Contains(src, []byte(`"lineage"`)) {
		return nil
	}
	var state struct {
		Version int    `json:"version"`
		Lineage string `json:"lineage"`
	}
	if json.Unmarshal(src, &state) == nil && state.Version > 0 && state.Lineage != "" {
		return errors.New("it is Terraform's state file; lint the output of terraform show -json")
	}
	return nil
}

// ParseTerraform returns the aws-auth objects of a plan or a state, in the root module and its children. The error of a
// text that does not parse, or of a plan that failed, is a plain error. Every other error is a [*ResourceError].
func ParseTerraform(src []byte) ([]Resource, []error) {
	var output terraformOutput
	if err := json.Unmarshal(trimText(src), &output); err != nil {
		return nil, []error{fmt.Errorf("the output of terraform show -json does not parse: %w", err)}
	}
	r := &terraformReader{changes: make(map[string]terraformChange), seen: make(map[string]bool)}
	if output.Errored {
		r.errs = append(r.errs, errors.New("the plan is not complete, because planning has failed (errored: true); repair that and plan again"))
	}
	for _, c := range output.ResourceChanges {
		if c.Deposed == "" {
			r.changes[c.Address] = c
		}
	}
	for _, values := range []*terraformValues{output.PlannedValues, output.Values} {
		if values != nil {
			r.module(values.RootModule)
		}
	}
	for _, c := range output.ResourceChanges { // the user may have removed planned_values from the plan
		if c.Mode == "managed" && c.Deposed == "" && c.Change.After != nil && !r.seen[c.Address] {
			r.planned(terraformResource{c.Address, c.Mode, c.Type, c.Change.After})
		}
	}
	for _, c := range output.ResourceChanges {
		if c.Mode == "managed" && slices.Equal(c.Change.Actions, []string{"delete"}) {
			r.removed(c, r.read(c.Address, c.Type, c.Change.Before))
		}
	}
	return r.resources, r.errs
}

type terraformReader struct {
	changes   map[string]terraformChange // by address
	seen      map[string]bool            // the addresses in the planned values
	resources []Resource
	errs      []error
}

func (r *terraformReader) fail(address, format string, args ...any) {
	r.errs = append(r.errs, &ResourceError{address, fmt.Errorf(format, args...)})
}

func (r *terraformReader) module(m terraformModule) {
	for _, resource := range m.Resources {
		r.seen[resource.Address] = true
		if resource.Mode == "managed" { // a data source describes the current object, not the planned one
			r.planned(resource)
		}
	}
	for _, child := range m.ChildModules {
		r.module(child)
	}
}

// planned adds the planned objects of a resource, each with the object before the change if there is one.
func (r *terraformReader) planned(resource terraformResource) {
	c := r.changes[resource.Address]
	before, replaced := r.changed(c)
	for _, o := range r.read(resource.Address, resource.Type, resource.Values) {
		now := Resource{Address: resource.Address, After: o, Write: writes[resource.Type]}
		if len(before) > 0 {
			now.Before, now.Replaced, before = before[0], replaced, before[1:]
			if replaced {
				now.Left = leftBehind(c.Type)
			}
		}
		if keys := unknownKeys(resource.Type, c.Change.AfterUnknown); len(keys) > 0 {
			r.fail(resource.Address, "%s is known after apply only; lint it then, with terraform show -json | kubectl awsauth lint -", strings.Join(keys, ", "))
			continue
		}
		r.resources = append(r.resources, now)
	}
	r.removed(c, before) // objects that the plan takes out of the resource, for example because it renames them
}

// changed returns the aws-auth objects of a resource before an update or a replacement, and whether the plan replaces
// the resource. It does not report errors in these objects, because the plan did not cause them.
func (r *terraformReader) changed(c terraformChange) (before []*Object, replaced bool) {
	replaced = len(c.Change.Actions) == 2 && slices.Contains(c.Change.Actions, "delete") && slices.Contains(c.Change.Actions, "create")
	if !replaced && !slices.Equal(c.Change.Actions, []string{"update"}) {
		return nil, false
	}
	return new(terraformReader).read(c.Address, c.Type, c.Change.Before), replaced
}

// removed adds the objects that a plan deletes.
func (r *terraformReader) removed(c terraformChange, objects []*Object) {
	for _, o := range objects {
		r.resources = append(r.resources, Resource{Address: c.Address, Before: o, After: leftBehind(c.Type), Write: writes[c.Type]})
	}
}

// leftBehind returns the object that remains after the deletion of a resource, or nil if none remains. The deletion of
// a kubernetes_config_map_v1_data removes only the keys of the resource, so an object remains. leftBehind returns an
// empty object for it.
func leftBehind(kind string) *Object {
	if kind == configMapDataResource {
		return &Object{Data: map[string]string{}}
	}
	return nil
}
