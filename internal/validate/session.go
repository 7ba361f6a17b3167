package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// sessionMaking returns a session name with which a template renders to the wanted text. It returns false if there is
// none. The caller who assumes a role chooses the session name: 2 to 64 letters, digits and =,.@_+- (STS API reference,
// AssumeRole).
func sessionMaking(template, want string) (session string, ok bool) {
	at := strings.Index(template, "{{SessionName")
	if at < 0 || at > len(want) || template[:at] != want[:at] {
		return "", false
	}
	for end := at + 2; end <= len(want) && end-at <= 64 && sessionRune(want[end-1]) && sessionRune(want[at]); end++ {
		session := want[at:end]
		if strings.NewReplacer("{{SessionName}}", session, "{{SessionNameRaw}}", session).Replace(template) == want {
			return session, true
		}
	}
	return "", false
}

func sessionRune(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_+=,.@-", c) >= 0
}

var sessionTemplates = strings.NewReplacer("{{SessionName}}", "", "{{SessionNameRaw}}", "")

// withoutSession returns the username of the entry. If the principal has no sessions, it removes the session templates,
// which then render to an empty text. Users, root and federated users have no sessions.
func withoutSession(e *awsauth.Entry) string {
	if !e.HasSessions() {
		return sessionTemplates.Replace(e.Username)
	}
	return e.Username
}
