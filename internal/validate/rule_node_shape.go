package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeShape = &Rule{
	ID:       "node-shape",
	Severity: Deny,
	Title:    "an entry is half a node's",
	Doc: `
Node authorization asks for both: the group system:nodes and a username that begins with system:node:
and goes on with the node's name. With one of the two a kubelet logs in and may do nothing, so that
the node never gets ready. A node with an admin group hands the cluster to every pod that reaches the
node's credentials. {{EC2PrivateDNSName}} is rendered for instances alone, which log in as a role: an
IAM user with it is refused.

For EC2 write the username system:node:{{EC2PrivateDNSName}}, for Fargate
system:node:{{SessionName}}, and the groups system:bootstrappers and system:nodes.`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate; aws-iam-authenticator#190",
	Check:  checkNodeShape,
}

func checkNodeShape(p *Pass) {
	for m := range p.Doc.Mappings() {
		username := m.Entry.Username
		if m.Entry.Dropped != "" || username == "" || p.isLeftover(username, true) {
			continue // missing-arn, empty-username and leftover-template report these
		}
		p.checkNodeGroups(m)
		if arn, err := m.Entry.Principal(); err == nil && !arn.IsRole() && m.Entry.OnlyInstances() {
			p.Reportf(m.Username, "write a username for a person", "{{EC2PrivateDNSName}} is for EC2 instances, and %q is none", m.Entry.ARN)
		}
	}
}

// checkNodeGroups compares the username of an entry with its groups.
func (p *Pass) checkNodeGroups(m awsauth.Mapping) {
	name, node := strings.CutPrefix(m.Entry.Username, "system:node:")
	node = node && name != ""
	group := slices.Index(m.Entry.Groups, "system:nodes")
	admin := slices.IndexFunc(m.Entry.Groups, func(g string) bool { return slices.Contains(p.Policy.adminGroups(), g) })
	switch {
	case group >= 0 && !node:
		p.Reportf(m.Username, "write system:node:{{EC2PrivateDNSName}}, for Fargate system:node:{{SessionName}}",
			"the group system:nodes needs a username system:node:NAME, and %q is none", m.Entry.Username)
	case !node:
	case admin >= 0:
		hint := "write another username, such as admin:{{SessionName}}, if these are people"
		if group >= 0 {
			hint = "remove the group, and give people an entry with another role"
		}
		p.Reportf(m.Groups[admin], hint,
			"the node %q would have the admin group %s", m.Entry.Username, m.Entry.Groups[admin])
	case group < 0 && !hasWrongType(m, "groups") && !p.isMisspelt(m, "groups"):
		p.Reportf(m.Username, "add the groups system:bootstrappers and system:nodes",
			"the username %q is a node's, and without the group system:nodes it may do nothing", m.Entry.Username)
	}
}
