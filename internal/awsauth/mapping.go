package awsauth

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Mapping is one element of mapRoles or mapUsers with its positions. The values come from the authenticator's decoder,
// which ignores a value of a wrong type. Such a value is empty.
type Mapping struct {
	Entry    *Entry
	ARN      Field // rolearn or userarn
	Username Field
	Groups   []Field

	text    *Text
	written *yaml.Node // the node of the element, which may be an alias; nil if it is not known or not needed yet, see withNodes
	node    *yaml.Node // the same node, with an alias resolved
	next    int        // the offset of the next element, or of the end of the list
	json    json.RawMessage
	wrong   []WrongType
	others  []Field
	has     [4]bool // whether the element has each of sharedKeys; set only if the element has other keys or a merge
}

// Field is an element of a section, or a key or a value of an element. At computes its position on demand.
type Field struct {
	Value string

	text  *Text
	index int
	name  string // the key within the element; empty for the element itself
	nth   int    // the place in the list under the key, from one; zero for a value that is not in a list
	node  *yaml.Node

	// Below is the value of a key. Only Keys and OtherKeys set it, and only if the value is a scalar.
	Below string
}

// At returns the position of the field. If the value is missing, Path is still the path of the value, but Line and Column
// are those of its element. They are zero if the node of the field is not known.
func (f Field) At() Position {
	path := fmt.Sprintf("%s[%d]", f.text.Section.Path(), f.index)
	if f.name != "" {
		path += "." + f.name
	}
	if f.nth > 0 {
		path += fmt.Sprintf("[%d]", f.nth-1)
	}
	n := f.node
	if n == nil && f.text.plain {
		n = f.text.withNodes()[f.index].nodeOf(f)
	}
	if n == nil {
		return Position{Path: path}
	}
	return f.text.nodePlace(path, n)
}

// nodeOf returns the node for a field of a text in the plain form. m is the field's element with its nodes.
func (m Mapping) nodeOf(f Field) *yaml.Node {
	switch {
	case f.name == m.ARN.name:
		return m.ARN.node
	case f.name == m.Username.name:
		return m.Username.node
	case f.nth > 0:
		return m.Groups[f.nth-1].node
	}
	return m.written
}

// withNodes returns the element with its nodes. The first call for an element of a plain text builds the node tree.
func (m Mapping) withNodes() Mapping {
	if !m.text.plain {
		return m
	}
	return m.text.withNodes()[m.Entry.Index]
}

// At returns the Position itself. So a rule can use a Position in the same way as a Field or a Scalar.
func (p Position) At() Position { return p }

// At returns the position of the element.
func (m Mapping) At() Position { return m.field("", m.written).At() }

// Block returns the text from this element up to the next element or the end of the list, without white space and
// invisible characters. It leaves out dashes, commas and closing brackets at the end. It returns "" if the place of the
// element in the text is not known.
func (m Mapping) Block() string {
	m = m.withNodes()
	if m.written == nil {
		return ""
	}
	start := m.text.index().offset(m.text.raw, m.written.Line, m.written.Column)
	if start > m.next {
		return ""
	}
	return strings.TrimRight(Squeeze(m.text.raw[start:m.next]), "-,]")
}

// Squeeze returns a text without white space and invisible characters.
func Squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		if invisible(r) {
			return -1
		}
		return r
	}, text)
}

func (m Mapping) field(name string, n *yaml.Node) Field {
	return Field{text: m.text, index: m.Entry.Index, name: name, node: n}
}

// IsMapping reports whether the element is a mapping. It returns true if the type of the element is not known.
func (m Mapping) IsMapping() bool { return m.node == nil || m.node.Kind == yaml.MappingNode }

// Kind describes the YAML type of the element, for messages.
func (m Mapping) Kind() string {
	if m.IsMapping() {
		return "a mapping"
	}
	return kindOf(m.node)
}

// pair is a key of a mapping node and its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the keys of an element with their values, in order. The keys of a merged mapping stand in the place of
// the merge. depth is the number of merges around n. pairs ignores merges that are nested more than eight levels deep,
// so the values from such merges have no position of their own.
func pairs(n *yaml.Node, depth int) []pair {
	var list []pair
	if n == nil || n.Kind != yaml.MappingNode || depth > 8 {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := resolveAlias(n.Content[i]), n.Content[i+1]
		if key.Tag != "!!merge" {
			list = append(list, pair{n.Content[i], value})
			continue
		}
		merged := resolveAlias(value)
		if merged.Kind == yaml.SequenceNode {
			for _, m := range merged.Content {
				list = append(list, pairs(resolveAlias(m), depth+1)...)
			}
			continue
		}
		list = append(list, pairs(merged, depth+1)...)
	}
	return list
}

