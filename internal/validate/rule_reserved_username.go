package validate

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var reservedUsername = &Rule{
	ID:       "reserved-username",
	Severity: Deny,
	Title:    "a username belongs to Kubernetes, EKS or AWS",
	Doc: `
EKS uses usernames that begin with eks:, and the guard admits every change by EKS. So a principal with such a
username could change aws-auth without a refusal. The components of Kubernetes use usernames that begin with system:,
and some of these have rights of their own. Entries may use only system:node:, for nodes. The caller who assumes a
role chooses the session name, so {{SessionName}} before a colon can become any of these prefixes. AWS reserves the
prefixes aws:, amazon: and iam:. For these the rule only warns.

Write a username without these prefixes.`,
	Source: "EKS user guide, \"Create access entries\" (reserved prefixes); aws-iam-authenticator v0.7.18, pkg/config/types.go, ReservedPrefixConfig",
	Check:  checkReservedUsername,
}

func checkReservedUsername(p *Pass) {
	for m := range p.Doc.Mappings() {
		if m.Entry.Dropped != "" {
			continue // missing-arn reports it, and no caller gets the username
		}
		name := m.Username.Value
		switch username := withoutSession(m.Entry); {
		case strings.HasPrefix(username, "system:node:"), strings.HasPrefix(username, "system:") && slices.Contains(m.Entry.Groups, "system:nodes"):
			// node-shape checks these
		case strings.HasPrefix(username, "eks:"):
			p.Grantf(m.Username, unreservedHint(m.Entry), "the prefix of the username %q belongs to EKS itself", name)
		case strings.HasPrefix(username, "system:"):
			p.Grantf(m.Username, unreservedHint(m.Entry), "the prefix of the username %q belongs to Kubernetes itself", name)
		case strings.HasPrefix(username, "aws:"), strings.HasPrefix(username, "amazon:"), strings.HasPrefix(username, "iam:"):
			p.Warnf(m.Username, unreservedHint(m.Entry), "the prefix of the username %q is reserved for AWS", name)
		default:
			before, _, colon := strings.Cut(username, ":")
			session, ok := sessionMaking(before, "eks")
			if !ok {
				session, ok = sessionMaking(before, "system")
			}
			if ok && colon {
				p.Grantf(m.Username, "write "+scalar("sso:"+name), "for a session named %q the username %q would become a reserved name", session, name)
			}
		}
	}
}

// unreservedHint returns the hint to write a username without a reserved prefix.
func unreservedHint(e *awsauth.Entry) string {
	if e.HasSessions() {
		return "write " + scalar(forPeople(e.Username))
	}
	return "write " + scalar(withoutReserved(withoutSession(e)))
}

// withoutReserved returns a username without reserved prefixes, or NAME if nothing is left.
func withoutReserved(name string) string {
	for {
		rest := name
		for _, prefix := range []string{"eks:", "system:", "aws:", "amazon:", "iam:"} {
			rest = strings.TrimPrefix(rest, prefix)
		}
		if rest == "" {
			return "NAME"
		}
		if rest == name {
			return name
		}
		name = rest
	}
}
