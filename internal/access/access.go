// Package access says what effective access amounts to: which entries make admins and nodes, and which
// protected principals get their groups. Every package that asks such a question asks it here.
//
// The package is pure: it is given what the authenticator loads and answers with values.
package access

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Masters is the group that Kubernetes lets do everything, also where authorization is broken.
const Masters = "system:masters"

// NodesGroup is the group that node authorization asks for (kubernetes v1.36.3, pkg/auth/nodeidentifier).
const NodesGroup = "system:nodes"

// Certainty says how often the authenticator's answer for a caller gives something. It picks an entry at
// random where several entries of mapUsers differ only in the case of their ARNs.
type Certainty int

// Sometimes means that some of the entries that may answer give it, and others do not.
const (
	Never Certainty = iota
	Sometimes
	Always
)

// CertaintyOf says for how many of the entries that may answer a condition holds. Without entries it is Never.
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

// IsNode reports whether an entry has the shape that node authorization asks for: the group
// system:nodes and a username system:node:NAME (kubernetes v1.36.3, pkg/auth/nodeidentifier). A
// template that the authenticator does not know stays in the name, and no node is called that.
func IsNode(e *awsauth.Entry) bool {
	name, ok := strings.CutPrefix(e.Username, "system:node:")
	return ok && name != "" && slices.Contains(e.Groups, NodesGroup) && !awsauth.HasUnknownTemplate(name)
}

// SameNodes returns a condition: an entry makes the same nodes as entries did before. It has the username of
// one of them, and lets in the sessions of these nodes: not EC2 instances alone where other nodes logged in.
func SameNodes(before []*awsauth.Entry) func(*awsauth.Entry) bool {
	return func(e *awsauth.Entry) bool {
		return IsNode(e) && slices.ContainsFunc(before, func(was *awsauth.Entry) bool {
			return was.Username == e.Username && (was.OnlyInstances() || !e.OnlyInstances())
		})
	}
}

// Nodes returns the ARNs of the node roles: the principals with an entry that makes nodes.
func Nodes(m *awsauth.Map) (arns []string) {
	for _, p := range m.Principals() {
		if slices.ContainsFunc(p.Matches, IsNode) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// IsAdmin reports whether an entry lets people in with one of the admin groups; without groups, with
// system:masters. Nobody can repair aws-auth from an entry that lets in EC2 instances only.
func IsAdmin(e *awsauth.Entry, adminGroups []string) bool {
	return !e.OnlyInstances() && slices.ContainsFunc(OrMasters(adminGroups), e.Gives)
}

// Admins returns the ARNs of those of the principals that get an admin group, if only at random, and how
// certain that is for the most certain of them.
func Admins(principals []awsauth.Principal, adminGroups []string) (arns []string, most Certainty) {
	for _, p := range principals {
		if c := CertaintyOf(p.Matches, func(e *awsauth.Entry) bool { return IsAdmin(e, adminGroups) }); c > Never {
			arns = append(arns, p.ARN)
			most = max(most, c)
		}
	}
	return arns, most
}

// OrMasters returns the groups, or system:masters where there are none.
func OrMasters(groups []string) []string {
	if len(groups) == 0 {
		return []string{Masters}
	}
	return groups
}

// Protected is a principal that must keep its groups.
type Protected struct {
	ARN    string
	Groups []string
}

// IsNode reports whether the principal is protected as a node.
func (p Protected) IsNode() bool { return slices.Contains(p.Groups, NodesGroup) }

// Gets says how often the authenticator's answer gives the principal a group. An entry for EC2
// instances gives a person nothing; it counts for a principal that is protected as a node. The group
// system:authenticated stands for being able to log in, and there an entry that makes nodes counts, too.
func (p Protected) Gets(r awsauth.Resolution, group string) Certainty {
	login := group == awsauth.AuthenticatedGroup
	if login && r.Mapped && len(r.Matches) == 0 {
		return Always // by mapAccounts, which has no templates
	}
	return CertaintyOf(r.Matches, func(e *awsauth.Entry) bool {
		return (!e.OnlyInstances() || p.IsNode() || login && IsNode(e)) && e.Gives(group)
	})
}

// LosesSessions reports whether the principal's sessions could log in by the answer before, and by the answer after
// those of EC2 instances alone. A principal that is protected as a node loses nothing by it.
func (p Protected) LosesSessions(before, after awsauth.Resolution) bool {
	admitsAll := func(r awsauth.Resolution) bool {
		return r.Mapped && (len(r.Matches) == 0 || slices.ContainsFunc(r.Matches, func(e *awsauth.Entry) bool { return !e.OnlyInstances() }))
	}
	return !p.IsNode() && after.Mapped && admitsAll(before) && !admitsAll(after)
}

// GetsAll reports whether the principal certainly gets all its groups.
func (p Protected) GetsAll(m *awsauth.Map) bool {
	r := m.Resolve(p.ARN)
	return !slices.ContainsFunc(p.Groups, func(g string) bool { return p.Gets(r, g) < Always })
}

// Entries are principals with an EKS access entry, as the operator declares them. They have access whatever
// aws-auth holds.
type Entries map[string]bool

// NewEntries returns the principals with these ARNs. A role's path makes no difference.
func NewEntries(arns []string) Entries {
	entries := make(Entries, len(arns))
	for _, arn := range arns {
		entries[awsauth.PrincipalKey(arn)] = true
	}
	return entries
}

// Has reports whether the principal with an ARN has an access entry. The ARN may be that of a session.
func (e Entries) Has(arn string) bool {
	if len(e) == 0 {
		return false
	}
	if canonical, err := awsauth.Canonicalize(arn); err == nil {
		arn = canonical
	}
	return e[awsauth.PrincipalKey(arn)]
}
