// Package rbac evaluates Kubernetes RBAC: which roles a subject is bound to, which requests they allow, and whether the
// subject is an admin or can become one.
//
// The package is pure: it takes the objects of RBAC and returns values. It reproduces the RBAC authorizer of kubernetes
// v1.36.3 (pkg/registry/rbac/validation/rule.go, pkg/apis/rbac/v1/evaluation_helpers.go), because none of the modules
// that Kubernetes publishes for other programs has this authorizer. It doesn't know the rights that other authorizers
// give, such as those of nodes and of EKS access policies.
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

// Subject is a user. If the username is not certain, as for an unknown session, the subject has several usernames. The
// subject has a right if at least one of its usernames or groups has the right.
type Subject struct {
	Usernames []string
	// Groups are all groups, including system:authenticated.
	Groups []string
}

// Binding is the binding of a subject to a role.
type Binding struct {
	// Kind is ClusterRoleBinding or RoleBinding. Name is the name of the binding.
	Kind, Name string
	// Namespace is the namespace in which a RoleBinding applies. It is empty for a ClusterRoleBinding.
	Namespace string
	// RoleKind is ClusterRole or Role. RoleName is the name of the role.
	RoleKind, RoleName string
	// Missing reports that the role does not exist.
	Missing bool

	rules []rbacv1.PolicyRule
}

// appliesIn reports whether the binding applies in a namespace. An empty namespace stands for the whole cluster.
func (b *Binding) appliesIn(namespace string) bool {
	return b.Namespace == "" || b.Namespace == namespace
}

// Policy is an index of RBAC objects. It is safe for concurrent use.
type Policy struct {
	bindings []Binding
	// byUser and byGroup map a username or group to the indexes of its bindings, in ascending order.
	byUser, byGroup map[string][]int
	// adminRoles tells for each ClusterRole whether it allows everything.
	adminRoles map[string]bool
}

// NewPolicy returns the policy of the objects. It uses the rules of an aggregated ClusterRole as they are, like the API
// server; see [Objects.Aggregate].
func NewPolicy(o Objects) *Policy {
	type key struct{ namespace, name string }
	roles := make(map[key][]rbacv1.PolicyRule)
	p := &Policy{byUser: make(map[string][]int), byGroup: make(map[string][]int), adminRoles: make(map[string]bool)}
	for i := range o.ClusterRoles {
		r := &o.ClusterRoles[i]
		roles[key{"", r.Name}] = r.Rules
		p.adminRoles[r.Name] = slices.ContainsFunc(r.Rules, everything.matches)
	}
	for i := range o.Roles {
		roles[key{o.Roles[i].Namespace, o.Roles[i].Name}] = o.Roles[i].Rules
	}
	var subjects [][]rbacv1.Subject
	add := func(b Binding, ref rbacv1.RoleRef, of []rbacv1.Subject) {
		b.RoleKind, b.RoleName = ref.Kind, ref.Name
		var found bool
		switch {
		case ref.Kind == clusterRole:
			b.rules, found = roles[key{"", ref.Name}]
		case ref.Kind == role && b.Namespace != "":
			b.rules, found = roles[key{b.Namespace, ref.Name}]
		}
		b.Missing = !found
		p.bindings, subjects = append(p.bindings, b), append(subjects, of)
	}
	for i := range o.ClusterRoleBindings {
		b := &o.ClusterRoleBindings[i]
		add(Binding{Kind: "ClusterRoleBinding", Name: b.Name}, b.RoleRef, b.Subjects)
	}
	for i := range o.RoleBindings {
		b := &o.RoleBindings[i]
		add(Binding{Kind: "RoleBinding", Name: b.Name, Namespace: b.Namespace}, b.RoleRef, b.Subjects)
	}
	order := make([]int, len(p.bindings))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &p.bindings[i], &p.bindings[j]
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.RoleName, b.RoleName), strings.Compare(a.Name, b.Name))
	})
	sorted := make([]Binding, len(order))
	for n, i := range order {
		sorted[n] = p.bindings[i]
		p.index(n, sorted[n].Namespace, subjects[i])
	}
	p.bindings = sorted
	return p
}

