package edit

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// list is the text of a section with its YAML nodes.
type list struct {
	section awsauth.Section
	index   int // the index of the element to edit; -1 if the edit concerns the whole section
	text    string
	doc     *awsauth.Document
	root    *awsauth.Span // nil if the text has no list
}

func (l *list) refuse(format string, args ...any) error {
	return &RefusedError{l.section, l.index, fmt.Sprintf(format, args...)}
}

func parse(text string, s awsauth.Section) *awsauth.Document {
	return (&awsauth.Object{Data: map[string]string{string(s): text}}).Parse()
}

// read parses the text of a section. index is the element to edit, or -1. read returns an error if the authenticator doesn't load the whole
// text, or if two YAML readers disagree on the elements.
func read(text string, s awsauth.Section, index int) (*list, error) {
	l := &list{section: s, index: index, text: text, doc: parse(text, s)}
	if err := l.doc.Map.LoadError(s); err != nil {
		return nil, l.refuse("the authenticator loads nothing from it: %v", err)
	}
	if len(l.doc.Texts) == 0 {
		return l, nil // the authenticator treats the text as empty
	}
	if l.doc.Texts[0].Stop != nil {
		return nil, l.refuse("the authenticator does not read the whole list: %s", l.doc.Texts[0].Stop.Problem)
	}
	root, err := awsauth.Outline(text)
	if err != nil {
		return nil, l.refuse("%v", err)
	}
	l.root = root
	n := len(l.doc.Map.Roles) + len(l.doc.Map.Users) + len(l.doc.Map.Accounts) + len(l.doc.BadAccounts)
	switch {
	case root != nil && root.Kind == awsauth.ListSpan && len(root.Items) == n:
	case n == 0 && (root == nil || root.Kind == awsauth.ScalarSpan):
	default:
		return nil, l.refuse("two YAML readers disagree on its elements")
	}
	return l, nil
}

// readElement is like read, and also returns an error if the section has no element with this index.
func readElement(text string, s awsauth.Section, index int) (*list, error) {
	l, err := read(text, s, index)
	if err != nil {
		return nil, err
	}
	if l.root == nil || index < 0 || index >= len(l.root.Items) {
		return nil, l.refuse("it has no such element")
	}
	return l, nil
}

// item returns the element to edit.
func (l *list) item() *awsauth.Span { return l.root.Items[l.index] }

// inFlow reports whether the keys of the element are in braces.
func (l *list) inFlow() bool { return l.root.Flow || l.item().Flow }

// checkEntry returns an error if a value of an entry is not UTF-8, or if a new entry has no ARN.
func (l *list) checkEntry(e awsauth.Entry) error {
	texts := append([]string{e.ARN, e.Username}, e.Groups...)
	if slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) }) {
		return l.refuse("a value of the new entry is not UTF-8")
	}
	if e.ARN == "" && l.index < 0 {
		return l.refuse("the new entry has no ARN")
	}
	return nil
}

// element describes an element of mapRoles or mapUsers. check compares the elements after an edit with it.
type element struct {
	entry   awsauth.Entry
	keys    []keyValue
	changed bool // check doesn't compare the keys
	// oneOf holds alternatives: after the edit the element must have the keys of one of these lists. If oneOf is not empty, check ignores keys
	// and entry.
	oneOf [][]keyValue
}

// keyValue is a key of an element. value is empty if it is not a text.
type keyValue struct{ name, value string }

// changeKey sets oneOf to the keys after a change of one key, which the function change makes. An element can have the same key twice: by itself
// and from a YAML merge. Then oneOf has a list for each of them, because the edit changes only one.
func (e *element) changeKey(name string, change func(*keyValue)) {
	for i := range e.keys {
		if e.keys[i].name == name {
			keys := slices.Clone(e.keys)
			change(&keys[i])
			e.oneOf = append(e.oneOf, keys)
		}
	}
}

func (l *list) elements() []element { return elementsOf(l.doc) }

func elementsOf(d *awsauth.Document) []element {
	var list []element
	for m := range d.Mappings() {
		e := element{entry: *m.Entry}
		for _, key := range m.Keys() {
			e.keys = append(e.keys, keyValue{key.Value, key.Below})
		}
		list = append(list, e)
	}
	return list
}

// accountIndex returns the place of an element of mapAccounts in the list of loaded accounts. index is the index of the element in the text. The
// result is -1 if the authenticator drops the element.
func (l *list) accountIndex(index int) int {
	return slices.IndexFunc(l.doc.Accounts, func(f awsauth.Field) bool {
		_, i := f.Element()
		return i == index
	})
}

// accounts returns the loaded accounts, except those of the elements with the indexes in without.
func (l *list) accounts(without ...int) []string {
	var values []string
	for _, f := range l.doc.Accounts {
		if _, i := f.Element(); !slices.Contains(without, i) {
			values = append(values, f.Value)
		}
	}
	return values
}

// check loads the text of mapRoles or mapUsers after an edit. It returns the text, or an error if the text has a new fault or other elements
// than want.
func (l *list) check(text string, want []element) (string, error) {
	d := parse(text, l.section)
	if err := l.checkFaults(d); err != nil {
		return "", err
	}
	got := elementsOf(d)
	if len(got) != len(want) {
		return "", l.refuse("the text would have %d elements instead of %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].is(&want[i]) {
			return "", l.refuse("the edit would change the element %s[%d] differently than asked", l.section, i)
		}
	}
	return text, nil
}

