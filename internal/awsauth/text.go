package awsauth

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Text is the text of one section with its faults. A fault is nil if the text doesn't have it.
type Text struct {
	Section Section
	// TooExpensive is set if the text is over a limit. Such a text is not decoded, so the entries are unknown.
	TooExpensive *Fault
	// Syntax is set if the text does not parse. NotAList is set if the text parses to something other than a list. The
	// authenticator loads nothing from such a section.
	Syntax, NotAList *Fault
	// Trailing is set if content follows the list. The authenticator does not read such content.
	Trailing *Fault
	// Stop is the first element of mapAccounts that the authenticator can't decode. The authenticator does not read the
	// elements after it.
	Stop *Fault
	// Disagreement is set if the node tree, which comes from a second YAML reader, differs from the values that the
	// authenticator decodes. The positions of the values are then uncertain.
	Disagreement *Fault

	raw    string
	end    int // the offset of Trailing
	rest   int // the offset of Stop, or 0 if this offset is not known
	places map[*yaml.Node]int
	object *Object
	lines  *lineIndex // see index
	root   *yaml.Node // the node of the list, or nil if the text has none
	json   []byte     // the elements as JSON; set only if a value has a wrong type
	stop   error      // see section

	// plain reports that the text has the plain form, see plainElements. The node tree of such a text is built when the
	// first position is needed.
	plain   bool
	entries []Entry   // the entries of a plain text
	located []Mapping // see withNodes
}

// index returns the line index. It builds the index on first use.
func (t *Text) index() *lineIndex {
	if t.lines == nil {
		lines := newLineIndex(t.raw)
		t.lines = &lines
	}
	return t.lines
}

// tree is the node tree of the first YAML document in a text. err is the error of this document, or io.EOF if the text
// has no document. decoder reads the documents after it.
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

// newText returns the text of a section with its faults. d is the loaded section. newText does not build the node tree
// of a text that has the plain form or can't be decoded.
func newText(o *Object, s Section, raw string, d section) *Text {
	t := &Text{Section: s, raw: raw, object: o, plain: d.plain}
	if d.typ != nil {
		t.json = d.json
	}
	t.stop = d.stop
	if errors.Is(d.lost, errExpensive) {
		t.TooExpensive = &Fault{Position: t.place(1), Problem: d.lost.Error(), Hint: "remove unused entries, and write the list without directives and with few aliases"}
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

// readTree builds the node tree of the text. It sets root and the faults NotAList, Trailing and Disagreement. notAList
// reports that the authenticator does not decode the text as a list.
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
		t.NotAList = t.describeNotAList(root)
	case root.Kind == yaml.SequenceNode:
		t.root = root
	case root.Kind != yaml.ScalarNode || root.Tag != "!!null":
		t.disagree(t.nodePlace(t.Section.Path(), root), "two YAML readers disagree on whether it is a list")
	}
	t.findTrailing(read.decoder)
}

// findTrailing sets Trailing if content follows the first YAML document. The authenticator does not read such content.
// Empty documents do not count as content.
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
				Position: t.place(max(errorLine(err), 1)),
				Problem:  "the list ends before this line",
				Hint:     "indent every element of the list alike",
			}
			if documentEnd.MatchString(t.raw[:t.end]) {
				t.Trailing.Hint = "leave out the line with ... so that the list goes on"
				t.Trailing.repair = t.leaveOutSeparators(t.end)
			}
			if m, ok := t.layoutMistake(max(errorLine(err), 1)); ok {
				t.Trailing.Problem, t.Trailing.Hint, t.Trailing.repair = m.problem, m.hint, m.repair
			}
			return
		case next.Content[0].Kind != yaml.ScalarNode || next.Content[0].Tag != "!!null":
			t.end = t.index().offset(t.raw, next.Content[0].Line, 1)
			t.Trailing = &Fault{
				Position: t.nodePlace(t.Section.Path(), next.Content[0]),
				Problem:  "a second YAML document begins before this line",
				Hint:     "leave out the line with --- or ... so that the list goes on",
				repair:   t.leaveOutSeparators(t.end),
			}
			return
		}
	}
}

