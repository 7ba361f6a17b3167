package entryplan

import (
	"cmp"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

var policyType = &Rule{
	ID:       "access-policy-type",
	Severity: validate.Deny,
	Title:    "an access policy is associated with an access entry for nodes",
	Doc: `
Only an access entry of the type STANDARD takes access policies. The type EC2, for nodes of EKS Auto Mode, takes its own
policy AmazonEKSAutoNodePolicy. For the other types EKS refuses every association.

Leave out the association. If people or tools use the principal, leave out the type of its access entry. A type can't be
changed, so EKS has to delete the access entry and create it again.`,
	Source: "EKS user guide, \"Create access entries\"; terraform-aws-modules/terraform-aws-eks#3274",
	check: func(p *pass) {
		for i := range p.Associations {
			r := &p.Associations[i]
			if !r.made() || !r.After.Policy.known() {
				continue
			}
			kind := r.After.EntryType.Value
			for _, e := range p.after[key{r.After.Cluster.Value, r.After.Principal.Value}] {
				kind = cmp.Or(kind, e.After.Type.Value)
			}
			if !isNodeType(Text{Value: kind}) {
				continue
			}
			if kind != "EC2" || r.After.policyName() != autoNodePolicy {
				report(p, r, fieldPolicy, "leave out the access policy", "EKS refuses the access policy %s, because the access entry has the type %s", r.After.policyName(), kind)
			}
		}
	},
}

// autoNodePolicy is the access policy for nodes of EKS Auto Mode.
const autoNodePolicy = "AmazonEKSAutoNodePolicy"

var policyLost = &Rule{
	ID:       "access-policy-lost",
	Severity: validate.Deny,
	Title:    "the plan takes an access policy away from a principal that keeps its access entry",
	Doc: `
EKS deletes the access policies of an access entry together with the access entry. If a plan deletes the access entry
of a principal and creates it again, but keeps the association of a policy, the principal has lost the policy after the
apply. Terraform notices this only in its next plan.

The rule also warns if the plan deletes an association at one address and creates the same one at another address, for
example because a new version of a module builds the keys of for_each in another way. In EKS both
are the same association. If Terraform deletes the old one after it has created the new one, no association is left.

Tell Terraform that the resource has moved, by a moved block or terraform state mv OLD NEW. Or replace the associations
together with the access entry, by replace_triggered_by or terraform apply -replace=ADDRESS.`,
	Source: "EKS API reference, DeleteAccessEntry; terraform-aws-modules/terraform-aws-eks#2958",
	check:  checkPolicyLost,
}

func checkPolicyLost(p *pass) {
	type id struct {
		key

		policy string
	}
	idOf := func(a *Association) (id, bool) {
		return id{key{a.Cluster.Value, a.Principal.Value}, a.Policy.Value}, a.Cluster.known() && a.Principal.known() && a.Policy.known()
	}
	deleted := make(map[id]*Resource[Association])
	for i := range p.Associations {
		r := &p.Associations[i]
		if r.Before == nil || r.After != nil {
			continue
		}
		if id, ok := idOf(r.Before); ok {
			deleted[id] = r
		}
	}
	for i := range p.Associations {
		r := &p.Associations[i]
		if r.After == nil {
			continue
		}
		id, ok := idOf(r.After)
		if !ok {
			continue
		}
		if r.made() {
			if old := deleted[id]; old != nil && r.Before == nil {
				warn(p, r, fieldPolicy, "tell Terraform that the resource has moved: terraform state mv '"+old.Address+"' '"+r.Address+"'",
					"the plan creates this association of %s with %q, and deletes the same association at the address %s, so EKS may have none afterwards", r.After.policyName(), id.principal, old.Address)
			}
			continue
		}
		old := p.before[id.key]
		if i := slices.IndexFunc(old, (*Resource[Entry]).removed); i >= 0 && len(p.after[id.key]) > 0 {
			report(p, r, fieldPolicy, "plan with -replace='"+r.Address+"', or tell Terraform that the access entry has moved",
				"%q loses the access policy %s, because EKS deletes it together with the access entry %s, and the plan doesn't create it again", id.principal, r.After.policyName(), old[i].Address)
		}
	}
}

var lastAdminEntry = &Rule{
	ID:       "last-admin-access-entry",
	Severity: validate.Deny,
	Title:    "the plan takes all rights away from the last admin of a cluster, or gives them to another principal",
	Doc: `
Before the plan at least one access entry has AmazonEKSClusterAdminPolicy for the whole cluster. Afterwards none has it.
If the authentication mode is API, only a principal with permissions in the EKS API can then let an admin in.

The rule also reports a plan that replaces the access entry of the only admin by an access entry of another principal at the
same address. A module that makes an access entry for the caller, such as terraform-aws-eks with
enable_cluster_creator_admin_permissions, does this if another person or a pipeline applies it. The admin is locked out
until the admin applies the plan.

Name the admins in the configuration: in terraform-aws-eks set enable_cluster_creator_admin_permissions to false, and
list the roles in access_entries. To change the admin, add the new access entry first, and remove the old one in a second
plan.

The rule counts the access entries of the plan and of its state. It doesn't know those that other tools make. If members of
a group are admins by RBAC, name the group in adminGroups of the GuardConfig. The rule says nothing if the plan deletes the
cluster, if an unknown value may make an admin, or if aws-auth in the same plan maps an admin and the mode isn't API.`,
	Source: "EKS user guide, \"Grant IAM users access to Kubernetes with EKS access entries\"; " +
		"terraform-aws-modules/terraform-aws-eks#2910, #2911",
	check: checkLastAdmin,
}

func checkLastAdmin(p *pass) {
	before, after := p.adminsBefore(), p.adminsAfter()
	for _, cluster := range sortedKeys(before) {
		if c := p.clusters[cluster]; c != nil && c.removed() || p.mayHaveAdmin(Text{Value: cluster}) || p.mapsAdmin(cluster) {
			continue
		}
		was, is := before[cluster], after[cluster]
		had := make(map[string]bool)
		for _, a := range was {
			had[a.principal] = true
		}
		if slices.ContainsFunc(is, func(a *admin) bool { return had[a.principal] }) {
			continue
		}
		if len(is) == 0 {
			p.reportLost(was[0], "keep the access entry of an admin, or add another one first and remove this one in a later plan",
				"no access entry of the cluster %q would have %s; before the plan: %s", cluster, access.ClusterAdminPolicy, listed(was))
			continue
		}
		if slices.ContainsFunc(is, func(a *admin) bool { return !a.takesOver() }) {
			continue // the configuration names a new admin
		}
		p.reportLost(was[0], "name the admins in the configuration instead of using the caller; in terraform-aws-eks set enable_cluster_creator_admin_permissions = false and list them in access_entries",
			"the access entry of %q, the last admin of the cluster %q, would be replaced by an access entry of %q", was[0].principal, cluster, is[0].principal)
	}
}

// takesOver reports whether this admin gets its rights only by resources that belonged to another principal before the plan. The plan
// changes the principal of these resources.
func (a *admin) takesOver() bool {
	for _, r := range a.associations {
		if !r.Replaced || r.Before.Principal == r.After.Principal {
			return false
		}
	}
	for _, r := range a.entries {
		if r.Before != nil && r.Before.Principal == r.After.Principal {
			return false
		}
		if len(a.associations) == 0 && r.Before == nil {
			return false
		}
	}
	return true
}

// reportLost reports that an admin loses all rights. format and args give the message, and hint says how to correct the
// plan. The finding has the position of an access entry that the plan removes. If there is none, it has the position of
// another resource of the admin.
func (p *pass) reportLost(a *admin, hint, format string, args ...any) {
	for _, r := range a.entries {
		if r.removed() {
			report(p, r, fieldPrincipal, hint, format, args...)
			return
		}
	}
	for _, r := range a.associations {
		report(p, r, fieldPrincipal, hint, format, args...)
		return
	}
	for _, r := range a.entries {
		report(p, r, fieldPrincipal, hint, format, args...)
		return
	}
}

// listed returns the principals of at most three admins as text.
func listed(admins []*admin) string {
	var names []string
	for _, a := range admins {
		names = append(names, a.principal)
	}
	return first(names)
}
