package entryplan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// terraformOutput is the output of terraform show -json for a plan or a state (Terraform, "JSON Output Format").
type terraformOutput struct {
	PriorState struct {
		Values terraformValues `json:"values"`
	} `json:"prior_state"`
	PlannedValues   terraformValues   `json:"planned_values"`
	Values          terraformValues   `json:"values"`
	ResourceChanges []terraformChange `json:"resource_changes"`
}

type terraformValues struct {
	RootModule terraformModule `json:"root_module"`
}

type terraformModule struct {
	Resources []struct {
		terraformName

		Values json.RawMessage `json:"values"`
	} `json:"resources"`
	ChildModules []terraformModule `json:"child_modules"`
}

type terraformName struct {
	Address string `json:"address"`
	Mode    string `json:"mode"`
	Type    string `json:"type"`
}

type terraformChange struct {
	terraformName

	Deposed string `json:"deposed"` // set for an old object that an earlier replacement of the resource did not delete
	Change  struct {
		Actions      []string        `json:"actions"`
		Before       json.RawMessage `json:"before"`
		After        json.RawMessage `json:"after"`
		AfterUnknown json.RawMessage `json:"after_unknown"` // has the structure of After, with true for each unknown value
		ReplacePaths [][]any         `json:"replace_paths"`
	} `json:"change"`
}

// The types of Terraform resources (terraform-provider-aws v6, internal/service/eks).
const (
	terraformEntry       = "aws_eks_access_entry"
	terraformAssociation = "aws_eks_access_policy_association"
	terraformCluster     = "aws_eks_cluster"
	terraformNodeGroup   = "aws_eks_node_group"
	terraformFargate     = "aws_eks_fargate_profile"
)

// readTerraform reads the output of terraform show -json. A resource of the state that is not in the plan counts as unchanged.
// readTerraform returns nil if the output is not JSON.
func readTerraform(src []byte) *Plan {
	var output terraformOutput
	if json.Unmarshal(bytes.TrimSpace(bytes.TrimPrefix(src, []byte("\ufeff"))), &output) != nil {
		return nil // package extract reports this fault
	}
	p := new(Plan)
	seen := make(map[string]bool)
	for i := range output.ResourceChanges {
		c := &output.ResourceChanges[i]
		if c.Mode != "managed" || c.Deposed != "" {
			continue
		}
		seen[c.Address] = true
		p.change(c)
	}
	for _, values := range []terraformValues{output.PriorState.Values, output.PlannedValues, output.Values} {
		p.module(values.RootModule, seen)
	}
	return p
}

// module adds the resources of a module and of its child modules to the plan, as unchanged resources. It skips resources whose addresses
// are in seen.
func (p *Plan) module(m terraformModule, seen map[string]bool) {
	for _, r := range m.Resources {
		if r.Mode != "managed" || seen[r.Address] {
			continue
		}
		seen[r.Address] = true
		c := terraformChange{terraformName: r.terraformName}
		c.Change.Actions, c.Change.Before, c.Change.After = []string{"no-op"}, r.Values, r.Values
		p.change(&c)
	}
	for _, child := range m.ChildModules {
		p.module(child, seen)
	}
}

// change adds the resource of a Terraform change to the plan. It ignores types of resources that no rule needs.
func (p *Plan) change(c *terraformChange) {
	switch c.Type {
	case terraformEntry:
		p.Entries = append(p.Entries, resource(c, entryOf, map[string]string{fieldPrincipal: "principal_arn", fieldType: "type", fieldUsername: "user_name"}))
		r := &p.Entries[len(p.Entries)-1]
		if r.After != nil {
			for n := range r.After.Groups {
				r.Places[groupField(n)] = awsauth.Position{Path: fmt.Sprintf("kubernetes_groups[%d]", n)}
			}
		}
	case terraformAssociation:
		p.Associations = append(p.Associations, resource(c, associationOf, map[string]string{fieldPrincipal: "principal_arn", fieldPolicy: "policy_arn"}))
	case terraformCluster:
		p.Clusters = append(p.Clusters, resource(c, clusterOf, map[string]string{fieldMode: "access_config[0].authentication_mode", fieldBootstrap: "access_config[0].bootstrap_cluster_creator_admin_permissions"}))
	case terraformNodeGroup, terraformFargate:
		name := "node_role_arn"
		if c.Type == terraformFargate {
			name = "pod_execution_role_arn"
		}
		if after := valueOf(c.Change.After, c.Change.AfterUnknown); after.known != nil {
			p.NodeRoles = append(p.NodeRoles, after.key(name).text())
		}
	}
}

