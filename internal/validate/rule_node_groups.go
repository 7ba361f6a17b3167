package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeGroups = &Rule{
	ID:       "node-groups",
	Severity: Warn,
	Title:    "a node role lacks a group or template that nodes of its kind need",
	Doc: `
kube-proxy on Windows nodes logs in as the node and needs the group eks:kube-proxy-windows. kube-proxy on Fargate
needs system:node-proxier, and the authenticator can't render {{EC2PrivateDNSName}} for Fargate nodes, because their
session name is not the id of an instance.

aws-auth doesn't show the kind of a node. The rule assumes that a node role is for Windows or Fargate nodes if its
name contains the word Windows or Fargate. If a change takes such a group from any node role, the rule
node-role-removed reports it.

Add the group, and write system:node:{{SessionName}} for Fargate.`,
	Source: "EKS user guide, \"Enable Windows support\" and \"Amazon EKS Pod execution IAM role\"; containers-roadmap#1977; terraform-aws-eks#2471",
	Check:  checkNodeGroups,
}

func checkNodeGroups(p *Pass) {
	for m := range p.Doc.Mappings() {
		arn, err := m.Entry.Principal()
		if err != nil || m.Entry.Dropped != "" || !access.IsNode(m.Entry) {
			continue // malformed-arn, missing-arn and node-shape report the faulty ones
		}
		name := strings.ToLower(arn.Name())
		windows, fargate := strings.Contains(name, "windows"), strings.Contains(name, "fargate")
		switch {
		case windows == fargate: // neither, or a role of both kinds
		case windows:
			p.checkKindGroup(m, "Windows", access.WindowsProxyGroup)
		default:
			p.checkKindGroup(m, "Fargate", access.FargateProxyGroup)
			if m.Entry.OnlyInstances() && instanceField(m) == m.Username {
				p.Reportf(m.Username, "write system:node:{{SessionName}}",
					"%q is a role of Fargate, whose nodes can't log in with an entry that uses {{EC2PrivateDNSName}}", m.Entry.ARN)
			}
		}
	}
}

// checkKindGroup reports a node role that lacks the group of its kind. If the change takes the group away, the rule
// node-role-removed reports it instead.
func (p *Pass) checkKindGroup(m awsauth.Mapping, kind, group string) {
	if m.Entry.Gives(group) || access.CertaintyOf(p.Old.MatchesOf(m.Entry.ARN), givesNodes(group)) > access.Never && p.runs(nodeRoleRemoved) {
		return
	}
	p.Reportf(m.ARN, "add the group "+group, "%q is a node role of %s by its name and lacks the group %s, which kube-proxy needs", m.Entry.ARN, kind, group)
}
