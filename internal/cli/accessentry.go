package cli

import (
	"cmp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/awscli"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
	"github.com/awsauth-guard/awsauth-guard/internal/textutil"
)

// createAccessEntry returns the commands that create an access entry for a principal, which replaces e, an entry of aws-auth. chosen is the
// preset, or zero without a preset.
// An access policy replaces the group system:masters, and the access policy of a preset replaces the groups of the preset. The type of a
// preset for nodes replaces the username and all groups. The commands leave out any other username and group that EKS refuses in an access
// entry; see noteReserved.
// For an account of mapAccounts the result is a shell comment, because EKS has no access entries for accounts.
func createAccessEntry(o *editOptions, e awsauth.Entry, p principal, chosen preset) string {
	if p.id != "" {
		return "# access entries have no counterpart of mapAccounts: create an access entry for each principal of the account " + p.id
	}
	command := o.awsCluster().AccessEntry("create", principalWithPath(p))
	if chosen.nodeType != "" {
		return command + " --type " + chosen.nodeType
	}
	if e.Username != migrate.DefaultUsername(p.ARN) && access.ReservedPrefix(e.Username) == "" {
		command += " --username " + textutil.ShellWord(e.Username)
	}
	groups, policy := entryRights(e, chosen)
	if len(groups) > 0 {
		command += awscli.GroupsFlag(groups)
	}
	return command + associatePolicy(o, p, principalWithPath(p), policy)
}

// entryRights returns the groups and the access policy of an access entry that replaces e, an entry of aws-auth. chosen is the preset, or
// zero without a preset. The groups lack those that EKS refuses, and those that the policy of the preset replaces. policy is empty if the
// access entry needs none.
func entryRights(e awsauth.Entry, chosen preset) (groups []string, policy string) {
	policy = chosen.policy
	if slices.Contains(e.Groups, access.Masters) {
		policy = access.ClusterAdminPolicy
	}
	return slices.DeleteFunc(entryGroups(e.Groups), func(g string) bool { return slices.Contains(chosen.groups, g) }), policy
}

// accessEntryCommand returns the commands that give the principal the wanted access by an access entry. old is the access entry that the
// principal has, or nil. The result is empty if old gives this access already, apart from a username and groups that EKS refuses. EKS can't
// change the type of an access entry. So the commands delete an access entry of another type, and create a new one.
func (o *addOptions) accessEntryCommand(old *access.AccessEntry, who principal) string {
	e, chosen, cluster := o.wanted(who), presets[o.preset], o.awsCluster()
	if old == nil {
		return createAccessEntry(&o.editOptions, e, who, chosen)
	}
	who.withPath = old.PrincipalARN
	arn := principalWithPath(who)
	if cmp.Or(old.Type, access.TypeStandard) != cmp.Or(chosen.nodeType, access.TypeStandard) {
		return cluster.AccessEntry("delete", arn) + " && " + createAccessEntry(&o.editOptions, e, who, chosen)
	}
	if chosen.nodeType != "" {
		return ""
	}
	update, commands := "", []string(nil)
	if o.username != "" && o.username != old.Username && access.ReservedPrefix(o.username) == "" {
		update += " --username " + textutil.ShellWord(o.username)
	}
	groups, policy := entryRights(e, chosen)
	if all := union(old.Groups, groups); len(all) > len(old.Groups) {
		update += awscli.GroupsFlag(all)
	}
	if update != "" {
		commands = append(commands, cluster.AccessEntry("update", arn)+update)
	}
	if policy != "" && !slices.ContainsFunc(old.Policies, func(p access.AccessPolicy) bool { return p.Name() == policy && p.Scope == access.ScopeCluster }) {
		commands = append(commands, cluster.AssociatePolicy(arn, who.Partition, policy))
	}
	return strings.Join(commands, " && ")
}

// entryGroups returns those of the groups that an access entry can have.
func entryGroups(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" || access.ReservedPrefix(g) != "" })
}

// noteReserved prints a note for the username and for each group that the commands for an access entry leave out, because EKS refuses the
// prefix of the name. It doesn't name system:masters, because an access policy replaces this group.
func (a *app) noteReserved(username string, groups []string) {
	if access.ReservedPrefix(username) != "" {
		a.note("EKS refuses the username %s in an access entry, because it begins with %s; the command leaves the username out", username, access.ReservedPrefix(username))
	}
	for _, g := range groups {
		if access.ReservedPrefix(g) != "" && g != access.Masters {
			a.note("EKS refuses the group %s in an access entry, because it begins with %s; the command leaves the group out", g, access.ReservedPrefix(g))
		}
	}
}

// associatePolicy returns the command that associates an access policy with the access entry of a principal. The caller appends the result
// to another command, so it begins with &&. It is empty if there is no policy. arn is the ARN of the principal, quoted for a shell.
func associatePolicy(o *editOptions, p principal, arn, policy string) string {
	if policy == "" {
		return ""
	}
	return " && " + o.awsCluster().AssociatePolicy(arn, p.Partition, policy)
}

// accessEntry returns the access entry of a principal in the cluster, or nil. It returns nil for an account, because accounts have no
// access entries.
func (e *editRun) accessEntry(p principal) *access.AccessEntry {
	list := e.policy.Cluster.AccessEntries
	for i := range list {
		if p.id == "" && p.has(list[i].PrincipalARN) {
			return &list[i]
		}
	}
	return nil
}

// accessEntryOf returns the first of the principals that has an access entry in the cluster. arn is the ARN in the access entry, quoted for
// a shell. If no principal has an access entry, accessEntryOf prints a note with the roles and users, and returns false. It ignores
// accounts, which have no access entries.
func (e *editRun) accessEntryOf(named []principal) (p principal, arn string, found bool) {
	var names []string
	for _, p := range named {
		if p.id != "" {
			continue
		}
		if entry := e.accessEntry(p); entry != nil {
			return p, textutil.ShellWord(entry.PrincipalARN), true
		}
		names = append(names, p.String())
	}
	if len(names) > 0 {
		e.app.note("%s has no access entry for %s", e.options.clusterName, strings.Join(names, " or "))
	}
	return principal{}, "", false
}

// awsCluster returns the cluster of the flags for commands of the AWS CLI.
func (o *editOptions) awsCluster() awscli.Cluster {
	return awscli.Cluster{Name: o.clusterName, Region: o.region}
}

// principalWithPath returns the ARN of a principal with its path, as the commands for an access entry need it, quoted for a shell. For a
// role whose path is not known, it returns a command substitution that looks the ARN up in IAM. For a user whose path is not known, the ARN
// has no path.
func principalWithPath(p principal) string {
	switch {
	case p.withPath != "":
		return textutil.ShellWord(p.withPath)
	case p.IsRole():
		return `"$(aws iam get-role --role-name ` + textutil.ShellWord(p.Name()) + ` --query Role.Arn --output text)"`
	}
	return textutil.ShellWord(p.String())
}