// withFields returns the element with the nodes of its decoded values. all are the keys of the element.
func (m Mapping) withFields(all []pair) Mapping {
	e := m.Entry
	m.ARN = m.scalar(all, e.ARNKey(), e.ARN)
	m.Username = m.scalar(all, "username", e.Username)
	node := m.find(all, "groups", func(n *yaml.Node) bool { return m.holds(n, e.Groups) })
	m.Groups = make([]Field, len(e.Groups))
	for i, g := range e.Groups {
		f := Field{Value: g, text: m.text, index: e.Index, name: "groups", nth: i + 1}
		if node != nil && i < len(resolveAlias(node).Content) {
			f.node = resolveAlias(node).Content[i]
		}
		m.Groups[i] = f
	}
	return m
}

// scalar returns the field for the decoded value of a key, with the value's node. If the key is missing, it uses the
// node of the element.
func (m Mapping) scalar(all []pair, key, value string) Field {
	node := m.find(all, key, func(n *yaml.Node) bool { return value == "" || sameText(n, value) })
	if node == nil {
		node = m.node
	}
	f := m.field(key, node)
	f.Value = value
	return f
}

// find returns the node of the value of a key, or nil if the element has no such key. It ignores the case of the key.
// If several keys have this name, it returns the last value that fits, or else the first value. If no value fits and no
// value of the section has a wrong type, find records a Disagreement.
func (m Mapping) find(all []pair, name string, fits func(*yaml.Node) bool) *yaml.Node {
	var last *yaml.Node
	for _, p := range slices.Backward(all) {
		key := resolveAlias(p.key)
		if len(key.Value) != len(name) && isASCII(key.Value) || !strings.EqualFold(key.Value, name) {
			continue
		}
		if fits(resolveAlias(p.value)) {
			return p.value
		}
		last = p.value
	}
	if last != nil && m.json == nil {
		m.text.disagree(m.At(), "two YAML readers disagree on the value of "+name)
	}
	return last
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > 127 })
}

// sameText reports whether a node has the decoded value. A node with the tag !!binary holds its value in base64, and
// the authenticator's decoder puts U+FFFD in place of each byte that is not UTF-8.
func sameText(n *yaml.Node, value string) bool {
	if n.Tag != "!!binary" {
		return n.Value == value
	}
	decoded, err := base64.StdEncoding.DecodeString(n.Value)
	return err == nil && ReplaceBytes(string(decoded)) == value
}

// holds reports whether a node is a list of the decoded groups. An empty group equals every item. If there are no
// groups, holds returns true for every node.
func (m Mapping) holds(n *yaml.Node, groups []string) bool {
	if len(groups) == 0 {
		return true
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) != len(groups) {
		return false
	}
	for i, g := range groups {
		if g != "" && !sameText(resolveAlias(n.Content[i]), g) {
			return false
		}
	}
	return true
}

// Keys returns the keys of the element as they are written, including duplicates and the keys of merged mappings.
func (m Mapping) Keys() []Field {
	var keys []Field
	for _, p := range pairs(m.withNodes().node, 0) {
		key := resolveAlias(p.key)
		f := m.field(key.Value, p.key)
		f.Value = key.Value
		if value := resolveAlias(p.value); value.Kind == yaml.ScalarNode {
			f.Below = value.Value
		}
		keys = append(keys, f)
	}
	return keys
}

// OtherKeys returns the keys of the element that are not known keys of its section, including known keys in another
// case. It returns at most maxOthers keys.
func (m Mapping) OtherKeys() []Field { return m.others }

// maxOthers limits the result of OtherKeys.
const maxOthers = 100

