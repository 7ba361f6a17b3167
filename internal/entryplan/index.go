package entryplan

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// index is a plan with tables for the data that several rules look up.
type index struct {
	*Plan

	policy Policy
	// adminGroups are the admin groups that EKS accepts in an access entry.
	adminGroups []string
	// before has the access entries that exist before the plan, and after has those that exist after it. The keys are
	// clusters and principals.
	before, after map[key][]*Resource[Entry]
	// withEntry is the set of principals that have an access entry after the plan. The keys are results of [awsauth.PrincipalKey].
	withEntry map[string]bool
	// unknownPrincipal reports whether an access entry after the plan has an unknown principal.
	unknownPrincipal bool
	// accounts maps the name of a cluster to its account.
	accounts map[string]string
	// clusters maps the name of a cluster to its resource.
	clusters  map[string]*Resource[Cluster]
	undecided undecided
}

// key identifies an access entry, because EKS has at most one access entry for each cluster and principal.
type key struct{ cluster, principal string }

func newIndex(plan *Plan, policy Policy) *index {
	groups := slices.DeleteFunc(slices.Clone(policy.AdminGroups), func(g string) bool { return access.ReservedPrefix(g) != "" })
	x := &index{
		Plan: plan, policy: policy, adminGroups: groups, before: make(map[key][]*Resource[Entry]), after: make(map[key][]*Resource[Entry]),
		withEntry: make(map[string]bool), accounts: make(map[string]string), clusters: make(map[string]*Resource[Cluster]),
	}
	for i := range plan.Entries {
		r := &plan.Entries[i]
		x.add(x.before, r, r.Before)
		x.add(x.after, r, r.After)
		if r.After != nil {
			x.unknownPrincipal = x.unknownPrincipal || r.After.Principal.Unknown
			x.withEntry[awsauth.PrincipalKey(r.After.Principal.Value)] = true
		}
	}
	for _, arn := range policy.AccessEntries {
		x.withEntry[awsauth.PrincipalKey(arn)] = true
	}
	for i := range plan.Clusters {
		r := &plan.Clusters[i]
		for _, c := range []*Cluster{r.Before, r.After} {
			if c == nil || !c.Name.known() {
				continue
			}
			x.clusters[c.Name.Value] = r
			if c.Account != "" {
				x.accounts[c.Name.Value] = c.Account
			}
		}
	}
	x.undecided = x.findUndecided()
	return x
}

func (x *index) add(to map[key][]*Resource[Entry], r *Resource[Entry], e *Entry) {
	if e == nil {
		return
	}
	if e.Account != "" && e.Cluster.known() {
		x.accounts[e.Cluster.Value] = e.Account
	}
	if e.Principal.known() && e.Cluster.known() {
		k := key{e.Cluster.Value, e.Principal.Value}
		to[k] = append(to[k], r)
	}
}

// admin is a principal that is an admin of a cluster, with the resources that make it an admin.
type admin struct {
	principal    string
	associations []*Resource[Association] // the associations that give all rights
	entries      []*Resource[Entry]       // the access entries of the principal
}

// admins returns the admins of each cluster, by the cluster's name, in the order of the plan. The parameters choose the
// time, which is before or after the plan: association and entry return a resource as it is at that time, or nil if it
// doesn't exist then. entries has the access entries at that time.
func (x *index) admins(
	association func(*Resource[Association]) *Association, entry func(*Resource[Entry]) *Entry, entries map[key][]*Resource[Entry],
) map[string][]*admin {
	found := make(map[string][]*admin)
	byKey := make(map[key]*admin)
	get := func(k key) *admin {
		if byKey[k] == nil {
			byKey[k] = &admin{principal: k.principal, entries: entries[k]}
			found[k.cluster] = append(found[k.cluster], byKey[k])
		}
		return byKey[k]
	}
	for i := range x.Associations {
		r := &x.Associations[i]
		if a := association(r); a != nil && a.givesAdmin() {
			admin := get(key{a.Cluster.Value, a.Principal.Value})
			admin.associations = append(admin.associations, r)
		}
	}
	for i := range x.Entries {
		e := entry(&x.Entries[i])
		if e == nil || !e.Principal.known() || !e.Cluster.known() {
			continue
		}
		if slices.ContainsFunc(e.Groups, func(g Text) bool { return g.known() && slices.Contains(x.adminGroups, g.Value) }) {
			get(key{e.Cluster.Value, e.Principal.Value})
		}
	}
	return found
}

// adminsBefore returns the admins of each cluster before the plan.
func (x *index) adminsBefore() map[string][]*admin {
	return x.admins(func(r *Resource[Association]) *Association { return r.Before }, func(r *Resource[Entry]) *Entry { return r.Before }, x.before)
}

// adminsAfter returns the admins of each cluster after the plan. If the plan deletes an access entry and doesn't create it again,
// adminsAfter ignores its associations, because EKS deletes them together with the access entry.
func (x *index) adminsAfter() map[string][]*admin {
	return x.admins(func(r *Resource[Association]) *Association {
		if r.After == nil {
			return nil
		}
		k := key{r.After.Cluster.Value, r.After.Principal.Value}
		if len(x.before[k]) > 0 && len(x.after[k]) == 0 {
			return nil
		}
		return r.After
	}, func(r *Resource[Entry]) *Entry { return r.After }, x.after)
}

// undecided says which clusters may have an admin after the plan because of a resource with unknown values.
type undecided struct {
	byName map[string]bool // clusters with such a resource, by name
	// every is set if a resource gives or may give all rights. any is set if the cluster of such a resource is unknown.
	any, every bool
}

func (x *index) findUndecided() undecided {
	u := undecided{byName: make(map[string]bool)}
	add := func(cluster Text, sure bool) {
		u.every = true
		u.any = u.any || cluster.Unknown
		if !sure {
			u.byName[cluster.Value] = true
		}
	}
	for i := range x.Associations {
		if a := x.Associations[i].After; a != nil && a.mayGiveAdmin() {
			add(a.Cluster, a.givesAdmin())
		}
	}
	for i := range x.Entries {
		e := x.Entries[i].After
		if e == nil || len(x.adminGroups) == 0 {
			continue
		}
		has := slices.ContainsFunc(e.Groups, func(g Text) bool { return slices.Contains(x.adminGroups, g.Value) })
		unknown := e.GroupsUnknown || slices.ContainsFunc(e.Groups, func(g Text) bool { return g.Unknown })
		if has || unknown {
			add(e.Cluster, has && e.Principal.known())
		}
	}
	return u
}

// mayHaveAdmin reports whether the cluster may have an admin after the plan because of unknown values. If the name of the cluster is
// unknown, for example because a template has a reference, each resource that gives all rights may belong to the cluster.
func (x *index) mayHaveAdmin(cluster Text) bool {
	return x.undecided.any || x.undecided.byName[cluster.Value] || cluster.Unknown && x.undecided.every
}
