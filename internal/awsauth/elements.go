package awsauth

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// mappings returns the decoded elements with their nodes. The elements of a text in the plain form get no nodes here;
// withNodes finds the nodes when the first position is needed.
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

// withNodes returns the elements of a plain text with their nodes. Its first call builds the node tree.
func (t *Text) withNodes() []Mapping {
	if t.located == nil {
		t.readTree(false)
		t.located = t.join(t.entries)
	}
	return t.located
}

// join returns the decoded elements with their nodes in the tree. If there is no tree, or if the tree has another number
// of elements, the elements have no nodes, and join records a Disagreement. Without decoded elements it records none.
func (t *Text) join(entries []Entry) []Mapping {
	list := make([]Mapping, len(entries))
	located := t.root != nil && len(t.root.Content) == len(entries)
	if !located && len(entries) > 0 {
		t.disagree(Position{Path: t.Section.Path()}, "two YAML readers disagree on the number of elements")
	}
	var elements []json.RawMessage
	if t.json != nil && json.Unmarshal(t.json, &elements) != nil {
		elements = nil // not reached, because t.json was decoded before
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

// accounts returns the elements of mapAccounts before the first element that the authenticator can't decode. kept are
// the elements that the authenticator keeps, with their decoded values. bad are the elements that it drops because they
// are not scalars. If there is an element that the authenticator can't decode, accounts sets Stop.
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
				t.rest = t.index().offset(t.raw, n.Line, n.Column)
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
		t.stopAt(Position{Path: t.Section.Path()})
		return kept, bad
	}
	if next != len(values) {
		t.disagree(Position{Path: t.Section.Path()}, "two YAML readers disagree on the number of elements")
	}
	return kept, bad
}

func (t *Text) stopAt(at Position) {
	t.Stop = &Fault{Position: at, Problem: bareYAMLError(t.stop), Hint: "write the 12 digits of the account in quotes, without a tag"}
}

// isEmpty reports whether yaml.v2 decodes a scalar to an empty text.
func isEmpty(n *yaml.Node) bool {
	switch n.Value {
	case "":
		return true
	case "~", "null", "Null", "NULL":
		return n.Tag == "!!null"
	}
	return false
}
