package awsauth

import "go.yaml.in/yaml/v3"

// ScalarText describes the text of one scalar.
type ScalarText struct {
	Node    *yaml.Node
	Start   int                  // the offset of the scalar's text
	Matched bool                 // whether Locate supports the text
	Locate  func(offset int) int // maps an offset in the value to one in the text
}

// ScalarTexts reads a YAML text and returns its scalars and aliases in order.
func ScalarTexts(text string) ([]ScalarText, error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(text), &root); err != nil {
		return nil, err
	}
	lines := newLineIndex(text)
	var list []ScalarText
	var visit func(n *yaml.Node)
	visit = func(n *yaml.Node) {
		for _, child := range n.Content {
			visit(child)
		}
		if n.Kind != yaml.ScalarNode && n.Kind != yaml.AliasNode {
			return
		}
		s := ScalarText{Node: n, Start: scalarOffset(text, &lines, n)}
		segments := scalarSegments(text, &lines, n)
		if s.Matched = segments != nil; s.Matched {
			s.Locate = func(offset int) int { return locateIn(segments, offset) }
		}
		list = append(list, s)
	}
	visit(&root)
	return list, nil
}

// ParseWithTree is Parse, but builds the node tree of every text. plain reports whether at least one text has the plain
// form.
func (o *Object) ParseWithTree() (d *Document, plain bool) {
	sections := o.loadSections(o.checkLimits(), nil)
	for name, s := range sections {
		plain = plain || s.plain
		s.plain = false
		sections[name] = s
	}
	return o.ParseLoaded(newMap(sections)), plain
}
