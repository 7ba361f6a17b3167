package awsauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Document is an object with what the authenticator loads from it, and beside every value the
// place where it stands. Values are the authenticator's; a node tree of the text gives places.
type Document struct {
	Map *Map
	// Texts are the sections that are present and not empty to the authenticator.
	Texts []*Text
	// Roles and Users are the elements of Map.Roles and Map.Users with their places.
	Roles, Users []Mapping
	// Accounts are the elements of Map.Accounts; BadAccounts those that the authenticator leaves out.
	Accounts, BadAccounts []Field
	// DataKeys and BinaryKeys are the keys under data and binaryData, sorted.
	DataKeys, BinaryKeys []Scalar
	// NotText are keys under data whose value is no string, DuplicateKeys those that a manifest
	// writes twice. Both are possible in manifests only.
	NotText, DuplicateKeys []Scalar
	// Immutable is the object's field of this name.
	Immutable bool

	object *Object
	folded string // see Names
}

// Locate is [Object.Locate] for the object of the document.
func (d *Document) Locate(p Place) Place { return d.object.Locate(p) }

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

// Parse reads the object for its rules. Like Load it never fails.
func (o *Object) Parse() *Document { return o.ParseLoaded(o.Load()) }

// ParseLoaded is Parse for an object that has been loaded already: it joins what is loaded with its places.
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
		at := Place{Path: "data." + key}
		if o.source != nil {
			at.Line, at.Column = o.source.keyPlace(key)
		}
		d.DataKeys = append(d.DataKeys, Scalar{key, at})
	}
	for _, key := range o.BinaryData {
		at := Place{Path: "binaryData." + key}
		if o.source != nil {
			at.Line, at.Column = o.source.binaryKeyPlace(key)
		}
		d.BinaryKeys = append(d.BinaryKeys, Scalar{key, at})
	}
	byName := func(a, b Scalar) int { return strings.Compare(a.Value, b.Value) }
	slices.SortFunc(d.DataKeys, byName)
	slices.SortFunc(d.BinaryKeys, byName)
	d.NotText = o.NotText
	if o.source != nil {
		d.DuplicateKeys = o.source.duplicateKeys()
	}
}

// Fault is something wrong with the text of a section as a whole.
type Fault struct {
	Place
	Problem string // what is wrong, to stand in a sentence
	Hint    string // what to write instead
}

// Text is one section's text.
type Text struct {
	Section Section
	// TooExpensive: the text is not decoded, and it is not known what the authenticator loads.
	TooExpensive *Fault
	// Syntax, NotAList: the authenticator loads nothing from the section.
	Syntax, NotAList *Fault
	// Trailing: the authenticator reads the text only up to here.
	Trailing *Fault
	// Stop is the element of mapAccounts that cannot be decoded: the authenticator reads no element
	// behind it.
	Stop *Fault
	// Disagreement: the node tree is not what the authenticator decodes, so that no place is
	// certain. It is a fault of the text: programs that read it do not agree on what it says.
	Disagreement *Fault

	raw    string
	end    int // where Trailing begins
	places map[*yaml.Node]int
	object *Object
	lines  *lineIndex // see index
	root   *yaml.Node // a sequence, or nil
	json   []byte     // what the elements were decoded from, if a value has a wrong type
	stop   error      // see section

	// The text is of the plain form: its tree is built when a position is asked for.
	plain   bool
	entries []Entry   // of a plain text
	located []Mapping // the same with nodes, once they are built
}

// index returns the line index, which is built when it is first asked for.
func (t *Text) index() *lineIndex {
	if t.lines == nil {
		lines := newLineIndex(t.raw)
		t.lines = &lines
	}
	return t.lines
}

// tree is the node tree of a text's first YAML document, and the decoder that stands behind it.
type tree struct {
	document yaml.Node
	err      error
	decoder  *yaml.Decoder
}

func newTree(text string) *tree {
	t := &tree{decoder: yaml.NewDecoder(strings.NewReader(text))}
	t.err = t.decoder.Decode(&t.document)
	return t
}

