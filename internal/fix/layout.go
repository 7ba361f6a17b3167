package fix

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxSearched limits the versions of an object that repair evaluates, by the sum of their bytes.
	maxSearched = 4 << 20
	// minSteps and maxSteps limit the number of versions.
	minSteps, maxSteps = 8, 200
)

// repair corrects the wrong layout of a text. The text can have several faults of layout, and the rules report only the first one. So repair
// corrects them one after the other. It keeps the result only if the authenticator then reads the whole text. If the text has several probable
// meanings that give different access, repair changes nothing.
func (r *run) repair(f validate.Finding) {
	s := &search{run: r, finding: f, steps: min(versionsWithin(maxSearched, r.now.object, minSteps, maxSteps), r.left)}
	s.visit(r.now, f)
	if s.ambiguous {
		s.settled = nil
	}
	if !r.keep(s.settled, f) {
		r.failed[id(&f)] = true
	}
}

// search looks for the meaning of a text with faults in its layout.
type search struct {
	run       *run
	finding   validate.Finding
	steps     int      // the number of versions that it may still evaluate
	settled   *version // the first version without faults in the layout; nil if there is none yet
	ambiguous bool     // two versions without faults in the layout give different access
}

// visit makes every probable correction of a fault in the layout of version v. If a corrected version has a further fault in its layout, visit
// visits this fault. Otherwise it settles the version.
func (s *search) visit(v *version, f validate.Finding) {
	for _, texts := range f.Correction.Repairs() {
		if s.steps == 0 || s.ambiguous {
			return
		}
		s.steps--
		next := s.run.with(v, texts, "", "")
		denials := newDenials(s.run.now, next)
		if i := slices.IndexFunc(next.findings, func(g validate.Finding) bool {
			return g.Correction != nil && g.Correction.Repairs != nil && g.Path == f.Path && g.Rule == f.Rule
		}); len(denials) == 0 && i >= 0 && count(next.findings, f.Rule) == count(s.run.now.findings, f.Rule) {
			s.visit(next, next.findings[i])
			continue
		}
		if i := slices.IndexFunc(denials, func(g validate.Finding) bool { return g.Correction != nil && g.Correction.Repairs != nil }); i >= 0 {
			s.visit(next, denials[i])
			continue
		}
		s.settle(next)
	}
}

// settle records a version without faults in the layout. If it gives other access than the settled version, the search becomes ambiguous.
func (s *search) settle(v *version) {
	switch {
	case !corrects(s.run.now, v, []validate.Finding{s.finding}):
	case s.settled == nil:
		s.settled = v
	case len(awsauth.DiffAccess(s.settled.loaded, v.loaded)) > 0:
		s.ambiguous = true
	}
}
