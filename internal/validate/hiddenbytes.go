package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// The authenticator may load nothing from a section whose text may hide a byte that is not UTF-8. Then a later section
// may answer for the same caller. So a version with such a section has several possible maps.

// oldMaps returns the maps that the authenticator may have loaded before the change.
func (p *Pass) oldMaps() []*awsauth.Map { return p.Change.Old.Readings(p.Old) }

// newMaps returns the one or two maps that the authenticator may load after the change.
func (p *Pass) newMaps() []*awsauth.Map {
	if p.Doc.Map != nil && p.Doc.Map != p.New {
		return []*awsauth.Map{p.New, p.Doc.Map}
	}
	return []*awsauth.Map{p.New}
}
