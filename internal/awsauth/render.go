package awsauth

import (
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// InstanceTemplate is the template that the authenticator renders only for EC2 instances, see [Entry.OnlyInstances].
const InstanceTemplate = "{{EC2PrivateDNSName}}"

// AuthenticatedGroup is the group that the API server adds to every login (kubernetes v1.36.3,
// staging/src/k8s.io/apiserver/pkg/authentication/group/authenticated_group_adder.go).
const AuthenticatedGroup = "system:authenticated"

// instanceSession matches the session name of an EC2 instance (aws-iam-authenticator v0.7.18,
// pkg/server/server.go, instanceIDPattern).
var instanceSession = regexp.MustCompile(`^i-(\w{8}|\w{17})$`)

// Caller holds the values with which the authenticator renders the templates of an entry.
type Caller struct {
	AccountID string
	// SessionName is empty for IAM users, account roots and federated users, which have no session.
	SessionName string
	// SessionUnknown means that the caller has a session whose name is not known.
	SessionUnknown bool
	// AccessKeyID is empty if it is not known.
	AccessKeyID string
}

// IsInstance reports whether the caller's session name is that of an EC2 instance.
func (c Caller) IsInstance() bool { return instanceSession.MatchString(c.SessionName) }

// OnlyInstances reports whether the entry admits only EC2 instances. If the username or a group holds the template
// {{EC2PrivateDNSName}}, the authenticator refuses a caller whose session name is not an instance id
// (pkg/server/server.go, renderTemplate).
func (e *Entry) OnlyInstances() bool {
	return strings.Contains(e.Username, InstanceTemplate) ||
		slices.ContainsFunc(e.Groups, func(g string) bool { return strings.Contains(g, InstanceTemplate) })
}

// Admits reports whether the authenticator admits a caller that matches the entry. If OnlyInstances is true, the
// authenticator admits only EC2 instances, because it can't render the entry for other callers. A session with an
// unknown name counts as an instance.
func (e *Entry) Admits(c Caller) bool {
	return c.IsInstance() || c.SessionUnknown || !e.OnlyInstances()
}

// Gives reports whether every caller that the entry admits gets a group. It returns true for system:authenticated. In
// the entry's groups it renders only templates that have the same value for all these callers. These are {{AccountID}}
// and, for a principal without sessions, the session name, which is empty.
func (e *Entry) Gives(group string) bool {
	return group == AuthenticatedGroup || slices.ContainsFunc(e.Groups, func(g string) bool {
		return g == group || strings.Contains(g, "{{") && e.renderShared(g) == group
	})
}

func (e *Entry) renderShared(template string) string {
	return Caller{AccountID: AccountOf(e.ARN), SessionUnknown: e.HasSessions()}.render(template)
}

// HasSessions reports whether callers that match the entry have a session name. Callers of a role have a session name.
// IAM users, account roots and federated users have none. HasSessions returns true if the entry's ARN is not the ARN of
// a principal.
func (e *Entry) HasSessions() bool {
	arn, err := e.Principal()
	_, session := arn.SessionRole()
	return e.ARN == "" || err != nil || arn.IsRole() || session
}

// GivesTo reports whether an admitted caller gets a group from the entry. If the value of a template is not known,
// GivesTo returns true if any value gives the caller the group.
func (e *Entry) GivesTo(c Caller, group string) bool {
	return group == AuthenticatedGroup || slices.ContainsFunc(e.Groups, func(g string) bool {
		return g == group || strings.Contains(g, "{{") && matchesTemplate(c.render(g), group)
	})
}

// RenderedGroups returns the groups that a caller gets from the entry, in the entry's order. A template stays in a
// group if its value is not known.
func (e *Entry) RenderedGroups(c Caller) []string {
	rendered := make([]string, len(e.Groups))
	for i, template := range e.Groups {
		rendered[i] = c.render(template)
	}
	return rendered
}

// RenderedUsername returns the username that a caller gets from the entry. A template stays in the username if its
// value is not known.
func (e *Entry) RenderedUsername(c Caller) string { return c.render(e.Username) }

// Render renders the entry's templates for a caller. It returns false if the entry holds {{EC2PrivateDNSName}}, because
// only the EC2 API knows this name.
func (e *Entry) Render(c Caller) (username string, groups []string, ok bool) {
	if e.OnlyInstances() {
		return "", nil, false
	}
	return c.render(e.Username), e.RenderedGroups(c), true
}

// render replaces the templates in the authenticator's order (pkg/server/server.go, renderTemplate). It leaves
// {{EC2PrivateDNSName}} and the templates whose value is not known.
func (c Caller) render(template string) string {
	if !strings.Contains(template, "{{") {
		return template
	}
	replace := func(name, value string) { template = strings.ReplaceAll(template, name, value) }
	replace("{{AccountID}}", c.AccountID)
	if !c.SessionUnknown {
		replace("{{SessionName}}", strings.ReplaceAll(c.SessionName, "@", "-"))
		replace("{{SessionNameRaw}}", c.SessionName)
	}
	if c.AccessKeyID != "" {
		replace("{{AccessKeyID}}", c.AccessKeyID)
	}
	return template
}

// GivesLogin reports whether a caller who logs in through the entry can have this username and this set of groups. It
// ignores the group system:authenticated, which the API server adds to every login. A template whose value is not known
// matches any text. The value of {{EC2PrivateDNSName}} is never known, because it comes from the EC2 API. The session
// name and the id of the access key may be unknown, see [Caller].
func (e *Entry) GivesLogin(c Caller, username string, groups []string) bool {
	if !e.Admits(c) || !matchesTemplate(c.render(e.Username), username) {
		return false
	}
	rendered := withoutAuthenticated(e.RenderedGroups(c))
	groups = withoutAuthenticated(groups)
	if slices.Equal(rendered, groups) {
		return true
	}
	for _, template := range rendered {
		if !slices.ContainsFunc(groups, func(g string) bool { return matchesTemplate(template, g) }) {
			return false
		}
	}
	for _, g := range groups {
		if !slices.ContainsFunc(rendered, func(template string) bool { return matchesTemplate(template, g) }) {
			return false
		}
	}
	return true
}

// withoutAuthenticated returns the groups as a sorted set without system:authenticated.
func withoutAuthenticated(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groupSet(groups)), func(g string) bool { return g == AuthenticatedGroup })
}

