package awsauth

import (
	"iter"
	"slices"
	"strings"
)

// Document is a decoded object: the map that the authenticator loads from it, and the position of every value. The
// values come from the authenticator's decoder, and the positions from a node tree of the text.
type Document struct {
	Map *Map
	// Texts are the texts of the sections, without a section that is missing or that the authenticator treats as empty.
	Texts []*Text
	// Roles and Users are the elements of Map.Roles and Map.Users with their positions.
	Roles, Users []Mapping
	// Accounts are the elements of mapAccounts that the authenticator keeps, and BadAccounts those that it drops
	// because they are not scalars. Both end before the first element that the authenticator can't decode.
	Accounts, BadAccounts []Field
	// DataKeys are the keys under data, without those in NotText. BinaryKeys are the keys under binaryData. Both are
	// sorted.
	DataKeys, BinaryKeys []Scalar
	// NotText are the keys under data whose value is not a string. DuplicateKeys are the second and further occurrences
	// of data, and of keys under data and binaryData. Only manifests can have keys of these two kinds.
	NotText, DuplicateKeys []Scalar
	// Immutable reports whether the ConfigMap is immutable.
	Immutable bool

	object *Object
	folded string // the texts in lower case; set by the first call of Names
}

// Locate is [Object.Locate] for the object of the document.
func (d *Document) Locate(p Position) Position { return d.object.Locate(p) }

// Mappings yields the elements of mapRoles and then those of mapUsers.
func (d *Document) Mappings() iter.Seq[Mapping] {
	return func(yield func(Mapping) bool) {
		for _, list := range [][]Mapping{d.Roles, d.Users} {
			for _, m := range list {
				if !yield(m) {
					return
				}
			}
		}
	}
}

// Parse decodes the object and finds the positions of its values. Like Load, it never fails.
func (o *Object) Parse() *Document { return o.ParseLoaded(o.Load()) }

// ParseLoaded is Parse for an object that is loaded already. m is the result of Load.
func (o *Object) ParseLoaded(m *Map) *Document {
	d := &Document{Map: m, object: o}
	if o == nil {
		return d
	}
	d.addKeys(o)
	d.Immutable = o.Immutable
	for _, s := range Sections() {
		raw := o.text(s)
		if raw == "" {
			continue
		}
		t := newText(o, s, raw, d.Map.sections[s])
		d.Texts = append(d.Texts, t)
		switch s {
		case MapRoles:
			d.Roles = t.mappings(d.Map.Roles)
		case MapUsers:
			d.Users = t.mappings(d.Map.Users)
		case MapAccounts:
			d.Accounts, d.BadAccounts = t.accounts(d.Map.Accounts)
		}
	}
	return d
}

func (d *Document) addKeys(o *Object) {
	for key := range o.Data {
		at := Position{Path: "data." + key}
		if o.positions != nil {
			at.Line, at.Column = o.positions.keyPlace(key)
		}
		d.DataKeys = append(d.DataKeys, Scalar{key, at})
	}
	for _, key := range o.BinaryData {
		at := Position{Path: "binaryData." + key}
		if o.positions != nil {
			at.Line, at.Column = o.positions.binaryKeyPlace(key)
		}
		d.BinaryKeys = append(d.BinaryKeys, Scalar{key, at})
	}
	byName := func(a, b Scalar) int { return strings.Compare(a.Value, b.Value) }
	slices.SortFunc(d.DataKeys, byName)
	slices.SortFunc(d.BinaryKeys, byName)
	d.NotText = o.NotText
	if o.positions != nil {
		d.DuplicateKeys = o.positions.duplicateKeys()
	}
}

// Fault is a fault because of which the authenticator doesn't read a section, or a part of it, such as a syntax error. A
// Fault can also mean that this package can't evaluate the section, see [Text]. The fault of a single entry is not a
// Fault.
type Fault struct {
	Position
	Problem string // the fault, as part of a sentence
	Hint    string // how to correct it

	repair repair // see Repairs
}
