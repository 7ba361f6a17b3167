package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var reservedUsername = &Rule{
	ID:       "reserved-username",
	Severity: Deny,
	Title:    "a username belongs to Kubernetes, EKS or AWS",
	Doc: `
EKS itself acts under usernames that begin with eks:, and the guard never stands in its way: whoever
gets such a name could change aws-auth unseen. Names that begin with system: are those of the
components of Kubernetes, and some hold rights of their own; only system:node: is for entries, of
nodes. The prefixes aws:, amazon: and iam: are reserved for AWS, and draw a warning.

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
		case strings.HasPrefix(username, "system:node:"): // node-shape reports on these
		case strings.HasPrefix(username, "eks:"):
			p.Reportf(m.Username, hint, "the prefix of the username %q belongs to EKS itself", name)
		case strings.HasPrefix(username, "system:"):
			p.Reportf(m.Username, hint, "the prefix of the username %q belongs to Kubernetes itself", name)
		case strings.HasPrefix(username, "aws:"), strings.HasPrefix(username, "amazon:"), strings.HasPrefix(username, "iam:"):
			p.Warnf(m.Username, hint, "the prefix of the username %q is reserved for AWS", name)
		default:
			if session, ok := sessionOf(username); ok {
				p.Warnf(m.Username, "write a text before the template", "a session named %q would make a reserved name of the username %q", session, name)
			}
		}
	}
}

var sessionTemplates = strings.NewReplacer("{{SessionName}}", "", "{{SessionNameRaw}}", "")

// withoutSession is the username of the entry; for a principal without sessions (users, root and
// federated users) without the templates that are empty for it.
func withoutSession(e *awsauth.Entry) string {
	if arn, err := e.Principal(); err == nil && !arn.IsRole() {
		return sessionTemplates.Replace(e.Username)
	}
	return e.Username
}

// sessionOf returns the name of a session that would give a username one of the prefixes eks: and
// system:. Whoever assumes a role chooses the session's name, of at least two characters and
// without a colon (STS API reference, AssumeRole).
func sessionOf(username string) (string, bool) {
	rest := strings.TrimPrefix(strings.TrimPrefix(username, "{{SessionNameRaw}}"), "{{SessionName}}")
	before, _, colon := strings.Cut(rest, ":")
	if rest == username || !colon {
		return "", false
	}
	for _, reserved := range []string{"eks", "system"} {
		if session, ok := strings.CutSuffix(reserved, before); ok && len(session) >= 2 {
			return session, true
		}
	}
	return "", false
}
