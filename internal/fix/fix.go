// Package fix makes the corrections of [validate.Corrections] in the text of aws-auth. These are the edits that follow the hints of findings,
// if a hint leaves no choice.
//
// It keeps a correction only if the finding is gone afterwards, no new denial appeared, and every principal that could log in before keeps its
// access. Only the principal of the corrected element may get the corrected username or groups. The package is pure: it has no files, network,
// clock or log.
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
	// Fixed are the corrected findings, in the order of the corrections. A finding that appeared only after another correction has no line and
	// column, because it has no place in the original text.
	Fixed []validate.Finding
	// Untried is the number of findings with a correction that was neither made nor refused, because the run reached its limit of work.
	Untried int
	// Renamed maps the old names of keys under data to their new ones.
	Renamed map[string]string
}

// Texts returns the new texts of the sections that the corrections changed or added. before is the object before the corrections.
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

// A run evaluates versions with maxEvaluated bytes in all, but at least minVersions and at most maxVersions. An evaluation of 1 MiB takes about
// 0.2 s, so a run takes about six seconds at the most.
const (
	maxEvaluated             = 32 << 20
	minVersions, maxVersions = 32, 1000
)

// maxBundle is more than the corrections of the largest object.
const maxBundle = 1 << 20

// Object corrects the findings of an object if the hint of the finding leaves no choice. It leaves out a correction that would take access away
// or cause a new denial.
func Object(o *awsauth.Object, policy validate.Policy) Result {
	return object(o, policy, versionsWithin(maxEvaluated, o, minVersions, maxVersions))
}

// object corrects an object, and evaluates at most the given number of versions.
func object(o *awsauth.Object, policy validate.Policy, versions int) Result {
	r := &run{
		policy: policy, cache: new(awsauth.Cache), left: versions, bundle: maxBundle,
		failed: make(map[string]bool), suspects: make(map[string]string),
		renamed: make(map[string]string), first: make(map[string]awsauth.Position),
	}
	r.now = r.newVersion(o)
	for i := range r.now.findings {
		f := &r.now.findings[i]
		r.first[id(f)] = f.Position
	}
	for r.round() {
	}
	return Result{Object: r.now.object.WithoutPositions(), Fixed: r.fixed, Untried: r.untried, Renamed: r.renamed}
}

// versionsWithin returns how many versions of an object have together the given number of bytes. The result is at least least, and at most
// most.
func versionsWithin(bytes int, o *awsauth.Object, least, most int) int {
	size := 1
	for _, text := range o.Data {
		size += len(text)
	}
	return min(max(bytes/size, least), most)
}

// run is one run of [Object].
type run struct {
	policy validate.Policy
	cache  *awsauth.Cache
	now    *version
	left   int // the versions that the run may still evaluate
	// bundle limits the corrections that the run makes at once. It is lower after a bundle was refused for an unknown cause.
	bundle int
	fixed  []validate.Finding
	failed map[string]bool // the findings whose correction was refused
	// suspects are the findings whose correction was refused in a bundle, with the principal of the element. After all other corrections the run
	// tries them again in rounds. A round makes at most one correction for each principal.
	suspects map[string]string
	untried  int // the findings with a correction that was neither made nor refused
	renamed  map[string]string
	first    map[string]awsauth.Position // the positions of the findings before the first correction
}

// version is a version of the object with its map and findings.
type version struct {
	object   *awsauth.Object
	loaded   *awsauth.Map
	findings []validate.Finding
}

func (r *run) newVersion(o *awsauth.Object) *version {
	loaded, findings := validate.LoadWithCorrections(o, r.policy, r.cache)
	return &version{object: o, loaded: loaded, findings: findings}
}

// with returns the version v with other texts and, if rename is not empty, with the key rename of data renamed to the key to.
func (r *run) with(v *version, texts awsauth.Texts, rename, to string) *version {
	r.left--
	o := v.object.WithoutPositions()
	o.Data = maps.Clone(v.object.Data)
	for s, text := range texts {
		o.Data[string(s)] = text
	}
	if rename != "" {
		o.Data[to] = o.Data[rename]
		delete(o.Data, rename)
	}
	return r.newVersion(o)
}

// id returns a text that identifies a finding of one version.
func id(f *validate.Finding) string { return f.Rule + "\x00" + f.Path + "\x00" + f.Message }

// round makes the corrections of one kind that don't depend on each other. It returns false if there is nothing left to correct, or if the run
// has reached its limit.
func (r *run) round() bool {
	var layout, inPlace, removals, others, suspects []validate.Finding
	for _, f := range r.now.findings {
		name := id(&f)
		_, suspect := r.suspects[name]
		switch c := f.Correction; {
		case c == nil || c.Literal != "" || r.failed[name]:
		case c.Repairs != nil:
			layout = append(layout, f)
		case suspect:
			suspects = append(suspects, f)
		case len(c.Replace) > 0:
			inPlace = append(inPlace, f)
		case c.Remove:
			removals = append(removals, f)
		default:
			others = append(others, f)
		}
	}
	r.untried = len(layout) + len(inPlace) + len(removals) + len(others) + len(suspects)
	switch {
	case r.untried == 0 || r.left <= 0:
		return false
	case len(layout) > 0:
		r.repair(layout[0])
	case len(inPlace) > 0:
		r.makeAll(inPlace)
	case len(removals) > 0:
		r.makeAll(removals)
	case len(others) > 0:
		r.change(others[0])
	default:
		r.makeAll(r.firsts(suspects))
	}
	return true
}