// newText joins a section with the node tree of its text.
func newText(o *Object, s Section, raw string, d section) *Text {
	t := &Text{Section: s, raw: raw, object: o, plain: d.plain}
	if d.typ != nil {
		t.json = d.json
	}
	t.stop = d.stop
	if errors.Is(d.lost, errExpensive) {
		t.TooExpensive = &Fault{Place: t.place(1), Problem: d.lost.Error(), Hint: "remove what is not in use, and write the list without directives and with few aliases"}
		return t
	}
	if d.lost != nil && !errors.Is(d.lost, errNotAList) {
		t.Syntax = t.explainSyntax(d.lost)
		return t
	}
	if !t.plain {
		t.readTree(d.lost != nil)
	}
	return t
}

// readTree builds the node tree of a text that the authenticator reads, as a list unless it is said to be none.
func (t *Text) readTree(notAList bool) {
	read := newTree(t.raw)
	switch err := read.err; {
	case errors.Is(err, io.EOF): // comments only
		return
	case err != nil:
		t.disagree(t.place(max(errorLine(err), 1)), "a second YAML reader refuses the text: "+bareYAMLError(err))
		return
	}
	root := resolveAlias(read.document.Content[0])
	switch {
	case notAList:
		t.NotAList = &Fault{Place: t.nodePlace(t.Section.Path(), root), Problem: kindOf(root)}
	case root.Kind == yaml.SequenceNode:
		t.root = root
	case root.Kind != yaml.ScalarNode || root.Tag != "!!null":
		t.disagree(t.nodePlace(t.Section.Path(), root), "two YAML readers disagree on whether it is a list")
	}
	t.findTrailing(read.decoder)
}

// findTrailing looks for content behind the first YAML document, where the authenticator stops.
// Empty documents are harmless.
func (t *Text) findTrailing(decoder *yaml.Decoder) {
	for {
		var next yaml.Node
		err := decoder.Decode(&next)
		switch {
		case errors.Is(err, io.EOF):
			return
		case err != nil:
			t.end = t.index().offset(t.raw, max(errorLine(err), 1), 1)
			t.Trailing = &Fault{
				Place:   t.place(max(errorLine(err), 1)),
				Problem: "the list ends before this line",
				Hint:    "indent every element of the list alike, and remove a line with ... before it",
			}
			return
		case next.Content[0].Kind != yaml.ScalarNode || next.Content[0].Tag != "!!null":
			t.end = t.index().offset(t.raw, next.Content[0].Line, 1)
			t.Trailing = &Fault{
				Place:   t.nodePlace(t.Section.Path(), next.Content[0]),
				Problem: "a second YAML document begins before this line",
				Hint:    "remove the line with --- or ... and keep one list",
			}
			return
		}
	}
}

func (t *Text) disagree(at Place, problem string) {
	if t.Disagreement == nil {
		t.Disagreement = &Fault{Place: at, Problem: problem, Hint: "write the value on one line, in double quotes"}
	}
}

// mappings returns the decoded elements, joined with the nodes of the tree if there is one yet.
func (t *Text) mappings(entries []Entry) []Mapping {
	if !t.plain {
		return t.join(entries)
	}
	t.entries = entries
	list := make([]Mapping, len(entries))
	for i := range entries {
		list[i] = Mapping{Entry: &entries[i], text: t}.withFields(nil)
	}
	return list
}

// withNodes returns the elements of a plain text with their nodes.
func (t *Text) withNodes() []Mapping {
	if t.located == nil {
		t.readTree(false)
		t.located = t.join(t.entries)
	}
	return t.located
}