// index records a binding under each of its subjects. binding is an index in p.bindings, and namespace is the namespace
// of the binding. A ServiceAccount that names no namespace belongs to this namespace. In a ClusterRoleBinding there is
// none, so index ignores such a ServiceAccount.
func (p *Policy) index(binding int, namespace string, subjects []rbacv1.Subject) {
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			p.byUser[s.Name] = append(p.byUser[s.Name], binding)
		case rbacv1.GroupKind:
			p.byGroup[s.Name] = append(p.byGroup[s.Name], binding)
		case rbacv1.ServiceAccountKind:
			if of := cmp.Or(s.Namespace, namespace); of != "" {
				name := "system:serviceaccount:" + of + ":" + s.Name
				p.byUser[name] = append(p.byUser[name], binding)
			}
		}
	}
}

const (
	clusterRole = "ClusterRole"
	role        = "Role"
)

// Bindings returns the bindings of a subject. First come the bindings for the whole cluster, and then those in
// namespaces.
func (p *Policy) Bindings(s Subject) []Binding {
	var indexes []int
	for _, name := range s.Usernames {
		indexes = append(indexes, p.byUser[name]...)
	}
	for _, name := range s.Groups {
		indexes = append(indexes, p.byGroup[name]...)
	}
	slices.Sort(indexes)
	var list []Binding
	for _, i := range slices.Compact(indexes) {
		list = append(list, p.bindings[i])
	}
	return list
}

// MissingRole returns the first binding whose role does not exist. It returns false if every role exists.
func (p *Policy) MissingRole() (Binding, bool) {
	i := slices.IndexFunc(p.bindings, func(b Binding) bool { return b.Missing })
	if i < 0 {
		return Binding{}, false
	}
	return p.bindings[i], true
}

// Usernames returns the sorted usernames that bindings name and for which match returns true. The usernames of service
// accounts count, too.
func (p *Policy) Usernames(match func(string) bool) []string { return matching(p.byUser, match) }

// Groups returns the sorted groups that bindings name and for which match returns true.
func (p *Policy) Groups(match func(string) bool) []string { return matching(p.byGroup, match) }

func matching(index map[string][]int, match func(string) bool) []string {
	var list []string
	for name := range index {
		if match(name) {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}

// Request is a request for a resource.
type Request struct {
	Verb string
	// Group is the API group. It is empty for the core group.
	Group string
	// Resource is a resource, or RESOURCE/SUBRESOURCE.
	Resource string
	// Name is empty for a request that names no object.
	Name string
	// Namespace is empty for a request for the whole cluster.
	Namespace string
}

// everything is the request that a rule allows if and only if the rule allows every request for resources.
var everything = Request{Verb: rbacv1.VerbAll, Group: rbacv1.APIGroupAll, Resource: rbacv1.ResourceAll}

// AllowsEverything reports whether a subject may make every request for resources. This is so if the subject is in
// system:masters, or if a ClusterRoleBinding gives the subject a rule for all verbs, API groups and resources.
// SubjectAccessReview gives the same answer for the verb * on the resource *.
func (p *Policy) AllowsEverything(s Subject) bool {
	_, ok := p.Allows(s, everything)
	return ok
}

// Allows reports whether a subject may make a request, and returns the first binding that allows the request. For
// members of system:masters it returns the zero Binding, because the API server allows them everything before it asks
// RBAC (kubernetes v1.36.3, pkg/kubeapiserver/authorizer/config.go).
func (p *Policy) Allows(s Subject, r Request) (Binding, bool) {
	if slices.Contains(s.Groups, access.Masters) {
		return Binding{}, true
	}
	return allows(p.Bindings(s), r)
}

// allows returns the first of the bindings that allows a request. It returns false if there is none.
func allows(bindings []Binding, r Request) (Binding, bool) {
	for _, b := range bindings {
		if b.appliesIn(r.Namespace) && slices.ContainsFunc(b.rules, r.matches) {
			return b, true
		}
	}
	return Binding{}, false
}

// matches reports whether a rule allows the request.
func (r Request) matches(rule rbacv1.PolicyRule) bool {
	return r.matchesObjects(rule) && (len(rule.ResourceNames) == 0 || slices.Contains(rule.ResourceNames, r.Name))
}

// matchesObjects reports whether a rule allows the request for at least one object. It ignores the name in the request.
func (r Request) matchesObjects(rule rbacv1.PolicyRule) bool {
	return has(rule.Verbs, r.Verb) && has(rule.APIGroups, r.Group) && r.matchesResource(rule.Resources)
}

// has reports whether a list contains a value or the wildcard *.
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
