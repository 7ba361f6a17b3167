package validate

import "github.com/awsauth-guard/awsauth-guard/internal/awsauth"

// A section whose text has the replacement character U+FFFD may hide a byte that is not UTF-8. The authenticator loads
// nothing from a section with such a byte, and searches the later sections for the caller. The guard can't see the byte,
// so a version with such a section has several possible maps.

// oldMaps returns the maps that the authenticator may have loaded before the change.
func (p *Pass) oldMaps() []*awsauth.Map { return p.Change.Old.Readings(p.Old) }

// newMaps returns two of the maps that the authenticator may load after the change: the worst, in which every section that may
// hide a byte hides one, and the best, in which no section does. It returns one map if no section may hide a byte.
func (p *Pass) newMaps() []*awsauth.Map {
	if p.Doc.Map != nil && p.Doc.Map != p.New {
		return []*awsauth.Map{p.New, p.Doc.Map}
	}
	return []*awsauth.Map{p.New}
}
