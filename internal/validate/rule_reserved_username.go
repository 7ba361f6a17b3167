package validate

import (
	"slices"
	"strings"
)

var reservedUsername = &Rule{
	ID:       "reserved-username",
	Severity: Deny,
	Title:    "a username belongs to Kubernetes, EKS or AWS",
	Doc: `
EKS itself acts under usernames that begin with eks:, and the guard never stands in its way: whoever
gets such a name could change aws-auth unseen. Names that begin with system: are those of the
components of Kubernetes, and some hold rights of their own; only system:node: is for entries, of
nodes. Whoever assumes a role chooses the session's name, so that {{SessionName}} before a colon can
be any of them. The prefixes aws:, amazon: and iam: are reserved for AWS, and draw a warning.

Write a username without these prefixes.`,
	Source: "EKS user guide, \"Create access entries\" (reserved prefixes); aws-iam-authenticator v0.7.18, pkg/config/types.go, ReservedPrefixConfig",
	Check:  checkReservedUsername,
}

func checkReservedUsername(p *Pass) {
	const hint = "write a username without the prefix"
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped != "" {
			continue // missing-arn reports it, and nobody gets the name
		}
		name := m.Username.Value
		switch username := withoutSession(m.Entry); {
		case strings.HasPrefix(username, "system:node:"), strings.HasPrefix(username, "system:") && slices.Contains(m.Entry.Groups, "system:nodes"):
			// node-shape reports on these
		case strings.HasPrefix(username, "eks:"):
			p.Grantf(m.Username, hint, "the prefix of the username %q belongs to EKS itself", name)
		case strings.HasPrefix(username, "system:"):
			p.Grantf(m.Username, hint, "the prefix of the username %q belongs to Kubernetes itself", name)
		case strings.HasPrefix(username, "aws:"), strings.HasPrefix(username, "amazon:"), strings.HasPrefix(username, "iam:"):
			p.Warnf(m.Username, hint, "the prefix of the username %q is reserved for AWS", name)
		default:
			before, _, colon := strings.Cut(username, ":")
			session, ok := sessionMaking(before, "eks")
			if !ok {
				session, ok = sessionMaking(before, "system")
			}
			if ok && colon {
				p.Grantf(m.Username, "write another text before the template", "a session named %q would make a reserved name of the username %q", session, name)
			}
		}
	}
}
