package fix

import (
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxSearched limits the bytes of the versions that repair evaluates, in a text with several probable meanings.
	maxSearched = 4 << 20
	// minSteps and maxSteps limit the number of versions.
	minSteps, maxSteps = 8, 200
)

// repair corrects a fault in the layout of a text. The text can have several faults, of which the rules report only the first. So repair
// corrects them one after the other, and keeps the result only if the whole text is then read. If the text has several probable meanings that
// give different access, repair changes nothing.
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
	steps     int // the number of versions that it may still evaluate
	settled   *version
	ambiguous bool // whether two versions without faults give different access
}

// visit follows the hint of a fault in a version in every probable way.
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

// settle adds a version without faults in the layout.
func (s *search) settle(v *version) {
	switch {
	case !corrects(s.run.now, v, []validate.Finding{s.finding}):
	case s.settled == nil:
		s.settled = v
	case len(awsauth.DiffAccess(s.settled.loaded, v.loaded)) > 0:
		s.ambiguous = true
	}
}