// resource converts a Terraform change into a Resource. read reads the fields of the resource, and names has the Terraform name of each
// field with a place. For the action forget, After equals Before: Terraform removes the resource from its state, but EKS keeps the
// resource.
func resource[T any](c *terraformChange, read func(value) *T, names map[string]string) Resource[T] {
	r := Resource[T]{Address: c.Address, Places: make(map[string]awsauth.Position)}
	for field, name := range names {
		r.Places[field] = awsauth.Position{Path: name}
	}
	actions := c.Change.Actions
	if before := valueOf(c.Change.Before, nil); before.known != nil {
		r.Before = read(before)
	}
	switch after := valueOf(c.Change.After, c.Change.AfterUnknown); {
	case slices.Contains(actions, "no-op"), slices.Contains(actions, "forget"):
		r.After = r.Before
	case after.known != nil:
		r.After = read(after)
	}
	r.Replaced = r.Before != nil && r.After != nil && slices.Contains(actions, "create") && slices.Contains(actions, "delete")
	for _, path := range c.Change.ReplacePaths {
		if len(path) > 0 {
			r.ReplacedFor = append(r.ReplacedFor, fmt.Sprint(path[0]))
		}
	}
	return r
}

// value is a value in a Terraform resource. unknown has the same structure as known, with true in place of each unknown part.
type value struct{ known, unknown any }

func valueOf(known, unknown json.RawMessage) value {
	var v value
	if json.Unmarshal(known, &v.known) != nil {
		return value{}
	}
	if len(unknown) > 0 && json.Unmarshal(unknown, &v.unknown) != nil {
		v.unknown = true
	}
	return v
}

func (v value) key(name string) value {
	if v.unknown == true {
		return value{unknown: true}
	}
	known, _ := v.known.(map[string]any)
	unknown, _ := v.unknown.(map[string]any)
	return value{known[name], unknown[name]}
}

// items returns the elements of a list. more reports whether the list is unknown. An unknown list may have other elements.
func (v value) items() (list []value, more bool) {
	known, _ := v.known.([]any)
	unknown, _ := v.unknown.([]any)
	for i := range max(len(known), len(unknown)) {
		var item value
		if i < len(known) {
			item.known = known[i]
		}
		if i < len(unknown) {
			item.unknown = unknown[i]
		}
		list = append(list, item)
	}
	return list, v.unknown == true
}

// block returns the first block with this name, such as access_config. If there is no block but the list of blocks is unknown, the block
// is unknown.
func (v value) block(name string) value {
	list, more := v.key(name).items()
	if len(list) == 0 {
		return value{unknown: more}
	}
	return list[0]
}

func (v value) text() Text {
	if v.unknown == true {
		return Text{Unknown: true}
	}
	switch known := v.known.(type) {
	case string:
		return Text{Value: known}
	case bool:
		return Text{Value: strconv.FormatBool(known)}
	}
	return Text{}
}

// accountInARN matches an EKS ARN and captures the account.
var accountInARN = regexp.MustCompile(`^arn:[\w-]+:eks:[\w-]+:(\d{12}):`)

func (v value) account() string {
	if m := accountInARN.FindStringSubmatch(v.text().Value); m != nil {
		return m[1]
	}
	return ""
}

func entryOf(v value) *Entry {
	e := &Entry{
		Cluster: v.key("cluster_name").text(), Principal: v.key("principal_arn").text(), Type: v.key("type").text(),
		Username: v.key("user_name").text(), Account: v.key("access_entry_arn").account(),
	}
	var groups []value
	groups, e.GroupsUnknown = v.key("kubernetes_groups").items()
	for _, group := range groups {
		e.Groups = append(e.Groups, group.text())
	}
	return e
}

func associationOf(v value) *Association {
	return &Association{
		Cluster: v.key("cluster_name").text(), Principal: v.key("principal_arn").text(), Policy: v.key("policy_arn").text(),
		Scope: v.block("access_scope").key("type").text(),
	}
}

func clusterOf(v value) *Cluster {
	config := v.block("access_config")
	return &Cluster{
		Name: v.key("name").text(), Mode: config.key("authentication_mode").text(),
		Bootstrap: config.key("bootstrap_cluster_creator_admin_permissions").text(), Account: v.key("arn").account(),
	}
}
