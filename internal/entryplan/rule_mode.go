package entryplan

import (
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

var clusterReplaced = &Rule{
	ID:       "cluster-replaced",
	Severity: validate.Deny,
	Title:    "the plan replaces the cluster, because its access configuration changes",
	Doc: `
EKS reads bootstrap_cluster_creator_admin_permissions only when it creates a cluster. If the value in the state differs from
that in the configuration, Terraform deletes the cluster with all its workloads and creates another one. Depending on the
version of the provider this also happens if you add access_config to a cluster that had none.

Write the value that the state has, which terraform state show ADDRESS shows. Or let Terraform ignore the difference:

    lifecycle {
      ignore_changes = [access_config[0].bootstrap_cluster_creator_admin_permissions]
    }`,
	Source: "hashicorp/terraform-provider-aws#38967, #35824; terraform-provider-aws, internal/service/eks/cluster.go, ForceNew",
	check: func(p *pass) {
		for i := range p.Clusters {
			r := &p.Clusters[i]
			if !r.Replaced || r.Before == nil {
				continue
			}
			because := slices.Contains(r.ReplacedFor, "access_config")
			if len(r.ReplacedFor) == 0 {
				because = !r.After.Bootstrap.Unknown && r.Before.Bootstrap != r.After.Bootstrap
			}
			if because {
				report(p, r, fieldBootstrap, "write the value that the state has, or ignore the change by lifecycle.ignore_changes",
					"the plan deletes the cluster %q and creates it again, because bootstrap_cluster_creator_admin_permissions changes from %s to %s",
					r.Before.Name.Value, orUnset(r.Before.Bootstrap), orUnset(r.After.Bootstrap))
			}
		}
	},
}

func orUnset(t Text) string {
	switch {
	case t.Unknown:
		return "a value known after apply"
	case t.Value == "":
		return "unset"
	}
	return t.Value
}

// modes are the authentication modes. EKS changes the mode of a cluster only from one mode in this list to the next.
var modes = []string{string(access.ModeConfigMap), string(access.ModeAPIAndConfigMap), string(access.ModeAPI)}

// step returns the authentication modes of a cluster before and after the plan. ok is false if the plan doesn't change the mode, if it
// replaces the cluster, or if one of the modes is unknown.
func step(r *Resource[Cluster]) (from, to string, ok bool) {
	if r.Before == nil || r.After == nil || r.Replaced {
		return "", "", false
	}
	from, to = r.Before.Mode.Value, r.After.Mode.Value
	return from, to, slices.Contains(modes, from) && slices.Contains(modes, to) && from != to
}

var modeRefused = &Rule{
	ID:       "mode-refused",
	Severity: validate.Deny,
	Title:    "the plan changes the authentication mode in a way that EKS refuses",
	Doc: `
EKS changes the authentication mode only from CONFIG_MAP to API_AND_CONFIG_MAP, and from API_AND_CONFIG_MAP to API. It
refuses a step backwards, and a step from CONFIG_MAP to API: "Unsupported authentication mode update from CONFIG_MAP to
API". The apply fails after Terraform has changed other resources.

To go forward, take one step in each plan. There is no way back: EKS never returns to a mode
without access entries.`,
	Source: "EKS user guide, \"Change authentication mode to use access entries\"; pulumi/pulumi-eks#1493",
	check: func(p *pass) {
		for i := range p.Clusters {
			r := &p.Clusters[i]
			from, to, ok := step(r)
			switch {
			case !ok:
			case slices.Index(modes, to) < slices.Index(modes, from):
				report(p, r, fieldMode, "keep the mode "+from, "EKS refuses to change the authentication mode from %s to %s, because no step leads back", from, to)
			case slices.Index(modes, to) > slices.Index(modes, from)+1:
				report(p, r, fieldMode, "change the mode to "+modes[1]+" first, and to "+to+" in a later plan",
					"EKS refuses to change the authentication mode from %s to %s in one step", from, to)
			}
		}
	},
}

var entryMode = &Rule{
	ID:       "access-entry-mode",
	Severity: validate.Deny,
	Title:    "the plan creates an access entry in a cluster whose authentication mode is CONFIG_MAP",
	Doc: `
In the authentication mode CONFIG_MAP a cluster has no access entries, and EKS refuses to create one: "The cluster's
authentication mode must be set to one of [API, API_AND_CONFIG_MAP] to perform this operation." The rule needs the cluster
in the same plan.

Change the mode to API_AND_CONFIG_MAP. aws-auth keeps its effect for principals without an access entry.`,
	Source: "EKS user guide, \"Change authentication mode to use access entries\"; terraform-aws-modules/terraform-aws-eks#3048",
	check: func(p *pass) {
		for i := range p.Entries {
			r := &p.Entries[i]
			if !r.made() || !r.After.Cluster.known() {
				continue
			}
			if c := p.clusters[r.After.Cluster.Value]; c != nil && c.After != nil && c.After.Mode.is(string(access.ModeConfigMap)) {
				report(p, r, fieldPrincipal, "change the mode to "+string(access.ModeAPIAndConfigMap),
					"EKS refuses an access entry in the cluster %q, because its authentication mode is CONFIG_MAP", r.After.Cluster.Value)
			}
		}
	},
}

var modeWithoutAdmin = &Rule{
	ID:       "mode-without-admin",
	Severity: validate.Deny,
	Title:    "the authentication mode becomes API, and no access entry is that of an admin",
	Doc: `
In the authentication mode API only access entries let principals in, and the mode can't be changed back. The rule denies a
plan that changes the mode to API if no access entry in the plan or in its state has AmazonEKSClusterAdminPolicy for the
whole cluster.

It only warns if bootstrap_cluster_creator_admin_permissions is true, because EKS has then made an access entry for the
principal that created the cluster. This may be a person who has left, or a role that was deleted. It also only warns about a
new cluster in this mode whose bootstrap_cluster_creator_admin_permissions is false, because another tool may add the
admin later.

Add an access entry of an admin first, log in with it, and change the mode in a later plan. The rule says nothing if an
unknown value may make an admin. If members of a group are admins by RBAC, name the group in adminGroups of the
GuardConfig.`,
	Source: "EKS user guide, \"Change authentication mode to use access entries\"; kubernetes/k8s.io#7062",
	check: func(p *pass) {
		after := p.adminsAfter()
		for i := range p.Clusters {
			r := &p.Clusters[i]
			if r.After == nil || !r.After.Mode.is(string(access.ModeAPI)) || p.mayHaveAdmin(r.After.Name) || len(after[r.After.Name.Value]) > 0 {
				continue
			}
			const hint = "add an access entry with " + access.ClusterAdminPolicy + " for the whole cluster first"
			_, _, isStep := step(r)
			switch {
			case isStep && !r.After.Bootstrap.is("false"): // true is the default
				warn(p, r, fieldMode, hint, "the authentication mode becomes API, and the only admin that EKS may know is the principal that created the cluster")
			case isStep:
				report(p, r, fieldMode, hint, "the authentication mode becomes API, and no access entry of the plan has %s", access.ClusterAdminPolicy)
			case r.made() && r.After.Bootstrap.is("false"):
				warn(p, r, fieldMode, hint, "the new cluster has the authentication mode API, and no access entry of an admin")
			}
		}
	},
}

var modeDropsAWSAuth = &Rule{
	ID:       "mode-drops-aws-auth",
	Severity: validate.Deny,
	Title:    "the authentication mode becomes API, and aws-auth maps principals without an access entry",
	Doc: `
In the authentication mode API the cluster ignores aws-auth. A principal that only aws-auth maps can't log in any more: it
gets 401 Unauthorized. In API_AND_CONFIG_MAP the same principal still logs in, so the fault shows only after the step, and
the mode can't be changed back.

Add an access entry for each of these principals first, and change the mode in a later plan. EKS makes access entries for
managed node groups and Fargate profiles itself. So the rule only warns about another node role, and says nothing if the plan
has node groups with unknown roles. If another tool makes an access entry, name its principal in accessEntries of the
GuardConfig.`,
	Source: "EKS user guide, \"Migrating existing aws-auth ConfigMap entries to access entries\"; kubernetes/k8s.io#7068",
	check:  checkModeDrops,
}

func checkModeDrops(p *pass) {
	if p.unknownPrincipal || len(p.Mapped) == 0 || len(p.Clusters) != 1 {
		return // aws-auth doesn't say to which cluster it belongs
	}
	r := &p.Clusters[0]
	if r.After == nil || !r.After.Mode.is(string(access.ModeAPI)) || r.Before != nil && !r.Before.Mode.Unknown && r.Before.Mode.Value == r.After.Mode.Value {
		return
	}
	managed := make(map[string]bool)
	nodesKnown := true
	for _, role := range p.NodeRoles {
		nodesKnown = nodesKnown && role.known()
		managed[awsauth.PrincipalKey(role.Value)] = true
	}
	var people, nodes []string
	for _, principal := range p.Mapped {
		key := awsauth.PrincipalKey(principal.ARN)
		if arn, err := awsauth.ParseARN(principal.ARN); err != nil || !matches(arn) {
			continue // no caller has this ARN
		}
		isNode := slices.ContainsFunc(principal.Matches, access.IsNode)
		switch {
		case p.withEntry[key] || isNode && (managed[key] || !nodesKnown):
		case isNode:
			nodes = append(nodes, principal.ARN)
		default:
			people = append(people, principal.ARN)
		}
	}
	const hint = "add access entries for them first, and change the mode in a later plan"
	if len(people) > 0 {
		report(p, r, fieldMode, hint, "the authentication mode becomes API, and these principals of aws-auth have no access entry in the plan, so they can't log in: %s", first(people))
	}
	if len(nodes) > 0 {
		warn(p, r, fieldMode, "if their nodes are not those of managed node groups, "+hint,
			"the authentication mode becomes API, and these node roles of aws-auth have no access entry in the plan: %s", first(nodes))
	}
}

// matches reports whether the authenticator can match an ARN in aws-auth with a caller. It can't match the ARN of a session or of a role
// with a path.
func matches(arn awsauth.ARN) bool {
	_, session := arn.SessionRole()
	_, path := arn.WithoutPath()
	return !session && !path
}

// first joins at most three texts with commas. It adds an ellipsis if there are more.
func first(list []string) string {
	if len(list) > 3 {
		list = append(slices.Clone(list[:3]), "…")
	}
	return strings.Join(list, ", ")
}

// mapsAdmin reports whether an admin may be able to log in to the cluster by aws-auth after the plan: the aws-auth in the plan maps an
// admin, and the authentication mode of the cluster is not API or is unknown.
func (x *index) mapsAdmin(cluster string) bool {
	if c := x.clusters[cluster]; c != nil && c.After != nil && c.After.Mode.is(string(access.ModeAPI)) {
		return false
	}
	admins, _ := access.Admins(x.Mapped, x.policy.AdminGroups)
	return len(admins) > 0
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
