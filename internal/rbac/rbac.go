// Package rbac evaluates Kubernetes RBAC: which roles a subject is bound to, which requests they allow, and whether the subject is an
// admin or can become one.
//
// The package is pure: it takes the objects of RBAC and returns values. It reproduces the authorizer RBAC of kubernetes v1.36.3
// (pkg/registry/rbac/validation/rule.go, pkg/apis/rbac/v1/evaluation_helpers.go), which no module exports. It doesn't know the rights
// that other authorizers give, such as those of nodes and of EKS access policies.
package rbac

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
)

// Objects are the objects of RBAC in a cluster.
type Objects struct {
	ClusterRoles        []rbacv1.ClusterRole
	Roles               []rbacv1.Role
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	RoleBindings        []rbacv1.RoleBinding
}

// Subject is a user. It has several usernames if the name is not certain, such as that of a session. A right of one of them counts.
type Subject struct {
	Usernames []string
	// Groups are all groups, including system:authenticated.
	Groups []string
}

// Binding is a role to which a subject is bound.
type Binding struct {
	// Kind is ClusterRoleBinding or RoleBinding, Name its name.
	Kind, Name string
	// Namespace is the namespace of a RoleBinding, in which it applies. It is empty for a ClusterRoleBinding.
	Namespace string
	// RoleKind is ClusterRole or Role, RoleName its name.
	RoleKind, RoleName string
	// Missing reports that the role does not exist.
	Missing bool

	subjects []rbacv1.Subject
	rules    []rbacv1.PolicyRule
}

// Policy is an index of RBAC objects. It is safe for concurrent use.
type Policy struct {
	bindings []Binding
}

// NewPolicy returns the policy of the objects. Like the API server it uses the rules of an aggregated ClusterRole as they are; see
// [Objects.Aggregate].
func NewPolicy(o Objects) *Policy {
	type key struct{ namespace, name string }
	roles := make(map[key][]rbacv1.PolicyRule)
	for i := range o.ClusterRoles {
		roles[key{"", o.ClusterRoles[i].Name}] = o.ClusterRoles[i].Rules
	}
	for i := range o.Roles {
		roles[key{o.Roles[i].Namespace, o.Roles[i].Name}] = o.Roles[i].Rules
	}
	p := &Policy{}
	add := func(b Binding, ref rbacv1.RoleRef) {
		b.RoleKind, b.RoleName = ref.Kind, ref.Name
		var found bool
		switch {
		case ref.Kind == clusterRole:
			b.rules, found = roles[key{"", ref.Name}]
		case ref.Kind == role && b.Namespace != "":
			b.rules, found = roles[key{b.Namespace, ref.Name}]
		}
		b.Missing = !found
		p.bindings = append(p.bindings, b)
	}
	for i := range o.ClusterRoleBindings {
		b := &o.ClusterRoleBindings[i]
		add(Binding{Kind: "ClusterRoleBinding", Name: b.Name, subjects: b.Subjects}, b.RoleRef)
	}
	for i := range o.RoleBindings {
		b := &o.RoleBindings[i]
		add(Binding{Kind: "RoleBinding", Name: b.Name, Namespace: b.Namespace, subjects: b.Subjects}, b.RoleRef)
	}
	slices.SortStableFunc(p.bindings, func(a, b Binding) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.RoleName, b.RoleName), strings.Compare(a.Name, b.Name))
	})
	return p
}

const (
	clusterRole = "ClusterRole"
	role        = "Role"
)

// Bindings returns the bindings of a subject: those for the whole cluster first, and then those in namespaces.
func (p *Policy) Bindings(s Subject) []Binding {
	var list []Binding
	for _, b := range p.bindings {
		if b.appliesTo(s) {
			list = append(list, b)
		}
	}
	return list
}

// Usernames returns the usernames that bindings name and for which match returns true, sorted and each once.
func (p *Policy) Usernames(match func(string) bool) []string {
	return p.names(rbacv1.UserKind, match)
}

// Groups is like Usernames, for the groups that bindings name.
func (p *Policy) Groups(match func(string) bool) []string { return p.names(rbacv1.GroupKind, match) }

func (p *Policy) names(kind string, match func(string) bool) []string {
	var list []string
	for _, b := range p.bindings {
		for _, s := range b.subjects {
			if s.Kind == kind && match(s.Name) {
				list = append(list, s.Name)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// appliesTo reports whether the binding has the subject.
func (b *Binding) appliesTo(s Subject) bool {
	return slices.ContainsFunc(b.subjects, func(of rbacv1.Subject) bool {
		switch of.Kind {
		case rbacv1.UserKind:
			return slices.Contains(s.Usernames, of.Name)
		case rbacv1.GroupKind:
			return slices.Contains(s.Groups, of.Name)
		case rbacv1.ServiceAccountKind:
			namespace := cmp.Or(of.Namespace, b.Namespace)
			return namespace != "" && slices.Contains(s.Usernames, "system:serviceaccount:"+namespace+":"+of.Name)
		}
		return false
	})
}

// Request is a request for a resource.
type Request struct {
	Verb string
	// Group is the API group; empty for the core group.
	Group string
	// Resource is a resource, or RESOURCE/SUBRESOURCE.
	Resource string
	// Name is empty for a request that names no object.
	Name string
	// Namespace is empty for a request for the whole cluster.
	Namespace string
}

// everything is the request that a subject may make if and only if it may make every request for resources.
var everything = Request{Verb: rbacv1.VerbAll, Group: rbacv1.APIGroupAll, Resource: rbacv1.ResourceAll}

// AllowsEverything reports whether a subject may make every request for resources: it is in system:masters, or a ClusterRoleBinding gives
// it a rule for all verbs, API groups and resources. SubjectAccessReview gives the same answer for the verb * on the resource *.
func (p *Policy) AllowsEverything(s Subject) bool {
	_, ok := p.Allows(s, everything)
	return ok
}

// Allows reports whether a subject may make a request, and the binding that allows it. The binding is the zero Binding for members of
// system:masters, whom the API server allows everything before it asks RBAC (kubernetes v1.36.3, pkg/kubeapiserver/authorizer/config.go).
func (p *Policy) Allows(s Subject, r Request) (Binding, bool) {
	if slices.Contains(s.Groups, access.Masters) {
		return Binding{}, true
	}
	return allows(p.Bindings(s), r)
}

// allows returns the first of the bindings that allows a request.
func allows(bindings []Binding, r Request) (Binding, bool) {
	for _, b := range bindings {
		if (b.Namespace == "" || b.Namespace == r.Namespace) && slices.ContainsFunc(b.rules, r.matches) {
			return b, true
		}
	}
	return Binding{}, false
}

// matches reports whether a rule allows the request.
func (r Request) matches(rule rbacv1.PolicyRule) bool {
	return has(rule.Verbs, r.Verb) && has(rule.APIGroups, r.Group) && r.matchesResource(rule.Resources) &&
		(len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

// has reports whether a list has a value or the value for all.
func has(list []string, value string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, value)
}

func (r Request) matchesResource(list []string) bool {
	if has(list, r.Resource) {
		return true
	}
	_, sub, ok := strings.Cut(r.Resource, "/")
	return ok && sub != "" && slices.Contains(list, "*/"+sub)
}
