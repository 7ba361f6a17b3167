package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var emptyUsername = &Rule{
	ID:       "empty-username",
	Severity: Deny,
	Title:    "an entry gives no username",
	Doc: `
Without a username the authenticator lets the caller in under an empty name. It does not use the ARN, although older
documentation says so. Direct requests to the API server then have the rights of the entry's groups. But requests
through the aggregation layer, such as those of kubectl top, fail with Unauthorized, and the audit log has no
username. The template {{SessionName}} is empty for IAM users, who have no session.

Write a username, such as the role's name, or admin:{{SessionName}} for people who share a role.`,
	Source: "kubernetes v1.36.3, apiserver/pkg/authentication/request/headerrequest; aws-cdk#5263; aws-iam-authenticator#289",
	Check:  checkEmptyUsername,
}

func checkEmptyUsername(p *Pass) {
	for m := range p.Doc.Mappings() {
		switch {
		case !m.IsMapping() || hasWrongType(m, "username"):
			// not-a-mapping and wrong-type report these
		case m.Entry.Username == "":
			if p.isMisspelt(m, "username") || p.usernameBelow(m) {
				continue // misspelt-key and missing-arn report these
			}
			p.Reportf(m.Username, "write username: "+nameOf(m), "the entry has no username, and without one a caller logs in under an empty name")
		case withoutSession(m.Entry) == "": // STS gives sessions to roles alone (pkg/token/token.go)
			p.Reportf(m.Username, "write "+nameOf(m), "the username %q is empty for an IAM user, who has no session", m.Entry.Username)
		}
	}
}

// usernameBelow reports whether the rule missing-arn reports that this element and the one above or below it are parts
// of one entry.
func (p *Pass) usernameBelow(m awsauth.Mapping) bool {
	list := p.Doc.Roles
	if m.Entry.Section == awsauth.MapUsers {
		list = p.Doc.Users
	}
	next := m.Entry.Index + 1
	return p.runs(missingARN) && (p.continuesAbove(m) || m.Entry.ARN != "" && next < len(list) && list[next].HasKey("username") && p.continuesAbove(list[next]))
}

// nameOf returns a username for the hint: the name in the element's ARN, or NAME if the ARN is not that of a principal.
func nameOf(m awsauth.Mapping) string {
	if arn, err := m.Entry.Principal(); err == nil && m.Entry.ARN != "" {
		return scalar(arn.Name())
	}
	return "NAME"
}