// unknownTemplates matches the templates that remain in a rendered text if their value is not known.
var unknownTemplates = regexp.MustCompile(`\{\{(?:EC2PrivateDNSName|SessionName|SessionNameRaw|AccessKeyID)\}\}`)

// matchesTemplate reports whether a text equals a rendered template. A template that is still in the rendered text
// matches any text.
func matchesTemplate(template, text string) bool {
	if template == text {
		return true
	}
	if !strings.Contains(template, "{{") {
		return false
	}
	return matchesParts(unknownTemplates.Split(template, -1), text, func(string) bool { return true })
}

// matchesParts reports whether a text consists of the parts, in their order, with a value between each two parts. A value
// may be empty. isValue must return true for each value, and must check each character of a value on its own. So
// matchesParts tries only the first place of each part between the first and the last part. If isValue accepts every
// character of the part, the first place leaves the most text for the parts after it. Otherwise the part has a character
// that isValue doesn't accept. No value may hold this character, so a later place can't match.
func matchesParts(parts []string, text string, isValue func(string) bool) bool {
	last := len(parts) - 1
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok || last == 0 {
		return ok && text == ""
	}
	for _, part := range parts[1:last] {
		var value string
		if value, text, ok = strings.Cut(text, part); !ok || !isValue(value) {
			return false
		}
	}
	value, ok := strings.CutSuffix(text, parts[last])
	return ok && isValue(value)
}

// Renderings describes the texts to which a username or group of an entry can render for the caller. It returns the
// fixed prefix of all these texts, and a function that reports whether a text is one of them. If the value of
// {{SessionName}}, for example, is not known, any value that AWS allows is possible.
func (c Caller) Renderings(template string) (prefix string, holds func(text string) bool) {
	parts := unknownTemplates.Split(c.render(template), -1)
	return parts[0], func(text string) bool { return matchesParts(parts, text, maybeValue) }
}

// maybeValue reports whether a text can be the value of a template whose value is not known. A session name has only
// ASCII letters, digits and the characters +=,.@-_ (STS API reference, AssumeRole). The private DNS names of EC2
// instances and the ids of access keys have only these characters, too.
func maybeValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf || !nameRune(r) })
}
