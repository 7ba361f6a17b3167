package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeShape = &Rule{
	ID:       "node-shape",
	Severity: Deny,
	Title:    "an entry's username and groups don't fit a node",
	Doc: `
Node authorization requires the group system:nodes and a username of the form system:node:NAME. With only one
of the two a kubelet can log in but has no rights, so the node never becomes ready. A node with an admin group
gives the cluster to every pod that reaches the node's credentials. The authenticator renders
{{EC2PrivateDNSName}} only for EC2 instances, which log in as a role. It refuses an IAM user whose entry has
this template.

The rule warns if anything other than a template follows system:node: in the username, because each node may use
only its own name. It also warns if an entry for people has {{EC2PrivateDNSName}}. It assumes that an entry is for
people if it has an admin group, or if its role belongs to IAM Identity Center, because no EC2 instance can have
such a role.

For EC2 write the username system:node:{{EC2PrivateDNSName}}, for Fargate
system:node:{{SessionName}}, and the groups system:bootstrappers and system:nodes.`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate; aws-iam-authenticator#190",
	Check:  checkNodeShape,
}

func checkNodeShape(p *Pass) {
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped != "" || m.Entry.Username == "" {
			continue // missing-arn and empty-username report these
		}
		p.checkNodeGroups(m)
		if !m.Entry.HasSessions() && m.Entry.OnlyInstances() {
			at := instanceField(m)
			name := "NAME"
			if arn, err := m.Entry.Principal(); err == nil {
				name = arn.Name()
			}
			p.Grantf(at, "write "+scalar(strings.ReplaceAll(strings.TrimPrefix(at.Value, nodePrefix), awsauth.InstanceTemplate, name)),
				"{{EC2PrivateDNSName}} is for EC2 instances, which log in with a role, and %q is not a role", m.Entry.ARN)
		} else if m.Entry.OnlyInstances() {
			p.checkPeople(m)
		}
	}
}

// nodePrefix is the prefix of the username of every node.
const nodePrefix = "system:node:"

// isNodeTemplate reports whether a template stands for the name of a node. This is {{EC2PrivateDNSName}} for EC2, and
// the session name for Fargate and hybrid nodes (EKS user guide, "Amazon EKS Pod execution IAM role" and "Prepare
// cluster access for hybrid nodes").
func isNodeTemplate(template string) bool {
	return template == awsauth.InstanceTemplate || template == "{{SessionName}}" || template == "{{SessionNameRaw}}"
}

// instanceField returns the first group that holds {{EC2PrivateDNSName}}, or else the username.
func instanceField(m awsauth.Mapping) awsauth.Field {
	if i := slices.IndexFunc(m.Entry.Groups, func(g string) bool { return strings.Contains(g, awsauth.InstanceTemplate) }); i >= 0 {
		return m.Groups[i]
	}
	return m.Username
}

// forPeople turns a username or group for nodes into one for people. It removes reserved prefixes, and writes
// {{SessionName}} instead of {{EC2PrivateDNSName}}.
func forPeople(name string) string {
	return withoutReserved(strings.ReplaceAll(strings.TrimPrefix(name, nodePrefix), awsauth.InstanceTemplate, "{{SessionName}}"))
}

// checkPeople reports an entry for people that lets in only EC2 instances.
func (p *Pass) checkPeople(m awsauth.Mapping) {
	arn, err := m.Entry.Principal()
	who := ""
	switch {
	case err != nil: // malformed-arn reports it
	case strings.HasPrefix(arn.Name(), "AWSReservedSSO_"):
		who = "people log in with a role of IAM Identity Center"
	case strings.HasPrefix(m.Entry.Username, nodePrefix), slices.Contains(m.Entry.Groups, access.NodesGroup): // a node
	case slices.ContainsFunc(m.Entry.Groups, func(g string) bool { return slices.Contains(p.Policy.adminGroups(), g) }):
		who = "it gives an admin group, which is for people"
	}
	if who == "" {
		return
	}
	at := instanceField(m)
	p.Warnf(at, "write "+scalar(forPeople(at.Value)), "only EC2 instances can log in with the entry of %q, because it uses {{EC2PrivateDNSName}}, but %s", m.Entry.ARN, who)
}

