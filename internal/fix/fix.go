// Package fix follows the hints of findings that leave no choice: it applies the corrections of [validate.Corrections] to the text of aws-auth.
//
// It keeps a correction only if the finding is gone afterwards, no new denial appeared, and every principal that could log in before keeps its
// access, except for the values that the correction changes. The package is pure: it has no files, network, clock or log.
package fix

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/edit"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Result is the result of fixing an object.
type Result struct {
	// Object is the object after the corrections, without positions in a file.
	Object *awsauth.Object
	// Fixed are the findings that were corrected, in the order of the corrections. Those that appeared only after another correction have no line
	// and column.
	Fixed []validate.Finding
	// Renamed maps the old names of keys under data to their new ones.
	Renamed map[string]string
}

// Texts returns the texts of the sections of the result that differ from those of the object before, or that it did not have.
func (r Result) Texts(before *awsauth.Object) map[awsauth.Section]string {
	texts := make(map[awsauth.Section]string)
	for _, s := range awsauth.Sections() {
		old, had := before.Data[string(s)]
		if text, has := r.Object.Data[string(s)]; has && (!had || text != old) {
			texts[s] = text
		}
	}
	return texts
}

// maxRounds limits how often the rules run. Each round makes all corrections that don't depend on each other.
const maxRounds = 100

// Object corrects all findings of an object whose hint leaves no choice.
func Object(o *awsauth.Object, policy validate.Policy) Result {
	r := &run{policy: policy, failed: make(map[string]bool), now: newVersion(o, policy), renamed: make(map[string]string), first: make(map[string]awsauth.Position)}
	for i := range r.now.findings {
		f := &r.now.findings[i]
		r.first[id(f)] = f.Position
	}
	for range maxRounds {
		if !r.round() {
			break
		}
	}
	return Result{Object: r.now.object.WithoutPositions(), Fixed: r.fixed, Renamed: r.renamed}
}

// run is one run of [Object].
type run struct {
	policy  validate.Policy
	now     *version
	fixed   []validate.Finding
	failed  map[string]bool // the findings whose correction was refused
	renamed map[string]string
	first   map[string]awsauth.Position // the positions of the findings before the first correction
}

// version is a version of the object with its map and findings.
type version struct {
	object   *awsauth.Object
	loaded   *awsauth.Map
	findings []validate.Finding
}

func newVersion(o *awsauth.Object, policy validate.Policy) *version {
	return &version{object: o, loaded: o.Load(), findings: validate.Corrections(o, policy)}
}

// with returns the version with other texts and keys.
func (r *run) with(v *version, texts awsauth.Texts, rename, to string) *version {
	o := v.object.WithoutPositions()
	o.Data = maps.Clone(v.object.Data)
	for s, text := range texts {
		o.Data[string(s)] = text
	}
	if rename != "" {
		o.Data[to] = o.Data[rename]
		delete(o.Data, rename)
	}
	return newVersion(o, r.policy)
}

// id identifies a finding among those whose correction failed.
func id(f *validate.Finding) string { return f.Rule + "\x00" + f.Path + "\x00" + f.Message }

// round makes the corrections of one kind that don't depend on each other. It returns false if there is nothing left to correct.
func (r *run) round() bool {
	var layout, inPlace, others []validate.Finding
	for _, f := range r.now.findings {
		switch c := f.Correction; {
		case c == nil || r.failed[id(&f)]:
		case c.Repairs != nil:
			layout = append(layout, f)
		case len(c.Replace) > 0:
			inPlace = append(inPlace, f)
		case c.Literal == "":
			others = append(others, f)
		}
	}
	switch {
	case len(layout) > 0:
		r.repair(layout[0])
	case len(inPlace) > 0:
		r.replace(inPlace)
	case len(others) > 0:
		r.change(others[0])
	default:
		return false
	}
	return true
}

// keep makes a version the current one if the findings are corrected in it, and remembers otherwise that their corrections failed.
func (r *run) keep(v *version, findings ...validate.Finding) bool {
	if v == nil || !corrects(r.now, v, findings) {
		for i := range findings {
			r.failed[id(&findings[i])] = true
		}
		return false
	}
	for _, f := range findings {
		f.Position = awsauth.Position{Path: f.Path}
		if first, ok := r.first[id(&f)]; ok {
			f.Position = first
		}
		r.fixed = append(r.fixed, f)
	}
	r.now = v
	return true
}

// replace makes corrections within lines, all at once if possible, otherwise each by itself.
func (r *run) replace(findings []validate.Finding) {
	texts, done := r.replaced(findings)
	if len(done) > 1 {
		if v := r.with(r.now, texts, "", ""); corrects(r.now, v, done) {
			r.keep(v, done...)
			return
		}
	}
	first := findings[:1]
	texts, _ = r.replaced(first)
	r.keep(r.with(r.now, texts, "", ""), first...)
}

// replaced returns the texts after the corrections of findings that don't overlap.
func (r *run) replaced(findings []validate.Finding) (awsauth.Texts, []validate.Finding) {
	replacements := make(map[awsauth.Section][]awsauth.Replacement)
	var done []validate.Finding
	for _, f := range findings {
		c := f.Correction
		overlaps := func(a awsauth.Replacement) bool {
			return slices.ContainsFunc(c.Replace, func(b awsauth.Replacement) bool { return a.Start < b.End && b.Start < a.End })
		}
		if !slices.ContainsFunc(replacements[c.Section], overlaps) {
			replacements[c.Section] = append(replacements[c.Section], c.Replace...)
			done = append(done, f)
		}
	}
	texts := make(awsauth.Texts)
	for s, list := range replacements {
		texts[s] = awsauth.ReplaceIn(r.now.object.Data[string(s)], list)
	}
	return texts, done
}

// change makes the correction of one finding that changes an element as a whole, or a key under data.
func (r *run) change(f validate.Finding) {
	c := f.Correction
	if c.Rename != "" {
		if r.keep(r.with(r.now, nil, c.Rename, c.To), f) {
			r.renamed[c.Rename] = c.To
		}
		return
	}
	texts, err := changeElement(r.now, c)
	if err != nil {
		r.failed[id(&f)] = true
		return
	}
	r.keep(r.with(r.now, texts, "", ""), f)
}

// changeElement returns the texts after a correction that removes or moves an element, or that sets a value on several lines.
func changeElement(v *version, c *validate.Correction) (awsauth.Texts, error) {
	text := v.object.Data[string(c.Section)]
	switch {
	case c.Set != nil:
		changed, err := edit.SetValue(text, c.Section, c.Index, c.Set.Path, c.Set.Value)
		return awsauth.Texts{c.Section: changed}, err
	case c.Remove:
		changed, err := edit.Remove(text, c.Section, c.Index)
		return awsauth.Texts{c.Section: changed}, err
	}
	if c.MoveTo != "" {
		removed, added, err := edit.Move(text, v.object.Data[string(c.MoveTo)], c.Section, c.Index, c.ARN)
		return awsauth.Texts{c.Section: removed, c.MoveTo: added}, err
	}
	e := *entryAt(v.loaded, c.Section, c.Index)
	e.Groups = c.Groups
	changed, err := edit.Replace(text, e)
	return awsauth.Texts{c.Section: changed}, err
}