// firsts returns one suspect of each principal. All corrections in the result have the same kind: they remove elements, or they replace values.
func (r *run) firsts(suspects []validate.Finding) (list []validate.Finding) {
	known := make(map[string]bool)
	for _, f := range suspects {
		principal := r.suspects[id(&f)]
		if !known[principal] && f.Correction.Remove == suspects[0].Correction.Remove {
			known[principal] = true
			list = append(list, f)
		}
	}
	return list
}

// keep makes a version the current one if the findings are corrected in it, and reports whether it did so.
func (r *run) keep(v *version, findings ...validate.Finding) bool {
	if v == nil || !corrects(r.now, v, findings) {
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

// makeAll makes several corrections at once. All of them replace values, or all remove elements. If the result is refused, a single correction
// fails. Of several corrections, those that cause the refusal become suspects, or fail if they are suspects already. If blame finds no cause,
// the next round makes fewer corrections at once.
func (r *run) makeAll(findings []validate.Finding) {
	texts, made := correctedTexts(r.now, findings[:min(len(findings), r.bundle)])
	var next *version
	if texts != nil {
		next = r.with(r.now, texts, "", "")
	}
	switch {
	case r.keep(next, made...):
		r.bundle = min(2*r.bundle, maxBundle)
		return
	case len(made) == 1:
		r.failed[id(&made[0])] = true
		r.bundle = min(2*r.bundle, maxBundle)
		return
	}
	blamed := blame(r.now, next, made)
	for i, principal := range blamed {
		name := id(&made[i])
		if _, again := r.suspects[name]; again {
			r.failed[name] = true
		}
		r.suspects[name] = principal
	}
	if len(blamed) == 0 {
		r.bundle = len(made) / 2
	}
}

// correctedTexts returns the texts after corrections that replace values or that remove elements, and the findings whose corrections don't
// overlap an earlier one. It returns no texts if the elements can't be removed at once.
func correctedTexts(v *version, findings []validate.Finding) (texts awsauth.Texts, made []validate.Finding) {
	replacements, removed := make(map[awsauth.Section][]awsauth.Replacement), make(map[awsauth.Section][]int)
	for _, f := range findings {
		c := f.Correction
		overlaps := func(a awsauth.Replacement) bool {
			return slices.ContainsFunc(c.Replace, func(b awsauth.Replacement) bool { return a.Start < b.End && b.Start < a.End })
		}
		switch {
		case c.Remove && !slices.Contains(removed[c.Section], c.Index):
			removed[c.Section] = append(removed[c.Section], c.Index)
			made = append(made, f)
		case !c.Remove && !slices.ContainsFunc(replacements[c.Section], overlaps):
			replacements[c.Section] = append(replacements[c.Section], c.Replace...)
			made = append(made, f)
		}
	}
	texts = make(awsauth.Texts)
	for s, list := range replacements {
		texts[s] = awsauth.ReplaceIn(v.object.Data[string(s)], list)
	}
	for s, list := range removed {
		text, err := edit.RemoveAll(v.object.Data[string(s)], s, list)
		if err != nil {
			return nil, made
		}
		texts[s] = text
	}
	return texts, made
}

// change makes the correction of one finding that changes an element as a whole, or a key under data.
func (r *run) change(f validate.Finding) {
	c := f.Correction
	var next *version
	if c.Rename != "" {
		next = r.with(r.now, nil, c.Rename, c.To)
	} else if texts, err := changeElement(r.now, c); err == nil {
		next = r.with(r.now, texts, "", "")
	}
	if !r.keep(next, f) {
		r.failed[id(&f)] = true
	} else if c.Rename != "" {
		r.renamed[c.Rename] = c.To
	}
}

// changeElement returns the texts after a correction that sets a value on several lines, moves an element to the other section, or replaces the
// groups of an element.
func changeElement(v *version, c *validate.Correction) (awsauth.Texts, error) {
	text := v.object.Data[string(c.Section)]
	switch {
	case c.Set != nil:
		changed, err := edit.SetValue(text, c.Section, c.Index, c.Set.Path, c.Set.Value)
		return awsauth.Texts{c.Section: changed}, err
	case c.MoveTo != "":
		removed, added, err := edit.Move(text, v.object.Data[string(c.MoveTo)], c.Section, c.Index, c.ARN)
		return awsauth.Texts{c.Section: removed, c.MoveTo: added}, err
	}
	e := *entryAt(v.loaded, c.Section, c.Index)
	e.Groups = c.Groups
	changed, err := edit.Replace(text, e)
	return awsauth.Texts{c.Section: changed}, err
}