func (e *element) is(want *element) bool {
	if want.oneOf != nil {
		return slices.ContainsFunc(want.oneOf, func(keys []keyValue) bool { return slices.Equal(e.keys, keys) })
	}
	if !want.changed && !slices.Equal(e.keys, want.keys) {
		return false
	}
	a, b := e.entry, want.entry
	if want.changed && a.ARN != "" && a.SSO == nil {
		b.Dropped = ""
	}
	return a.ARN == b.ARN && a.Username == b.Username && slices.Equal(a.Groups, b.Groups) && reflect.DeepEqual(a.SSO, b.SSO) && a.Dropped == b.Dropped
}

// checkAccounts does for mapAccounts what check does for the other sections. want holds the accounts after the edit.
func (l *list) checkAccounts(text string, want []string) (string, error) {
	d := parse(text, l.section)
	if err := l.checkFaults(d); err != nil {
		return "", err
	}
	if !slices.Equal(d.Map.Accounts, want) {
		return "", l.refuse("the edit would change other accounts")
	}
	return text, nil
}

// checkFaults returns an error if a text has a fault that the text before the edit does not have.
func (l *list) checkFaults(after *awsauth.Document) error {
	if err := after.Map.LoadError(l.section); err != nil {
		return l.refuse("after the edit the authenticator would load nothing from it: %v", err)
	}
	had := make(map[string]bool)
	for name, f := range faults(l.doc) {
		had[name] = f != nil
	}
	for name, f := range faults(after) {
		if f != nil && !had[name] {
			return l.refuse("after the edit it would have a fault: %s", f.Problem)
		}
	}
	return nil
}

func faults(d *awsauth.Document) map[string]*awsauth.Fault {
	if len(d.Texts) == 0 {
		return nil
	}
	t := d.Texts[0]
	return map[string]*awsauth.Fault{"trailing": t.Trailing, "stop": t.Stop, "disagreement": t.Disagreement}
}

// pair returns the key and the value that the authenticator reads for a name. This is the last key that equals the name. The case of letters
// doesn't matter.
func (l *list) pair(name string) (key, value *awsauth.Span, ok bool) {
	item := l.item()
	if item.Kind != awsauth.MappingSpan {
		return nil, nil, false
	}
	for i := len(item.Items) - 2; i >= 0; i -= 2 {
		if strings.EqualFold(item.Items[i].Value, name) {
			return item.Items[i], item.Items[i+1], true
		}
	}
	return nil, nil, false
}

// onlyPair returns the key with exactly this name, and its value. It returns an error if the element has no such key or several.
func (l *list) onlyPair(name string) (key, value *awsauth.Span, err error) {
	item, n := l.item(), 0
	if item.Kind == awsauth.MappingSpan {
		for i := 0; i < len(item.Items); i += 2 {
			if item.Items[i].Value == name {
				key, value = item.Items[i], item.Items[i+1]
				n++
			}
		}
	}
	if n != 1 {
		return nil, nil, l.refuse("it has %d keys %s of its own", n, name)
	}
	return key, value, nil
}

// splice is a replacement in a text.
type splice awsauth.Replacement

// apply returns the text with all replacements made. The replacements must not overlap.
func apply(text string, splices []splice) string {
	replacements := make([]awsauth.Replacement, len(splices))
	for i, s := range splices {
		replacements[i] = awsauth.Replacement(s)
	}
	return awsauth.ReplaceIn(text, replacements)
}

const byteOrderMark = "\ufeff"

// lineStart returns the offset at which the line with the offset at begins. A byte order mark is not a part of the line.
func lineStart(text string, at int) int {
	if i := strings.LastIndexAny(text[:at], "\r\n"); i >= 0 {
		return i + 1
	}
	if strings.HasPrefix(text[:at], byteOrderMark) {
		return len(byteOrderMark)
	}
	return 0
}

// lineEnd returns the offset of the first line break from an offset on, or the length of the text if there is none.
func lineEnd(text string, at int) int {
	if i := strings.IndexAny(text[at:], "\r\n"); i >= 0 {
		return at + i
	}
	return len(text)
}

// breakAt returns the line break at an offset, or "".
func breakAt(text string, at int) string {
	switch {
	case strings.HasPrefix(text[at:], "\r\n"):
		return "\r\n"
	case at < len(text) && (text[at] == '\n' || text[at] == '\r'):
		return text[at : at+1]
	}
	return ""
}

// lineBreak returns the first line break of a text, or "\n" if there is none.
func lineBreak(text string) string { return cmp.Or(breakAt(text, lineEnd(text, 0)), "\n") }

func blank(text string) bool { return strings.Trim(text, " \t") == "" }

// endOfLine returns the offset at which the line with the offset at ends, before its line break. ok reports whether only white space or a
// comment stands between the two offsets.
func endOfLine(text string, at int) (end int, ok bool) {
	end = lineEnd(text, at)
	rest := strings.TrimLeft(text[at:end], " \t")
	return end, rest == "" || rest[0] == '#'
}
