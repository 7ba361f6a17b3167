package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// A text that may hide a byte that is not UTF-8 has two readings: the authenticator loads the section, or loses it.
// Where a section is lost, another one may answer: mapUsers, or mapAccounts.

// oldReadings returns what the authenticator may have loaded before the change, one or two maps.
func (p *Pass) oldReadings() []*awsauth.Map {
	if worst := p.Change.Old.AtWorst(p.Old); worst != p.Old {
		return []*awsauth.Map{p.Old, worst}
	}
	return []*awsauth.Map{p.Old}
}

// newReadings returns what the authenticator may load after the change, one or two maps.
func (p *Pass) newReadings() []*awsauth.Map {
	if p.Doc.Map != nil && p.Doc.Map != p.New {
		return []*awsauth.Map{p.New, p.Doc.Map}
	}
	return []*awsauth.Map{p.New}
}
