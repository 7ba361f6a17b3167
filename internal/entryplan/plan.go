// Package entryplan holds the rules for infrastructure code that changes EKS access entries, their access policies, or the authentication
// mode of a cluster.
//
// The package is pure: it takes the text of a Terraform plan or of a CloudFormation template, and returns findings. Terraform and
// CloudFormation compute some values only when they apply the plan or template. Such a value is unknown, and no rule reports a fault of
// an unknown value.
package entryplan

import (
	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Text is a text or boolean of a plan. If it is unknown, Value is empty. A missing text also has an empty Value.
type Text struct {
	Value   string
	Unknown bool
}

// is reports whether the text is known and equals value.
func (t Text) is(value string) bool { return !t.Unknown && t.Value == value }

// mayBe reports whether the text equals value or is unknown.
func (t Text) mayBe(value string) bool { return t.Unknown || t.Value == value }

// known reports whether the text is known and not empty.
func (t Text) known() bool { return !t.Unknown && t.Value != "" }

// The names of fields in [Resource.Places]. The name of a group's field is the result of [groupField].
const (
	fieldPrincipal = "principal"
	fieldType      = "type"
	fieldUsername  = "username"
	fieldPolicy    = "policy"
	fieldScope     = "scope"
	fieldMode      = "mode"
	fieldBootstrap = "bootstrap"
)

// Entry is an access entry. An empty Type means STANDARD.
type Entry struct {
	Cluster, Principal, Type, Username Text
	Groups                             []Text
	// GroupsUnknown reports whether the access entry may have groups that Groups doesn't list.
	GroupsUnknown bool
	// Account is the account of the cluster according to the ARN of the access entry. It is empty if the ARN is unknown.
	Account string
}

// isNode reports whether the access entry is certainly for nodes.
func (e *Entry) isNode() bool { return isNodeType(e.Type) }

func isNodeType(t Text) bool { return (&access.AccessEntry{Type: t.Value}).IsNode() }

// Association associates an access policy with an access entry.
type Association struct {
	Cluster, Principal, Policy, Scope Text
	// EntryType is the type of the access entry in a template, which declares associations within the access entry. It is empty for
	// Terraform.
	EntryType Text
}

// policyName returns the last part of the policy's ARN.
func (a *Association) policyName() string { return access.AccessPolicy{ARN: a.Policy.Value}.Name() }

// givesAdmin reports whether the association certainly gives all rights in the whole cluster.
func (a *Association) givesAdmin() bool {
	return a.Principal.known() && a.Cluster.known() && a.policyName() == access.ClusterAdminPolicy && a.Scope.is(access.ScopeCluster)
}

// mayGiveAdmin reports whether the association gives all rights in the whole cluster, or may give them because values are unknown.
func (a *Association) mayGiveAdmin() bool {
	return (a.Policy.Unknown || a.policyName() == access.ClusterAdminPolicy) && a.Scope.mayBe(access.ScopeCluster)
}

// Cluster is an EKS cluster. Bootstrap is "true" if EKS creates an access entry with all rights for the principal that creates the
// cluster.
type Cluster struct {
	Name, Mode, Bootstrap Text
	// Account is the account of the cluster according to its ARN. It is empty if the ARN is unknown.
	Account string
}

// Resource is a resource before and after the plan. Before is nil if the plan creates the resource. Before is also nil for a template,
// because a template doesn't contain the present resources. After is nil if the plan deletes the resource.
type Resource[T any] struct {
	// Address is the address of a Terraform resource. It is empty for a template.
	Address       string
	Before, After *T
	// Replaced reports whether the plan deletes the resource and creates it again.
	Replaced bool
	// ReplacedFor names the attributes whose change makes Terraform replace the resource, such as access_config. It is empty if Terraform
	// doesn't name these attributes.
	ReplacedFor []string
	// Places maps the name of a field to its position. The name "" stands for the resource itself.
	Places map[string]awsauth.Position
}

// at returns the position of a field, or the position of the resource if the field has none.
func (r *Resource[T]) at(field string) awsauth.Position {
	if p, ok := r.Places[field]; ok {
		return p
	}
	return r.Places[""]
}

// made reports whether the plan creates the resource or replaces it.
func (r *Resource[T]) made() bool { return r.After != nil && (r.Before == nil || r.Replaced) }

// removed reports whether the plan deletes the resource or replaces it.
func (r *Resource[T]) removed() bool { return r.Before != nil && (r.After == nil || r.Replaced) }

// Plan is a Terraform plan or a CloudFormation template.
type Plan struct {
	Entries      []Resource[Entry]
	Associations []Resource[Association]
	Clusters     []Resource[Cluster]
	// NodeRoles are the roles of managed node groups and Fargate profiles. EKS creates access entries for these roles.
	NodeRoles []Text
	// Mapped are the principals that aws-auth maps after the plan. If the plan deletes aws-auth, Mapped are the principals that aws-auth
	// maps before the plan.
	Mapped []awsauth.Principal
}

// Len returns the number of resources to which the rules apply.
func (p *Plan) Len() int {
	if p == nil {
		return 0
	}
	return len(p.Entries) + len(p.Associations) + len(p.Clusters)
}
