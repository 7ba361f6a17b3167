package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeShape = &Rule{
	ID:       "node-shape",
	Severity: Deny,
	Title:    "an entry's username and groups don't fit a node",
	Doc: `
Node authorization requires the group system:nodes and a username of the form system:node:NAME. With only one
of the two a kubelet can log in but has no rights, so the node never gets ready. A node with an admin group
gives the cluster to every pod that reaches the node's credentials. The authenticator renders
{{EC2PrivateDNSName}} only for EC2 instances, which log in as a role. It refuses an IAM user whose entry has
this template.

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
			at := m.Username
			if i := slices.IndexFunc(m.Entry.Groups, func(g string) bool { return strings.Contains(g, awsauth.InstanceTemplate) }); i >= 0 {
				at = m.Groups[i]
			}
			p.Reportf(at, "write a name without the template", "{{EC2PrivateDNSName}} is for EC2 instances, which log in with a role, and %q is not a role", m.Entry.ARN)
		}
	}
}

// checkNodeGroups compares the username of an entry with its groups.
func (p *Pass) checkNodeGroups(m awsauth.Mapping) {
	const usernames = "write system:node:{{EC2PrivateDNSName}}, for Fargate system:node:{{SessionName}}"
	username, groups := m.Entry.Username, m.Entry.Groups
	name, prefix := strings.CutPrefix(username, "system:node:")
	group := slices.Index(groups, "system:nodes")
	admin := slices.IndexFunc(groups, func(g string) bool { return slices.Contains(p.Policy.adminGroups(), g) })
	if prefix && admin >= 0 {
		hint := "write another username, such as admin:{{SessionName}}, if these are people"
		if group >= 0 {
			hint = "remove the group, and give people an entry with another role"
		}
		p.Grantf(m.Groups[admin], hint, "the node %q would have the admin group %s", username, groups[admin])
		return
	}
	switch {
	case p.isLeftover(username, true):
		// leftover-template reports it
	case !prefix && group >= 0:
		p.Reportf(m.Username, usernames, "the group system:nodes needs a username of the form system:node:NAME, not %q", username)
	case prefix && !isNodeName(name):
		p.Reportf(m.Username, usernames, "no node can have the username %q", username)
	case prefix && group < 0 && !hasWrongType(m, "groups") && !p.isMisspelt(m, "groups"):
		p.Reportf(m.Username, nodeGroupsHint(groups), "%q is the username of a node, which has no rights without the group system:nodes", username)
	}
}

// nodeGroupsHint returns the hint for a missing group system:nodes. Often the group is only misspelt.
func nodeGroupsHint(groups []string) string {
	for _, g := range groups {
		if strings.Contains(g, " - ") {
			return "indent every dash of the list alike: " + quote(g) + " is one group"
		}
		if right, ok := nearGroup(g); ok && right == "system:nodes" && g != right {
			return "write system:nodes instead of " + g
		}
	}
	return "add the groups system:bootstrappers and system:nodes"
}

// isNodeName reports whether a name, without its templates, can be a node's: a DNS subdomain (Kubernetes
// documentation, "Object Names and IDs").
func isNodeName(name string) bool {
	return name != "" && !strings.ContainsFunc(awsauth.WithoutTemplates(name), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}
