package validate

import (
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var emptied = &Rule{
	ID:       "emptied",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "nobody and no node is mapped any more",
	Doc: `
Before the change the authenticator loaded entries from aws-auth, and after it there are none: all
roles, users and nodes that are mapped lose access at once.

Keep the entries that are in use. If the text still shows them, another finding says why they are
not loaded.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap",
	Check:  checkEmptied,
}

func checkEmptied(p *Pass) {
	if p.Change.Operation == Delete {
		return // deleted reports it
	}
	if n := p.effective(p.Old); n > 0 && len(p.New.Principals())+len(p.New.AllowedAccounts()) == 0 {
		p.Reportf(wholeObject, "keep the entries that are in use", "the change takes away the access of %s, and nobody is left", counted(n))
	}
}

// effective counts the principals and accounts of the old version that can lose access without
// anybody meaning it: not those that access entries let in, and not node roles whose removal the
// request acknowledges.
func (p *Pass) effective(m *awsauth.Map) int {
	n, allowed := len(m.AllowedAccounts()), p.Change.allowedRemovals()
	for _, principal := range m.Principals() {
		_, meant := allowed[awsauth.PrincipalKey(principal.ARN)]
		meant = meant && certaintyOf(principal.Matches, isNode) > never
		if !meant && !p.hasAccessEntry(principal.ARN) {
			n++
		}
	}
	return n
}

func counted(n int) string {
	if n == 1 {
		return "1 mapped principal"
	}
	return fmt.Sprintf("%d mapped principals", n)
}
