package rbac

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// kubeSystem is the namespace of aws-auth, and of controllers whose service accounts are admins.
const kubeSystem = awsauth.Namespace

// PathsToAdmin returns the ways in which a subject who is no admin can become one by itself, each as the request that it may make. They
// are those of the Kubernetes documentation, "Role Based Access Control Good Practices", that need no other program: to change RBAC
// beyond the subject's own rights, to act as an admin, and to write aws-auth. The list doesn't include the rights to create pods and to
// read Secrets, which many users need.
func (p *Policy) PathsToAdmin(s Subject) []string {
	bindings := p.Bindings(s)
	may := func(r Request) bool { _, ok := allows(bindings, r); return ok }
	var list []string
	if p.mayEscalate(bindings) {
		list = append(list, "escalate clusterroles")
	}
	if p.mayBind(bindings) {
		list = append(list, "bind clusterroles")
	}
	for _, kind := range []string{"users", "groups", "serviceaccounts"} {
		if path := p.impersonates(bindings, kind); path != "" {
			list = append(list, path)
		}
	}
	if may(Request{Verb: "create", Resource: "serviceaccounts/token", Namespace: kubeSystem}) {
		list = append(list, "create serviceaccounts/token in "+kubeSystem)
	}
	for _, verb := range []string{"update", "patch"} {
		if may(Request{Verb: verb, Resource: "configmaps", Name: awsauth.Name, Namespace: kubeSystem}) {
			list = append(list, verb+" configmaps/"+awsauth.Name+" in "+kubeSystem)
		}
	}
	return list
}

// names returns the names to try for requests for a resource: none, which stands for all objects, and the names to which the rules for it
// are restricted.
func names(bindings []Binding, resource string) []string {
	list := []string{""}
	for _, b := range bindings {
		for _, rule := range b.rules {
			if (Request{Resource: resource}).matchesResource(rule.Resources) {
				list = append(list, rule.ResourceNames...)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// mayEscalate reports whether the bindings allow to give a ClusterRole rights that the subject doesn't have. The verb escalate alone
// changes no role.
func (p *Policy) mayEscalate(bindings []Binding) bool {
	r := Request{Group: rbacv1.GroupName, Resource: "clusterroles"}
	return slices.ContainsFunc(names(bindings, r.Resource), func(name string) bool {
		r.Name = name
		return allowsVerb(bindings, r, "escalate") && (allowsVerb(bindings, r, "update") || allowsVerb(bindings, r, "patch"))
	})
}

// mayBind reports whether the bindings allow to bind a ClusterRole that allows everything.
func (p *Policy) mayBind(bindings []Binding) bool {
	write := Request{Group: rbacv1.GroupName, Resource: "clusterrolebindings"}
	if !slices.ContainsFunc(names(bindings, write.Resource), func(name string) bool {
		write.Name = name
		return allowsVerb(bindings, write, "create") || allowsVerb(bindings, write, "update") || allowsVerb(bindings, write, "patch")
	}) {
		return false
	}
	bind := Request{Verb: "bind", Group: rbacv1.GroupName, Resource: "clusterroles"}
	return slices.ContainsFunc(names(bindings, bind.Resource), func(name string) bool {
		bind.Name = name
		_, ok := allows(bindings, bind)
		return ok && (name == "" || p.everythingRole(name))
	})
}

// everythingRole reports whether the policy has a binding of a ClusterRole that allows everything. Every cluster binds cluster-admin.
func (p *Policy) everythingRole(name string) bool {
	return slices.ContainsFunc(p.bindings, func(b Binding) bool {
		return b.RoleKind == clusterRole && b.RoleName == name && slices.ContainsFunc(b.rules, everything.matches)
	})
}

// impersonates returns the request by which the bindings allow to impersonate an admin, or "".
func (p *Policy) impersonates(bindings []Binding, kind string) string {
	r := Request{Verb: "impersonate", Resource: kind}
	switch {
	case kind == "serviceaccounts":
		r.Namespace = kubeSystem
	case kind == "groups" && !impersonatesAny(bindings):
		return "" // the API server refuses groups without a user
	}
	for _, name := range names(bindings, kind) {
		r.Name = name
		if _, ok := allows(bindings, r); !ok {
			continue
		}
		switch {
		case name == "" && kind == "serviceaccounts":
			return "impersonate serviceaccounts in " + kubeSystem
		case name == "":
			return "impersonate " + kind
		case kind == "groups" && (name == access.Masters || p.AllowsEverything(Subject{Groups: []string{name}})),
			kind == "users" && p.AllowsEverything(Subject{Usernames: []string{name}}),
			kind == "serviceaccounts" && p.AllowsEverything(Subject{Usernames: []string{"system:serviceaccount:" + kubeSystem + ":" + name}}):
			return "impersonate " + kind + "/" + name
		}
	}
	return ""
}

// impersonatesAny reports whether the bindings allow to impersonate any user or service account.
func impersonatesAny(bindings []Binding) bool {
	may := func(resource, namespace string) bool {
		return slices.ContainsFunc(names(bindings, resource), func(name string) bool {
			return allowsVerb(bindings, Request{Resource: resource, Name: name, Namespace: namespace}, "impersonate")
		})
	}
	return may("users", "") || slices.ContainsFunc(bindings, func(b Binding) bool { return may("serviceaccounts", b.Namespace) })
}

// allowsVerb reports whether the bindings allow a request with a verb.
func allowsVerb(bindings []Binding, r Request, verb string) bool {
	r.Verb = verb
	_, ok := allows(bindings, r)
	return ok
}
