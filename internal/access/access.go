// Package access computes and classifies effective access. A cluster has two sources of access: the entries of
// aws-auth, and EKS access entries, which win over aws-auth. Only this package decides how a caller logs in, which
// entries make admins and nodes, and which protected principals get their groups.
//
// The package is pure: it takes the aws-auth that the authenticator loads and the access entries, and returns values.
package access

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Masters is the group whose members may make every request. The API server allows their requests before it asks any
// other authorizer, such as RBAC. So they can also repair RBAC.
const Masters = "system:masters"

// NodesGroup is the group that node authorization requires (kubernetes v1.36.3, pkg/auth/nodeidentifier).
const NodesGroup = "system:nodes"

// The groups that some nodes need in addition to NodesGroup:
//   - WindowsProxyGroup is for nodes with Windows, which run kube-proxy (EKS user guide, "Enable Windows support").
//   - FargateProxyGroup is for nodes of Fargate, which run kube-proxy (EKS user guide, "Amazon EKS Pod execution IAM
//     role").
//   - BootstrappersGroup is for nodes that ask for their first certificate (Kubernetes documentation, "TLS
//     bootstrapping").
const (
	WindowsProxyGroup  = "eks:kube-proxy-windows"
	FargateProxyGroup  = "system:node-proxier"
	BootstrappersGroup = "system:bootstrappers"
)

// Certainty is how often the authenticator's answers for one caller fulfil a condition. The answers differ if several
// entries of mapUsers have ARNs that differ only in case, because the authenticator picks one of them at random.
type Certainty int

// The degrees of certainty, in ascending order.
const (
	Never     Certainty = iota // no answer fulfils the condition, or there is no answer
	Sometimes                  // some answers fulfil the condition, and others don't
	Always                     // every answer fulfils the condition
)

// CertaintyOf returns how often a condition holds for the authenticator's answers. matches are the entries that the
// authenticator may answer with. The result is Always if the condition holds for all of them, Sometimes if it holds for
// some, and Never if it holds for none. It is also Never if there are no matches.
func CertaintyOf(matches []*awsauth.Entry, holds func(*awsauth.Entry) bool) Certainty {
	n := 0
	for _, e := range matches {
		if holds(e) {
			n++
		}
	}
	switch n {
	case 0:
		return Never
	case len(matches):
		return Always
	}
	return Sometimes
}

// IsNode reports whether an entry has the group and the username that node authorization requires: system:nodes and
// system:node:NAME (kubernetes v1.36.3, pkg/auth/nodeidentifier). It returns false for a username with an unknown
// template, because the template stays in the name, and no node has such a name.
func IsNode(e *awsauth.Entry) bool {
	name, ok := strings.CutPrefix(e.Username, "system:node:")
	return ok && name != "" && slices.Contains(e.Groups, NodesGroup) && !awsauth.HasUnknownTemplate(name)
}

// SameNodes returns a function. For an entry of the new version, the function reports whether nodes can log in through
// the entry with the username that an entry in before has. An entry that admits only EC2 instances counts only if the
// entry in before admits only EC2 instances, too.
func SameNodes(before []*awsauth.Entry) func(*awsauth.Entry) bool {
	return func(e *awsauth.Entry) bool {
		return IsNode(e) && slices.ContainsFunc(before, func(was *awsauth.Entry) bool {
			return was.Username == e.Username && (was.OnlyInstances() || !e.OnlyInstances())
		})
	}
}

// Nodes returns the ARNs of the node roles. A node role is a principal with an entry through which nodes log in.
func Nodes(principals []awsauth.Principal) (arns []string) {
	for _, p := range principals {
		if slices.ContainsFunc(p.Matches, IsNode) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// IsAdmin reports whether an entry gives people one of the admin groups, or system:masters if adminGroups is empty. An
// entry that admits only EC2 instances does not count, because no person can log in through it to repair aws-auth.
func IsAdmin(e *awsauth.Entry, adminGroups []string) bool {
	return !e.OnlyInstances() && slices.ContainsFunc(OrMasters(adminGroups), e.Gives)
}

// AdminBy returns how often the authenticator's answer makes the caller an admin. matches are the entries that the
// authenticator may answer with. If adminGroups is empty, the admin group is system:masters.
func AdminBy(matches []*awsauth.Entry, adminGroups []string) Certainty {
	return CertaintyOf(matches, func(e *awsauth.Entry) bool { return IsAdmin(e, adminGroups) })
}

// Admins returns the ARNs of the principals that get an admin group always or sometimes. It also returns the highest
// certainty with which one of them gets it. If adminGroups is empty, the admin group is system:masters.
func Admins(principals []awsauth.Principal, adminGroups []string) (arns []string, most Certainty) {
	for _, p := range principals {
		if c := AdminBy(p.Matches, adminGroups); c > Never {
			arns = append(arns, p.ARN)
			most = max(most, c)
		}
	}
	return arns, most
}

// OrMasters returns the groups, or system:masters if there are none.
func OrMasters(groups []string) []string {
	if len(groups) == 0 {
		return []string{Masters}
	}
	return groups
}

// Protected is a principal that must keep its groups, or stay an admin.
type Protected struct {
	ARN    string
	Groups []string
	// Admin means that the principal must be an admin, through aws-auth or through an access entry.
	Admin bool
}

// IsNode reports whether the principal is protected as a node role.
func (p Protected) IsNode() bool { return slices.Contains(p.Groups, NodesGroup) }

// Gets returns how often the authenticator's answer r gives the principal a group. An entry that admits only EC2
// instances counts only for a principal that is protected as a node role. The group system:authenticated stands for the
// ability to log in. For this group an entry through which nodes log in counts for every principal, and an account of
// mapAccounts counts, too.
func (p Protected) Gets(r awsauth.Resolution, group string) Certainty {
	login := group == awsauth.AuthenticatedGroup
	if login && r.Mapped && len(r.Matches) == 0 {
		return Always // mapAccounts answers; it has no templates
	}
	return CertaintyOf(r.Matches, func(e *awsauth.Entry) bool {
		return (!e.OnlyInstances() || p.IsNode() || login && IsNode(e)) && e.Gives(group)
	})
}

// LosesSessions reports whether a change locks out all sessions of the principal that are not EC2 instances. before and
// after are the authenticator's answers before and after the change. LosesSessions returns false if the change locks
// out EC2 instances, too. It also returns false for a principal that is protected as a node role.
func (p Protected) LosesSessions(before, after awsauth.Resolution) bool {
	admitsAll := func(r awsauth.Resolution) bool {
		return r.Mapped && (len(r.Matches) == 0 || slices.ContainsFunc(r.Matches, func(e *awsauth.Entry) bool { return !e.OnlyInstances() }))
	}
	return !p.IsNode() && after.Mapped && admitsAll(before) && !admitsAll(after)
}

// GetsAll reports whether aws-auth certainly gives the principal all its groups. If the principal must be an admin,
// aws-auth must also certainly give it one of the admin groups, or system:masters if adminGroups is empty.
func (p Protected) GetsAll(m *awsauth.Map, adminGroups []string) bool {
	r := m.Resolve(p.ARN)
	return (!p.Admin || AdminBy(r.Matches, adminGroups) == Always) &&
		!slices.ContainsFunc(p.Groups, func(g string) bool { return p.Gets(r, g) < Always })
}