// join joins the decoded elements with the nodes of the tree.
func (t *Text) join(entries []Entry) []Mapping {
	list := make([]Mapping, len(entries))
	located := t.root != nil && len(t.root.Content) == len(entries)
	if !located && len(entries) > 0 {
		t.disagree(Place{Path: t.Section.Path()}, "two YAML readers disagree on the number of elements")
	}
	var elements []json.RawMessage
	if t.json != nil && json.Unmarshal(t.json, &elements) != nil {
		elements = nil // t.json has been decoded before: not reached
	}
	for i := range entries {
		m := Mapping{Entry: &entries[i], text: t}
		if located {
			m.written, m.node = t.root.Content[i], resolveAlias(t.root.Content[i])
			m.next = len(t.raw)
			if i+1 < len(entries) {
				m.next = t.index().offset(t.raw, t.root.Content[i+1].Line, t.root.Content[i+1].Column)
			} else if t.Trailing != nil {
				m.next = t.end
			}
		}
		if i < len(elements) {
			m.json = elements[i]
		}
		m = m.withFields(pairs(m.node, 0))
		m.wrong = m.wrongTypes()
		list[i] = m.withOtherKeys()
	}
	return list
}

// accounts joins the kept accounts with their nodes, up to the element that cannot be decoded.
// Elements that are no scalar were left out.
func (t *Text) accounts(values []string) (kept, bad []Field) {
	next := 0
	if t.root != nil {
		for i, n := range t.root.Content {
			f := Field{text: t, index: i, node: n}
			if resolveAlias(n).Kind != yaml.ScalarNode {
				bad = append(bad, f)
				continue
			}
			if t.stop != nil && (next+1 == len(values) || values[next] == "" && !isEmpty(resolveAlias(n))) {
				t.stopAt(f.At())
				return kept, bad
			}
			if next < len(values) {
				f.Value = values[next]
				kept = append(kept, f)
			}
			next++
		}
	}
	if t.stop != nil {
		t.stopAt(Place{Path: t.Section.Path()})
		return kept, bad
	}
	if next != len(values) {
		t.disagree(Place{Path: t.Section.Path()}, "two YAML readers disagree on the number of elements")
	}
	return kept, bad
}

func (t *Text) stopAt(at Place) {
	t.Stop = &Fault{Place: at, Problem: bareYAMLError(t.stop), Hint: "write the 12 digits of the account in quotes, without a tag"}
}

// isEmpty reports whether a scalar is an empty text to yaml.v2.
func isEmpty(n *yaml.Node) bool {
	switch n.Value {
	case "":
		return true
	case "~", "null", "Null", "NULL":
		return n.Tag == "!!null"
	}
	return false
}

// place translates a line within the text. YAML errors in the first line name no line.
func (t *Text) place(line int) Place {
	return t.offsetPlace(t.Section.Path(), t.index().offset(t.raw, line, 1))
}

// nodePlace is where the text of a node begins.
func (t *Text) nodePlace(path string, n *yaml.Node) Place {
	offset, ok := t.places[n]
	if !ok {
		offset = scalarOffset(t.raw, t.index(), n)
		if t.places == nil {
			t.places = make(map[*yaml.Node]int)
		}
		t.places[n] = offset
	}
	return t.offsetPlace(path, offset)
}

func (t *Text) offsetPlace(path string, offset int) Place {
	p := Place{Path: path}
	if t.object.source != nil {
		p.Line, p.Column = t.object.source.place(string(t.Section), offset)
	} else {
		p.Line, p.Column = t.index().position(t.raw, offset)
	}
	return p
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func kindOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null":
		return "empty"
	case len(n.Value) > maxShown:
		return fmt.Sprintf("the text %q…", strings.ToValidUTF8(n.Value[:maxShown], ""))
	}
	return fmt.Sprintf("the text %q", n.Value)
}

// maxShown bounds the bytes of a value that stand in a problem.
const maxShown = 200

// Unread is the part of the text that the authenticator does not read although it stands there:
// all of it behind a fault of the whole, what is behind the end of the list, or nothing.
func (t *Text) Unread() string {
	switch {
	case t.Syntax != nil || t.NotAList != nil || t.Disagreement != nil:
		return t.raw
	case t.Trailing != nil:
		return t.raw[t.end:]
	}
	return ""
}
