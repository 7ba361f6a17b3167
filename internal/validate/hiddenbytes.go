package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// A text that may hide a byte that is not UTF-8 has two possible results: the authenticator loads the section, or loads
// nothing from it. If it loads nothing from a section, a later section may answer for the same caller.

// oldMaps returns the maps that the authenticator may have loaded before the change.
func (p *Pass) oldMaps() []*awsauth.Map { return p.Change.Old.Readings(p.Old) }

// newMaps returns the one or two maps that the authenticator may load after the change.
func (p *Pass) newMaps() []*awsauth.Map {
	if p.Doc.Map != nil && p.Doc.Map != p.New {
		return []*awsauth.Map{p.New, p.Doc.Map}
	}
	return []*awsauth.Map{p.New}
}