// accountID matches an account id within a text.
var accountID = regexp.MustCompile(`\b\d{12}\b`)

// documentEnd matches a line of three dots, which ends a YAML document.
var documentEnd = regexp.MustCompile(`(?m)^\.{3}[ \t\r]*$`)

// describeNotAList returns the fault of a text that is not a list. root is the node of the whole text.
func (t *Text) describeNotAList(root *yaml.Node) *Fault {
	f := &Fault{Position: t.nodePlace(t.Section.Path(), root), Problem: kindOf(root) + ", not a list", Hint: "write a list, each element with a dash"}
	if accounts := accountID.FindAllString(root.Value, 10); t.Section == MapAccounts && root.Kind == yaml.ScalarNode && len(accounts) > 0 {
		f.Hint = `write "` + strings.Join(accounts, `" and "`) + `", each after a dash`
		f.repair = t.repairAccounts(root.Value)
		return f
	}
	if root.Kind == yaml.ScalarNode && strings.HasPrefix(strings.TrimSpace(root.Value), "- ") {
		f.Hint = "write the list without quotes around it"
		if root.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			f.Hint = "write the list without the line above it"
		}
		f.repair = func() []Texts { return t.with(root.Value) }
		return f
	}
	if root.Kind != yaml.MappingNode || len(root.Content) == 0 {
		return f
	}
	key := root.Content[0]
	if at, c, ok := FindTypographic(key.Value); ok && at == 0 && c.Write == "-" {
		f.Problem += ", because " + c.String() + " begins its first line in place of a dash"
		f.Hint = "write - instead of " + c.String()
		f.repair = t.repairTypographic(scalarOffset(t.raw, t.index(), key))
		return f
	}
	switch {
	case IsSection(key.Value):
		f.Problem += ", because it begins with the key " + key.Value
		f.Hint = "write the list without the line " + key.Value + ": above it"
		f.repair = t.leaveOutKey(root)
	case elementKey.MatchString(key.Value) && root.Style&yaml.FlowStyle == 0:
		f.Problem += ", because no dash begins its element"
		f.Hint = "write a dash before " + key.Value + ", and move the lines below it by two columns"
		f.repair = t.writeDash()
	case elementKey.MatchString(key.Value):
		f.Hint = "write the element in brackets"
		f.repair = func() []Texts { return t.with("[" + strings.TrimSpace(t.raw) + "]\n") }
	}
	return f
}

func (t *Text) disagree(at Position, problem string) {
	if t.Disagreement == nil {
		t.Disagreement = &Fault{Position: at, Problem: problem, Hint: "write the value on one line, in double quotes"}
	}
}

// place returns the position at which a line of the text begins. Lines count from one; line 0 also stands for the first
// line.
func (t *Text) place(line int) Position {
	return t.offsetPlace(t.Section.Path(), t.index().offset(t.raw, line, 1))
}

// nodePlace returns the position at which the text of a node begins.
func (t *Text) nodePlace(path string, n *yaml.Node) Position {
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

func (t *Text) offsetPlace(path string, offset int) Position {
	p := Position{Path: path}
	if t.object.positions != nil {
		p.Line, p.Column = t.object.positions.place(string(t.Section), offset)
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

// maxShown limits the bytes of a value that a Problem quotes.
const maxShown = 200

// Unread returns the part of the text that the authenticator does not read:
//   - the whole text if the section doesn't parse, is not a list, or has a Disagreement
//   - the text from the element Stop on
//   - the text after the end of the list
//
// For every other text Unread returns "". It also returns "" for a text that is too expensive to decode.
func (t *Text) Unread() string {
	switch {
	case t.Syntax != nil || t.NotAList != nil || t.Disagreement != nil:
		return t.raw
	case t.Stop != nil && t.rest > 0:
		return t.raw[t.rest:]
	case t.Trailing != nil:
		return t.raw[t.end:]
	}
	return ""
}
