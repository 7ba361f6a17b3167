package rbac

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// kubeSystem is the namespace of aws-auth, and of controllers whose service accounts are admins.
const kubeSystem = awsauth.Namespace

// PathsToAdmin returns the ways in which a subject that is not an admin can become one. Each way is the text of a
// request that the subject may make, such as "bind clusterroles". The ways are:
//
//   - change RBAC beyond the subject's own rights
//   - act as an admin: impersonate one, or create a token of its service account
//   - write aws-auth
//
// The first two come from the Kubernetes documentation, "Role Based Access Control Good Practices". PathsToAdmin ignores
// the other rights on that page, such as those to create pods and to read Secrets, which many users need. withAWSAuth
// tells whether aws-auth has an effect in the cluster. If it is false, writing aws-auth is not among the ways.
func (p *Policy) PathsToAdmin(s Subject, withAWSAuth bool) []string {
	bindings := p.Bindings(s)
	may := func(r Request) bool { _, ok := allows(bindings, r); return ok }
	var list []string
	switch {
	case mayEscalate(bindings, "clusterroles", ""):
		list = append(list, "escalate clusterroles")
	case mayEscalate(bindings, "roles", kubeSystem):
		list = append(list, "escalate roles in "+kubeSystem)
	}
	switch {
	case p.mayBind(bindings, "clusterrolebindings", ""):
		list = append(list, "bind clusterroles")
	case p.mayBind(bindings, "rolebindings", kubeSystem):
		list = append(list, "bind clusterroles in "+kubeSystem)
	}
	for _, kind := range []string{"users", "groups", "serviceaccounts"} {
		if path := p.impersonates(bindings, kind); path != "" {
			list = append(list, path)
		}
	}
	tokens := allowedObjects(bindings, Request{Resource: "serviceaccounts/token", Namespace: kubeSystem}, "create")
	if tokens.all {
		list = append(list, "create serviceaccounts/token in "+kubeSystem)
	} else if name, ok := tokens.first(p.isAdminAccount); ok {
		list = append(list, "create serviceaccounts/"+name+"/token in "+kubeSystem)
	}
	for _, verb := range []string{"update", "patch"} {
		if withAWSAuth && may(Request{Verb: verb, Resource: "configmaps", Name: awsauth.Name, Namespace: kubeSystem}) {
			list = append(list, verb+" configmaps/"+awsauth.Name+" in "+kubeSystem)
		}
	}
	return list
}

// objects is the set of objects for which bindings allow a request. If all is set, it has every object. Otherwise it has
// the objects whose names are mapped to true.
type objects struct {
	all   bool
	names map[string]bool
}

// allowedObjects returns the objects for which bindings allow the request with at least one of the verbs. Its time is
// linear in the number of object names in the rules, because one role can name tens of thousands of objects.
func allowedObjects(bindings []Binding, r Request, verbs ...string) objects {
	o := objects{names: make(map[string]bool)}
	for i := range bindings {
		if !bindings[i].appliesIn(r.Namespace) {
			continue
		}
		for _, rule := range bindings[i].rules {
			if !slices.ContainsFunc(verbs, func(verb string) bool { r.Verb = verb; return r.matchesObjects(rule) }) {
				continue
			}
			o.all = o.all || len(rule.ResourceNames) == 0
			for _, name := range rule.ResourceNames {
				o.names[name] = true
			}
		}
	}
	return o
}

// any reports whether the set has at least one object.
func (o objects) any() bool { return o.all || len(o.names) > 0 }

// meets reports whether at least one object is in both sets.
func (o objects) meets(other objects) bool {
	if o.all || other.all {
		return o.any() && other.any()
	}
	for name := range o.names {
		if other.names[name] {
			return true
		}
	}
	return false
}

// first returns the first name, in alphabetical order, for which a condition holds. It returns false if there is none.
func (o objects) first(holds func(string) bool) (name string, ok bool) {
	for _, name := range slices.Sorted(maps.Keys(o.names)) {
		if holds(name) {
			return name, true
		}
	}
	return "", false
}

// mayEscalate reports whether the bindings let the subject give an existing role rights that the subject doesn't have.
// resource is roles or clusterroles. namespace is the namespace of the role, and "" for a ClusterRole. The subject needs
// the verb escalate, and must be able to change the same role.
func mayEscalate(bindings []Binding, resource, namespace string) bool {
	r := Request{Group: rbacv1.GroupName, Resource: resource, Namespace: namespace}
	return allowedObjects(bindings, r, "escalate").meets(allowedObjects(bindings, r, "update", "patch"))
}

// mayBind reports whether the bindings let the subject create or change a binding to a ClusterRole that allows
// everything. resource is rolebindings or clusterrolebindings. namespace is the namespace of the binding, and "" for a
// ClusterRoleBinding.
func (p *Policy) mayBind(bindings []Binding, resource, namespace string) bool {
	r := Request{Group: rbacv1.GroupName, Resource: resource, Namespace: namespace}
	if !allowedObjects(bindings, r, "create", "update", "patch").any() {
		return false
	}
	r.Resource = "clusterroles"
	bound := allowedObjects(bindings, r, "bind")
	return bound.all || bound.meets(objects{names: p.adminRoles})
}

// impersonates returns a request with which the subject can impersonate an admin, or "" if the bindings allow no such
// request. kind is the resource to impersonate, such as groups. A user or service account counts as an admin only if its
// own name has a binding for everything; impersonates doesn't know the groups of users.
func (p *Policy) impersonates(bindings []Binding, kind string) string {
	request, allowed := impersonate+" "+kind, Request{Resource: kind}
	isAdmin := func(name string) bool { return p.AllowsEverything(Subject{Usernames: []string{name}}) }
	all := request
	switch kind {
	case "groups":
		if !impersonatesAny(bindings) {
			return "" // the API server refuses to impersonate groups without a user
		}
		isAdmin = func(name string) bool { return p.AllowsEverything(Subject{Groups: []string{name}}) }
	case "serviceaccounts":
		allowed.Namespace, all, isAdmin = kubeSystem, request+" in "+kubeSystem, p.isAdminAccount
	}
	objects := allowedObjects(bindings, allowed, impersonate)
	if objects.all {
		return all
	}
	if name, ok := objects.first(isAdmin); ok {
		return request + "/" + name
	}
	return ""
}

// isAdminAccount reports whether a service account in kube-system may make every request for resources. It ignores the
// rights that the groups of the service account give.
func (p *Policy) isAdminAccount(name string) bool {
	return p.AllowsEverything(Subject{Usernames: []string{"system:serviceaccount:" + kubeSystem + ":" + name}})
}

const impersonate = "impersonate"

// impersonatesAny reports whether the bindings let the subject impersonate at least one user or service account.
func impersonatesAny(bindings []Binding) bool {
	user, account := Request{Verb: impersonate, Resource: "users"}, Request{Verb: impersonate, Resource: "serviceaccounts"}
	return slices.ContainsFunc(bindings, func(b Binding) bool {
		return slices.ContainsFunc(b.rules, func(rule rbacv1.PolicyRule) bool {
			return b.Namespace == "" && user.matchesObjects(rule) || account.matchesObjects(rule)
		})
	})
}
