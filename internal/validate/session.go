package validate

import (
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// sessionMaking returns a session name with which the template renders to the text want. It returns false if there is
// no such session name. A session name has 2 to 64 letters, digits and =,.@_+- (STS API reference, AssumeRole). The
// caller who assumes the role chooses it.
func sessionMaking(template, want string) (session string, ok bool) {
	at := strings.Index(template, "{{SessionName")
	if at < 0 || at > len(want) || template[:at] != want[:at] {
		return "", false
	}
	for end := at + 2; end <= len(want) && end-at <= 64 && sessionRune(want[end-1]) && sessionRune(want[at]); end++ {
		session := want[at:end]
		if strings.NewReplacer("{{SessionName}}", strings.ReplaceAll(session, "@", "-"), "{{SessionNameRaw}}", session).Replace(template) == want {
			return session, true
		}
	}
	return "", false
}

func sessionRune(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("_+=,.@-", c) >= 0
}

var sessionTemplates = strings.NewReplacer("{{SessionName}}", "", "{{SessionNameRaw}}", "")

// withoutSession returns the username of the entry. Users, root and federated users have no sessions: for them,
// withoutSession removes the session templates, which render to an empty text.
func withoutSession(e *awsauth.Entry) string {
	if !e.HasSessions() {
		return sessionTemplates.Replace(e.Username)
	}
	return e.Username
}
