package validate

import (
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var nodeRoleRemoved = &Rule{
	ID:       "node-role-removed",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "the change removes a node role, or its nodes can no longer log in",
	Doc: `
Nodes log in through the entry of their role, with the group system:nodes and a username that begins with
system:node:. Without the entry, running nodes turn NotReady and new nodes do not join. Tools that write the whole
map remove the roles that EKS or another tool has added. Nodes also lose access if the authenticator can't render
the entry for their sessions: {{EC2PrivateDNSName}} in a group of a Fargate role makes it refuse every Fargate node.

Some kinds of nodes need another group: kube-proxy on Windows needs eks:kube-proxy-windows, kube-proxy on Fargate
needs system:node-proxier, and nodes that bootstrap need system:bootstrappers. If a node role loses one of these
groups, the guard warns. If no other node role has the lost group, and it is one of the two groups of kube-proxy,
the guard refuses the change.

Keep the entry as it was: its username, such as system:node:{{EC2PrivateDNSName}} for EC2 and
system:node:{{SessionName}} for Fargate, and its groups. To retire a node role, delete its node group. Then remove the
entry, and set the annotation awsauth-guard.io/allow-removal to the role's ARN in the same change.

Some tools, such as eksctl, can't set an annotation in the change that removes the entry. Before you run such a
tool, set the annotation to "until TIME ARN", with a time in RFC 3339 that is at most an hour ahead. Until that time
every change may remove the role. See [Retire a node group](../how-to/retire-a-node-group.md).`,
	Source: "kubernetes v1.36.3, pkg/auth/nodeidentifier/default.go; aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate; EKS user guide, \"Enable Windows support\"; terraform-aws-eks#624, #1786, #2289; containers-roadmap#1977",
	Check:  checkNodeRoleRemoved,
}

func checkNodeRoleRemoved(p *Pass) {
	removals, used := p.Change.removals(), make(map[string]bool)
	allowed := removals.arns
	given := givenGroups(p.New)
	for _, principal := range p.Old.Principals() {
		if access.CertaintyOf(principal.Matches, access.IsNode) == access.Never || p.hasAccessEntry(principal.ARN) {
			continue
		}
		matches := p.New.MatchesOf(principal.ARN)
		if keepsNodes(principal, p.New) {
			p.checkNodeKind(principal, matches, given, allowed, used)
			continue
		}
		if _, ok := allowed[awsauth.PrincipalKey(principal.ARN)]; ok {
			p.override(AllowRemoval, principal.ARN)
			used[awsauth.PrincipalKey(principal.ARN)] = true
			continue
		}
		if len(matches) == 0 {
			section := principal.Matches[0].Section
			hint := p.lossHint("keep the entry of "+principal.ARN, section, principal.ARN)
			if p.Change.Operation != Delete && !p.newlyLost(section) {
				hint += ", or set the annotation " + AllowRemovalAnnotation + " to this ARN, in the same change or beforehand as \"until TIME ARN\""
				if removals.denied != "" {
					hint += " (" + removals.denied + ")"
				}
			}
			p.Reportf(sectionPlace(section), hint,
				"the node role %q would no longer be mapped, and its nodes would turn NotReady", principal.ARN)
			continue
		}
		problem := "no longer give its nodes their username and groups"
		if !slices.ContainsFunc(principal.Matches, (*awsauth.Entry).OnlyInstances) && slices.ContainsFunc(matches, (*awsauth.Entry).OnlyInstances) {
			problem = "let in only EC2 instances, because it uses {{EC2PrivateDNSName}}"
		}
		p.Reportf(p.entryPlace(matches[0]),
			"keep username: "+principal.Matches[0].Username+" and the groups ["+strings.Join(principal.Matches[0].Groups, ", ")+"]",
			"the entry of the node role %q would %s, and its nodes would turn NotReady", principal.ARN, problem)
	}
	p.reportUnused(removals, used)
	p.warnOfPathsRemoved()
}

// reportUnused warns about each ARN in the annotation allow-removal whose node role the change does not remove. It does
// not warn if the annotation allows removals by later changes.
func (p *Pass) reportUnused(r removals, used map[string]bool) {
	if p.Change.sets(AllowRemovalAnnotation) == "" || r.later {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(r.arns)) {
		if !used[key] {
			p.Warnf(annotations, "write the ARN of a node role that this change removes; for a later change write \"until TIME ARN\"", "%s names %q, but this change removes no such node role", AllowRemovalAnnotation, r.arns[key])
		}
	}
}

// kindGroups are the groups that nodes of one kind need in addition to system:nodes. required is true if the nodes of
// this kind have no network when no role gives the group. EKS nodes log in with IAM, so they don't need
// system:bootstrappers.
var kindGroups = []struct {
	name     string
	required bool
}{{access.WindowsProxyGroup, true}, {access.FargateProxyGroup, true}, {access.BootstrappersGroup, false}}

// givenGroups returns the kindGroups that at least one node role gets with certainty.
func givenGroups(m *awsauth.Map) map[string]bool {
	given := make(map[string]bool)
	for _, role := range m.Principals() {
		for _, group := range kindGroups {
			if !given[group.name] && access.CertaintyOf(role.Matches, givesNodes(group.name)) == access.Always {
				given[group.name] = true
			}
		}
	}
	return given
}

func givesNodes(group string) func(*awsauth.Entry) bool {
	return func(e *awsauth.Entry) bool { return access.IsNode(e) && e.Gives(group) }
}

// checkNodeKind reports each of the kindGroups that a node role loses while its nodes can still log in. The parameters
// are:
//   - matches: the entries of the role after the change
//   - given: the groups that at least one node role still gets with certainty
//   - allowed: the removals that the request acknowledges, by [awsauth.PrincipalKey]
//   - used: the allowed removals that the change needs; checkNodeKind adds to them
func (p *Pass) checkNodeKind(role awsauth.Principal, matches []*awsauth.Entry, given map[string]bool, allowed map[string]string, used map[string]bool) {
	for _, group := range kindGroups {
		gives := givesNodes(group.name)
		if access.CertaintyOf(matches, gives) >= access.CertaintyOf(role.Matches, gives) {
			continue
		}
		key := awsauth.PrincipalKey(role.ARN)
		if _, ok := allowed[key]; ok {
			p.override(AllowRemoval, role.ARN)
			used[key] = true
			continue
		}
		hint := "keep the group " + group.name
		if group.required && !given[group.name] {
			p.Reportf(p.entryPlace(matches[0]), hint, "the node role %q is the last one with the group %s, and would lose it", role.ARN, group.name)
			continue
		}
		p.Warnf(p.entryPlace(matches[0]), hint, "the node role %q would lose the group %s, which nodes of its kind need", role.ARN, group.name)
	}
}

// warnOfPathsRemoved warns about the removal of node entries that never matched because their ARN has a path. EKS writes
// such an entry if the role of a node group has a path. When the entry is missing, EKS reports the node group as degraded.
func (p *Pass) warnOfPathsRemoved() {
	if p.Change.Operation == Delete {
		return // deleted reports it
	}
	for i := range p.Old.Roles {
		e := &p.Old.Roles[i]
		arn, err := e.Principal()
		role, path := arn.WithoutPath()
		if err != nil || !path || e.Dropped != "" || !access.IsNode(e) || p.hasAccessEntry(e.ARN) {
			continue
		}
		kept := len(p.New.MatchesOf(e.ARN)) > 0
		repaired := len(p.New.MatchesOf(role.String())) > 0 && len(p.Old.MatchesOf(role.String())) == 0
		if !kept && !repaired && p.New.LoadError(awsauth.MapRoles) == nil {
			p.Warnf(sectionPlace(awsauth.MapRoles), "if EKS wrote the entry, keep it beside one without the path",
				"the change removes the entry of %q; it never matched, but EKS reports a node group as degraded if its entry is missing", e.ARN)
		}
	}
}
