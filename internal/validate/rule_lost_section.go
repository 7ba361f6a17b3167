package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

var lostSection = &Rule{
	ID:       "lost-section",
	Severity: Warn,
	Scope:    OfChange,
	Title:    "the change removes all of mapUsers or mapAccounts",
	Doc: `
Some tools write mapRoles and leave out the sections that they do not know. Then mapUsers or mapAccounts vanishes
without a warning from the tool, and every principal in it loses access. Other rules report the loss of mapRoles.

Keep the section, unless you intend to remove all its entries.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/mapper/configmap/configmap.go, saveMap: an absent key counts as empty",
	Check:  checkLostSection,
}

func checkLostSection(p *Pass) {
	if p.Change.Operation == Delete || p.leftToEmptied() {
		return // deleted and emptied report these
	}
	lost := make(map[awsauth.Section]int)
	for _, c := range p.Access {
		switch {
		case !c.Gone, c.ByAccount, p.hasAccessEntry(c.ARN):
		case len(c.Before) == 0:
			lost[awsauth.MapAccounts]++
		default:
			lost[c.Before[0].Section]++
		}
	}
	p.reportLost(awsauth.MapUsers, lost[awsauth.MapUsers], len(p.New.Users))
	p.reportLost(awsauth.MapAccounts, lost[awsauth.MapAccounts], len(p.New.Accounts))
}

func (p *Pass) reportLost(section awsauth.Section, lost, left int) {
	if lost > 0 && left == 0 && p.New.LoadError(section) == nil { // yaml-syntax and not-a-list report the others
		p.Reportf(sectionPlace(section), "keep the section", "the change removes all of %s, and takes away the access of %s", string(section), counted(lost))
	}
}