// checkNodeGroups reports an entry whose username and groups don't fit each other.
func (p *Pass) checkNodeGroups(m awsauth.Mapping) {
	const usernames = "write system:node:{{EC2PrivateDNSName}} for EC2, or system:node:{{SessionName}} for Fargate"
	username, groups := m.Entry.Username, m.Entry.Groups
	name, prefix := strings.CutPrefix(username, nodePrefix)
	group := slices.Index(groups, access.NodesGroup)
	admin := slices.IndexFunc(groups, func(g string) bool { return slices.Contains(p.Policy.adminGroups(), g) })
	if prefix && admin >= 0 {
		hint := "write admin:{{SessionName}} as username, if people use this entry"
		if group >= 0 {
			hint = "leave out the group " + groups[admin] + " here, and give people an entry with another role"
		}
		p.Grantf(m.Groups[admin], hint, "the node %q would have the admin group %s", username, groups[admin])
		return
	}
	switch {
	case p.isLeftover(username, true):
		if prefix && group < 0 && !hasWrongType(m, "groups") && !p.isMisspelt(m, "groups") && !slices.ContainsFunc(groups, func(g string) bool { return p.isLeftover(g, true) }) {
			p.Reportf(m.Username, nodeGroupsHint(groups), "%q is meant as the username of a node, which has no rights without the group system:nodes", username)
		} else if found, _ := leftoverIn(name, true); prefix && group >= 0 && found != "" && found != name {
			p.Warnf(m.Username, usernames, "no node has the username %q, because a node's name consists of the template only", username)
		} // else leftover-template reports it
	case !prefix && group >= 0:
		p.Reportf(m.Username, usernames, "the group system:nodes needs a username of the form system:node:NAME, not %q", username)
	case prefix && !isNodeName(name):
		hint := usernames
		if group < 0 {
			hint += ", and " + nodeGroupsHint(groups)
		}
		p.Reportf(m.Username, hint, "no node can have the username %q", username)
	case prefix && group < 0 && !hasWrongType(m, "groups") && !p.isMisspelt(m, "groups"):
		p.Reportf(m.Username, nodeGroupsHint(groups), "%q is the username of a node, which has no rights without the group system:nodes", username)
	case prefix && group >= 0 && !isNodeTemplate(name):
		why := "a node's name consists of the template only"
		if awsauth.WithoutTemplates(name) == name {
			why = "all nodes of the role would have one name, and a node may use only its own"
		} else if !slices.ContainsFunc(awsauth.Templates(), func(t string) bool { return isNodeTemplate(t) && strings.Contains(name, t) }) {
			why = "the template is not the name of a node"
		}
		p.Warnf(m.Username, usernames, "no node can work with the username %q, because %s", username, why)
	}
}

// nodeGroupsHint returns the hint for a missing group system:nodes. If one of the groups is a misspelling of it, the
// hint is to correct that group.
func nodeGroupsHint(groups []string) string {
	for _, g := range groups {
		if strings.Contains(g, " - ") {
			return itemsHint(strings.Split(g, " - "))
		}
		if right, ok := nearGroup(g); ok && right == "system:nodes" && g != right {
			return "write system:nodes instead of " + g
		}
	}
	return "add the groups system:bootstrappers and system:nodes"
}

// isNodeName reports whether a name can be that of a node: without its templates it has only the characters of a DNS
// subdomain (Kubernetes documentation, "Object Names and IDs").
func isNodeName(name string) bool {
	return name != "" && !strings.ContainsFunc(awsauth.WithoutTemplates(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}
