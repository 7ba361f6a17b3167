package awsauth

import (
	"errors"
	"iter"
	"maps"
	"strings"
	"unicode/utf8"
)

// ReplacementCharacter stands in JSON for each byte that is not UTF-8. The API server stores such
// bytes when a client sends them in protobuf, and writes U+FFFD in their place into an
// AdmissionReview, which is JSON (Go, encoding/json, Marshal).
const ReplacementCharacter = "\ufffd"

// errMayHideBytes is the loss of a section in [Object.AtWorst].
var errMayHideBytes = errors.New("it holds U+FFFD, which may hide a byte that is not UTF-8")

// MayHideBytes reports whether the text of a section may hold another byte than the one that the
// reader sees: the object came through an AdmissionReview and holds U+FFFD there. The authenticator
// loads nothing from a section with a byte that is not UTF-8.
func (o *Object) MayHideBytes(s Section) bool {
	return o != nil && o.Reviewed && strings.Contains(o.text(s), ReplacementCharacter)
}

// mayHideBytes is MayHideBytes for any of the sections.
func (o *Object) mayHideBytes() bool {
	return o.MayHideBytes(MapRoles) || o.MayHideBytes(MapUsers) || o.MayHideBytes(MapAccounts)
}

// AtWorst returns what the authenticator loads from the object if every U+FFFD that may hide a byte
// hides one: nothing of those sections. m is what it loads otherwise, and is returned as it is where
// no section may hide a byte.
func (o *Object) AtWorst(m *Map) *Map {
	if !o.mayHideBytes() {
		return m
	}
	sections := maps.Clone(m.sections)
	for _, s := range Sections() {
		if o.MayHideBytes(s) {
			sections[s] = section{text: o.text(s), lost: errMayHideBytes}
		}
	}
	return newMap(sections)
}

// AsReviewed returns the object as an AdmissionReview shows it: with U+FFFD in place of each byte that
// is not UTF-8. nil stays nil.
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

// ReplaceBytes writes U+FFFD in place of each byte of a text that is not UTF-8, as JSON does.
func ReplaceBytes(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

// ReplacementCharacters yields the place of the first U+FFFD of each line that holds one.
func (t *Text) ReplacementCharacters() iter.Seq[Place] {
	return func(yield func(Place) bool) {
		start := 0
		for line := range strings.Lines(t.raw) {
			if i := strings.Index(line, ReplacementCharacter); i >= 0 && !yield(t.offsetPlace(t.Section.Path(), start+i)) {
				return
			}
			start += len(line)
		}
	}
}
