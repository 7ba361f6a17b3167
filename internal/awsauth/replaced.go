package awsauth

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// ReplacementCharacter is U+FFFD, which stands in JSON for a byte that is not UTF-8. The API server stores such bytes
// if a client sends them in protobuf. An AdmissionReview is JSON, so there the API server writes U+FFFD for each of
// these bytes (Go, encoding/json, Marshal).
const ReplacementCharacter = "\ufffd"

// errMayHideBytes is the error of a section that [Object.AtWorst] and [Object.Readings] treat as if the authenticator
// loaded nothing from it.
var errMayHideBytes = errors.New("it holds U+FFFD, which may hide a byte that is not UTF-8")

// MayHideBytes reports whether the stored text of a section may hold bytes that are not UTF-8. This is so if the object
// came in an AdmissionReview and the section holds U+FFFD. The authenticator loads nothing from a section with such a
// byte.
func (o *Object) MayHideBytes(s Section) bool {
	return o != nil && o.Reviewed && strings.Contains(o.text(s), ReplacementCharacter)
}

// mayHideBytes reports whether any section may hide bytes.
func (o *Object) mayHideBytes() bool {
	return o.MayHideBytes(MapRoles) || o.MayHideBytes(MapUsers) || o.MayHideBytes(MapAccounts)
}

// AtWorst returns the map for the worst case: every section that may hide a byte hides one, and the authenticator loads
// nothing from these sections. m is the map for the case that no section hides a byte. AtWorst returns m itself if no
// section may hide a byte.
func (o *Object) AtWorst(m *Map) *Map {
	return o.without(m, slices.DeleteFunc(Sections(), func(s Section) bool { return !o.MayHideBytes(s) }))
}

// without returns the map for the case that the authenticator loads nothing from the sections in lost. It returns m
// itself if lost is empty.
func (o *Object) without(m *Map, lost []Section) *Map {
	if len(lost) == 0 {
		return m
	}
	sections := maps.Clone(m.sections)
	for _, s := range lost {
		sections[s] = section{text: o.text(s), lost: errMayHideBytes}
	}
	return newMap(sections)
}

// Readings returns every map that the authenticator may have loaded. From a section that may hide a byte, the
// authenticator loaded either all entries or nothing, so there are at most eight maps. The first map is m, the map for
// the case that no section hides a byte.
func (o *Object) Readings(m *Map) []*Map {
	readings := []*Map{m}
	for _, s := range Sections() {
		if !o.MayHideBytes(s) {
			continue
		}
		for _, reading := range slices.Clip(readings) {
			readings = append(readings, o.without(reading, []Section{s}))
		}
	}
	return readings
}

// AsReviewed returns the object as an AdmissionReview shows it, with U+FFFD instead of each byte that is not UTF-8. For
// nil it returns nil.
func (o *Object) AsReviewed() *Object {
	if o == nil || o.Reviewed {
		return o
	}
	reviewed := *o
	reviewed.Reviewed = true
	reviewed.Data = maps.Clone(o.Data)
	for key, text := range o.Data {
		reviewed.Data[key] = ReplaceBytes(text)
	}
	return &reviewed
}

// ReplaceBytes returns a text with U+FFFD in place of each byte that is not UTF-8, as JSON does.
func ReplaceBytes(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

// ReplacementCharacters yields the position of the first U+FFFD in each line that holds one.
func (t *Text) ReplacementCharacters() iter.Seq[Position] {
	return func(yield func(Position) bool) {
		start := 0
		for line := range strings.Lines(t.raw) {
			if i := strings.Index(line, ReplacementCharacter); i >= 0 && !yield(t.offsetPlace(t.Section.Path(), start+i)) {
				return
			}
			start += len(line)
		}
	}
}