// withOtherKeys returns the element after setting its fields others and has.
func (m Mapping) withOtherKeys() Mapping {
	if m.node == nil || m.node.Kind != yaml.MappingNode {
		return m
	}
	known := func(key string) bool { return slices.Contains(ElementKeys(m.Entry.Section), key) }
	for i := 0; ; i += 2 {
		if i >= len(m.node.Content) {
			return m // the usual case
		}
		if !known(m.node.Content[i].Value) {
			break
		}
	}
	for _, f := range m.Keys() {
		if !known(f.Value) && len(m.others) < maxOthers {
			m.others = append(m.others, f)
		}
		if i := slices.IndexFunc(sharedKeys, func(k string) bool { return strings.EqualFold(k, f.Value) }); i >= 0 {
			m.has[i] = true
		}
	}
	return m
}

// HasKey reports whether the element has a key, ignoring case. name must be rolearn, userarn, username or groups.
func (m Mapping) HasKey(name string) bool {
	m = m.withNodes()
	if m.others == nil && m.node != nil && m.node.Kind == yaml.MappingNode {
		for i := 0; i < len(m.node.Content); i += 2 {
			if m.node.Content[i].Value == name {
				return true
			}
		}
	}
	i := slices.Index(sharedKeys, name)
	return i >= 0 && m.has[i]
}

// sharedKeys are the keys that HasKey accepts.
var sharedKeys = []string{"rolearn", "userarn", "username", "groups"}

var (
	roleKeys = []string{"rolearn", "username", "groups", "userid", "sso"}
	userKeys = []string{"userarn", "username", "groups", "userid"}
)

// ElementKeys returns the keys of an element of mapRoles or mapUsers (aws-iam-authenticator v0.7.18,
// pkg/config/types.go). The caller must not change the list.
func ElementKeys(s Section) []string {
	if s == MapUsers {
		return userKeys
	}
	return roleKeys
}

// DuplicateKeys returns the second and further occurrences of a key in the element, ignoring case. It ignores
// the keys of merged mappings.
func (m Mapping) DuplicateKeys() []Field {
	if m.node == nil || m.node.Kind != yaml.MappingNode {
		return nil
	}
	var again []Field
	content := m.node.Content
	var seen map[string]bool
	if len(content) > 32 { // an element has at most five keys; comparing the keys of a hostile element must not take quadratic time
		seen = make(map[string]bool, len(content)/2)
	}
	for i := 0; i < len(content); i += 2 {
		key := content[i].Value
		if content[i].Kind != yaml.ScalarNode || content[i].Tag == "!!merge" {
			continue
		}
		duplicate := false
		if seen != nil {
			duplicate = seen[fold(key)]
			seen[fold(key)] = true
		} else {
			for j := 0; j < i; j += 2 {
				duplicate = duplicate || strings.EqualFold(content[j].Value, key)
			}
		}
		if duplicate {
			f := m.field(key, content[i])
			f.Value = key
			again = append(again, f)
		}
	}
	return again
}

// Folded returns the first line that YAML appends to the value, and the position of this line. YAML appends a line
// below the value that is indented deeper than the key of the value. Folded returns false if YAML appends no line. It
// also returns false for a value with a tag, in quotes or in a block scalar, because the author of such a value wanted
// several lines.
func (f Field) Folded() (line string, at Position, ok bool) {
	if f.node == nil && f.text.plain {
		return "", Position{}, false // every value of a plain text is on one line
	}
	if f.node == nil || f.node.Kind != yaml.ScalarNode || f.node.Style != 0 {
		return "", Position{}, false
	}
	raw := f.text.raw
	offset := scalarOffset(raw, f.text.index(), f.node)
	offset += lineLen(raw, offset)
	for n := breakLen(raw, offset); n > 0; n = breakLen(raw, offset) {
		offset += n
		offset += spaces(raw, offset)
		n = lineLen(raw, offset)
		line = strings.TrimSpace(raw[offset : offset+n])
		if line != "" {
			break
		}
		offset += n
	}
	if line == "" || !strings.Contains(f.node.Value, line) {
		return "", Position{}, false
	}
	return line, f.text.offsetPlace(f.At().Path, offset), true
}

// Element returns the section of the value and the index of its element.
func (f Field) Element() (section Section, index int) { return f.text.Section, f.index }

// Text returns the value.
func (f Field) Text() string { return f.Value }

// Element returns the section and the index of the element.
func (m Mapping) Element() (section Section, index int) { return m.Entry.Section, m.Entry.Index }

// Text returns "", because a finding at the element concerns the whole element.
func (m Mapping) Text() string { return "" }
