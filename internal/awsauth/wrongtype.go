package awsauth

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// WrongType is a value that the authenticator ignores because of its type.
type WrongType struct {
	Field
	// Got and Want are types, for example "a number" and "a string".
	Got, Want string
}

// WrongTypes returns the values of the element that have a wrong type. It stops reading a list at the limit maxWrong.
// Types are those of YAML 1.1, in which an unquoted yes, on, y or 0123 is not a string.
func (m Mapping) WrongTypes() []WrongType { return m.wrong }

// maxWrong limits the values with a wrong type that WrongTypes reports in a list.
const maxWrong = 100

func (m Mapping) wrongTypes() []WrongType {
	var values map[string]any
	if m.json == nil || json.Unmarshal(m.json, &values) != nil {
		return nil // every type is right, or the element is not a mapping
	}
	nodes := valueNodes(m.node)
	var list []WrongType
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value, f := values[key], m.field(key, orNode(nodes[key], m.node))
		switch {
		case isKey(key, m.Entry.ARNKey(), "username", "userid"):
			list = wantString(list, f, value)
		case isKey(key, "groups"):
			list = wantStrings(list, f, value)
		case isKey(key, "sso") && m.Entry.Section == MapRoles:
			list = m.wantSSO(list, f, value)
		}
	}
	return list
}

func (m Mapping) wantSSO(list []WrongType, f Field, value any) []WrongType {
	fields, ok := value.(map[string]any)
	if !ok && value != nil {
		return append(list, WrongType{f.withText(), jsonKind(value), "a mapping"})
	}
	nodes := valueNodes(f.node)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if isKey(name, "permissionSetName", "accountID", "partition") && len(list) < maxWrong {
			list = wantString(list, m.field(f.name+"."+name, orNode(nodes[name], f.node)), fields[name])
		}
	}
	return list
}

func isKey(key string, names ...string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(key, name) })
}

// wantString appends the field to the list if its value is neither a string nor null. The authenticator reads null as
// the empty string.
func wantString(list []WrongType, f Field, value any) []WrongType {
	if _, ok := value.(string); ok || value == nil {
		return list
	}
	return append(list, WrongType{f.withText(), jsonKind(value), "a string"})
}

// withText returns the field with the text of its scalar as Value, without quotes. It does not change a field without a
// scalar.
func (f Field) withText() Field {
	if f.node != nil && resolveAlias(f.node).Kind == yaml.ScalarNode {
		f.Value = resolveAlias(f.node).Value
	}
	return f
}

func wantStrings(list []WrongType, f Field, value any) []WrongType {
	values, ok := value.([]any)
	if !ok && value != nil {
		return append(list, WrongType{f.withText(), jsonKind(value), "a list of strings"})
	}
	var nodes []*yaml.Node
	if f.node != nil {
		nodes = resolveAlias(f.node).Content
	}
	for i, v := range values {
		if len(list) >= maxWrong {
			break
		}
		f.nth = i + 1
		if i < len(nodes) {
			f.node = nodes[i]
		}
		list = wantString(list, f, v)
	}
	return list
}

// valueNodes returns the last value of each key of a mapping. Keys that differ in case are different keys.
func valueNodes(mapping *yaml.Node) map[string]*yaml.Node {
	if mapping == nil {
		return nil
	}
	nodes := make(map[string]*yaml.Node)
	for _, p := range pairs(resolveAlias(mapping), 0) {
		nodes[resolveAlias(p.key).Value] = p.value
	}
	return nodes
}

func orNode(n, other *yaml.Node) *yaml.Node {
	if n == nil {
		return other
	}
	return n
}

func jsonKind(value any) string {
	switch value.(type) {
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case float64:
		return "a number"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	}
	return "null"
}

// Name returns the key of the value. For a value in a list it appends the index, as in groups[0].
func (w WrongType) Name() string {
	if w.nth > 0 {
		return fmt.Sprintf("%s[%d]", w.name, w.nth-1)
	}
	return w.name
}

// IsElement reports whether the value is an item of a list and looks like an element: a mapping whose first key is a
// key of elements. This happens if the indentation of an element makes it a group of the element above.
func (w WrongType) IsElement() bool {
	if w.node == nil || w.nth == 0 {
		return false
	}
	n := resolveAlias(w.node)
	return n.Kind == yaml.MappingNode && len(n.Content) > 0 && elementKey.MatchString(n.Content[0].Value)
}

// Meant returns the text that the author probably meant. For a list with one item this is the item. For a mapping a: b
// that is an item of a list, this is a:b. Meant returns "" for other values, and for a text that plainText does not match.
func (w WrongType) Meant() string {
	if w.node == nil || w.Want != "a string" {
		return ""
	}
	n := resolveAlias(w.node)
	var parts []string
	for _, c := range n.Content {
		if resolveAlias(c).Kind != yaml.ScalarNode {
			return ""
		}
		parts = append(parts, resolveAlias(c).Value)
	}
	switch {
	case n.Kind == yaml.SequenceNode && len(parts) == 1, n.Kind == yaml.MappingNode && len(parts) == 2 && w.nth > 0:
	default:
		return ""
	}
	if text := strings.Join(parts, ":"); plainText.MatchString(text) {
		return text
	}
	return ""
}

// plainText matches texts that YAML reads as strings without quotes, and words that YAML reads as another type, see
// [ReadsAsOtherType].
var plainText = regexp.MustCompile(`^[A-Za-z][\w./@+=-]+(:[\w./@+=-]*)*\w$`)

// IsKey reports whether the value is that of the given key, ignoring case.
func (w WrongType) IsKey(key string) bool { return strings.EqualFold(w.name, key) }
