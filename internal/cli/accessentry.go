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

// createAccessEntry returns the commands that create an access entry for the principal. The access entry gives the access of e, an entry of
// aws-auth. EKS refuses groups that begin with system:, so an access policy replaces system:masters. The policy of a preset replaces the groups of
// the preset. For an account of mapAccounts the result is a shell comment, because EKS has no access entries for accounts.
func createAccessEntry(o *editOptions, e awsauth.Entry, p principal, chosen preset) string {
	if p.id != "" {
		return "# access entries have no counterpart of mapAccounts: create one for each principal of " + p.id
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

// entryRights returns the groups and the access policy with which an access entry replaces the groups of e, an entry of aws-auth. policy is
// empty if the access entry needs none.
func entryRights(e awsauth.Entry, chosen preset) (groups []string, policy string) {
	policy = chosen.policy
	if slices.Contains(e.Groups, access.Masters) {
		policy = access.ClusterAdminPolicy
	}
	return slices.DeleteFunc(entryGroups(e.Groups), func(g string) bool { return slices.Contains(chosen.groups, g) }), policy
}

// accessEntryCommand returns the commands that give the principal the wanted access by an access entry. old is the access entry that the
// principal has, or nil. The result is empty if old gives this access already. EKS can't change the type of an access entry. So the commands
// delete an access entry of another type, and create a new one.
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

// entryGroups returns the groups that an access entry can have.
func entryGroups(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(g string) bool { return g == "" || access.ReservedPrefix(g) != "" })
}

// noteReserved tells the user which username and groups the commands for an access entry leave out. It doesn't name system:masters, because an
// access policy replaces this group.
func (a *app) noteReserved(username string, groups []string) {
	if access.ReservedPrefix(username) != "" {
		a.note("EKS refuses the username %s in an access entry; the command leaves it out", username)
	}
	for _, g := range groups {
		if access.ReservedPrefix(g) != "" && g != access.Masters {
			a.note("EKS refuses the group %s in an access entry; the command leaves it out", g)
		}
	}
}

// associatePolicy returns the command that associates an access policy, after the characters that join it to another command. It returns ""
// if there is no policy. arn is the ARN of the principal, quoted for a shell.
func associatePolicy(o *editOptions, p principal, arn, policy string) string {
	if policy == "" {
		return ""
	}
	return " && " + o.awsCluster().AssociatePolicy(arn, p.Partition, policy)
}

// accessEntry returns the access entry of a principal in the cluster, or nil.
func (e *editRun) accessEntry(p principal) *access.AccessEntry {
	list := e.policy.Cluster.AccessEntries
	for i := range list {
		if p.id == "" && p.has(list[i].PrincipalARN) {
			return &list[i]
		}
	}
	return nil
}

// accessEntryOf returns the first of the principals that has an access entry in the cluster. arn is the ARN in the access entry, quoted for a
// shell. If no principal has an access entry, accessEntryOf prints a note and returns false.
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

// principalWithPath returns the ARN of a principal with its path, as an access entry needs it. If the path of a role is not known, it
// returns a command substitution that looks it up.
func principalWithPath(p principal) string {
	switch {
	case p.withPath != "":
		return textutil.ShellWord(p.withPath)
	case p.IsRole():
		return `"$(aws iam get-role --role-name ` + textutil.ShellWord(p.Name()) + ` --query Role.Arn --output text)"`
	}
	return textutil.ShellWord(p.String())
}
