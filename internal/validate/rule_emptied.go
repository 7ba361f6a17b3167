package validate

import (
	"fmt"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var emptied = &Rule{
	ID:       "emptied",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "the change leaves no mapped principal",
	Doc: `
The authenticator loads entries from the old version of aws-auth, and no entry from the new one. All mapped roles,
users and nodes lose access at once.

Keep the entries that are in use. If the new text still contains them, another finding says why the authenticator
does not load them.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap",
	Check:  checkEmptied,
}

func checkEmptied(p *Pass) {
	if p.Change.Operation == Delete {
		return // deleted reports it
	}
	n, meant := p.effective(p.Old)
	gone := p.noneLeft()
	for _, arn := range meant {
		if gone {
			p.override(AllowRemoval, arn)
		}
	}
	if n > 0 && gone {
		p.Reportf(wholeObject, p.lossHint("keep the entries that are in use", "", p.oldARNs()...), "the change takes away the access of %s, and leaves no mapped principal", counted(n))
	}
}

// oldARNs returns the ARNs of the principals that the old version maps.
func (p *Pass) oldARNs() (arns []string) {
	for _, principal := range p.Old.Principals() {
		arns = append(arns, principal.ARN)
	}
	return arns
}

// leftToEmptied reports whether no principal is left and the rule emptied reports this. If so, other rules need not
// report losses.
func (p *Pass) leftToEmptied() bool { return p.noneLeft() && p.runs(emptied) }

// noneLeft reports whether no principal or account is mapped after the change.
func (p *Pass) noneLeft() bool { return len(p.New.Principals())+len(p.New.AllowedAccounts()) == 0 }

// effective counts the principals and accounts of a version that should keep their access. It leaves out principals
// with an access entry, and node roles whose removal the annotation allow-removal allows. It returns the ARNs of these
// node roles in meant.
func (p *Pass) effective(m *awsauth.Map) (n int, meant []string) {
	n = len(m.AllowedAccounts())
	allowed := p.Change.allowedRemovals()
	for _, principal := range m.Principals() {
		named := len(allowed) > 0 && allowed[awsauth.PrincipalKey(principal.ARN)] != "" // the key is computed only if the request allows removals
		switch {
		case p.hasAccessEntry(principal.ARN):
		case named && access.CertaintyOf(principal.Matches, access.IsNode) > access.Never:
			meant = append(meant, principal.ARN)
		default:
			n++
		}
	}
	return n, meant
}

func counted(n int) string {
	if n == 1 {
		return "1 mapped principal"
	}
	return fmt.Sprintf("%d mapped principals", n)
}
