package awsauth

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// source says where the text of an object stands in a manifest file, so that an offset in the
// decoded text of a key can be shown as a line and a column of the file.
type source struct {
	text   string // the whole file
	lines  lineIndex
	object int            // where the object begins
	top    map[string]int // the keys of the object
	data   map[string]keySource
	binary map[string]int
	again  []Scalar // see duplicateKeys
}

// keySource is where a key and its text stand in the file.
type keySource struct {
	key, value int
	segments   []segment // of value; nil where only its beginning is known
}

// place translates a byte offset in the decoded text of data[key].
func (s *source) place(key string, offset int) (line, column int) {
	k, ok := s.data[key]
	switch {
	case !ok:
		return s.objectPlace()
	case k.segments == nil:
		return s.lines.position(s.text, k.value)
	}
	return s.lines.position(s.text, locateIn(k.segments, offset))
}

// keyPlace is where the key itself stands under data; (0, 0) where that is not known, as for a
// key that a YAML merge brings in.
func (s *source) keyPlace(key string) (line, column int) {
	if k, ok := s.data[key]; ok {
		return s.lines.position(s.text, k.key)
	}
	return 0, 0
}

// binaryKeyPlace is where the key stands under binaryData, or (0, 0).
func (s *source) binaryKeyPlace(key string) (line, column int) {
	if offset, ok := s.binary[key]; ok {
		return s.lines.position(s.text, offset)
	}
	return 0, 0
}

func (s *source) objectPlace() (line, column int) { return s.lines.position(s.text, s.object) }

// duplicateKeys are the keys under data and binaryData, and data itself, that are written again
// behind a first one, each at its later place: kubectl keeps the last one without a word.
func (s *source) duplicateKeys() []Scalar { return s.again }

// topKeyPlace is where a key of the object itself stands, such as data, or (0, 0).
func (s *source) topKeyPlace(key string) (line, column int) {
	if offset, ok := s.top[key]; ok {
		return s.lines.position(s.text, offset)
	}
	return 0, 0
}

// newSource finds the places of an object in the tree of its part of the file. The node is nil
// where the tree has none; the values are those that kubectl decodes.
func newSource(p *part, object *yaml.Node, values map[string]string) *source {
	s := &source{text: p.file.text, lines: p.file.lines, object: p.offset, data: map[string]keySource{}}
	if object == nil {
		return s
	}
	s.object = p.at(object)
	top := s.keys(p, "", object)
	s.top = make(map[string]int, len(top))
	for name, f := range top {
		s.top[name] = p.at(f.key)
	}
	if f, ok := top["binaryData"]; ok {
		keys := s.keys(p, "binaryData.", resolveAlias(f.value))
		s.binary = make(map[string]int, len(keys))
		for name, f := range keys {
			s.binary[name] = p.at(f.key)
		}
	}
	if f, ok := top["data"]; ok {
		for name, f := range s.keys(p, "data.", resolveAlias(f.value)) {
			s.data[name] = newKeySource(p, f, values[name])
		}
	}
	return s
}

func newKeySource(p *part, f pair, value string) keySource {
	k := keySource{key: p.at(f.key), value: p.at(f.value)}
	if value != f.value.Value {
		return k
	}
	k.segments = scalarSegments(p.text, &p.lines, f.value)
	for i := range k.segments {
		k.segments[i].raw += p.offset
	}
	return k
}

// keys returns the keys of a mapping, the last one where a key is written again, which it notes.
// Keys that a merge brings in are those of the mapping that is merged.
func (s *source) keys(p *part, path string, mapping *yaml.Node) map[string]pair {
	keys := map[string]pair{}
	if mapping.Kind != yaml.MappingNode {
		return keys
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		name := resolveAlias(key).Value
		if _, again := keys[name]; again && (path != "" || name == "data") {
			at := Place{Path: path + name}
			at.Line, at.Column = s.lines.position(s.text, p.at(key))
			s.again = append(s.again, Scalar{name, at})
		}
		keys[name] = pair{key, value}
	}
	for _, f := range pairs(mapping, 0) {
		name := resolveAlias(f.key).Value
		if _, ok := keys[name]; !ok {
			keys[name] = f
		}
	}
	return keys
}

// newObject makes an object of the values that kubectl decodes and of their places.
func newObject(p *part, values map[string]any, n *yaml.Node) *Object {
	data, _ := values["data"].(map[string]any)
	binary, _ := values["binaryData"].(map[string]any)
	o := &Object{Data: make(map[string]string, len(data)), BinaryData: slices.Sorted(maps.Keys(binary))}
	o.Immutable, _ = values["immutable"].(bool)
	for key, value := range data {
		if text, ok := value.(string); ok || value == nil { // the API server reads null as empty
			o.Data[key] = text
		}
	}
	metadata, _ := values["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	for key, value := range annotations {
		if text, ok := value.(string); ok {
			if o.Annotations == nil {
				o.Annotations = make(map[string]string)
			}
			o.Annotations[key] = text
		}
	}
	o.addLifetime(metadata)
	o.source = newSource(p, n, o.Data)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if _, ok := o.Data[key]; !ok {
			at := Place{Path: "data." + key}
			at.Line, at.Column = o.source.keyPlace(key)
			o.NotText = append(o.NotText, Scalar{key, at})
		}
	}
	return o
}

// Locate gives a place that has no position, because nothing stands there, the position in the
// manifest of the key in its path, else of the object. Places of a stored object stay as they are.
func (o *Object) Locate(p Place) Place {
	if o == nil || o.source == nil || p.Line > 0 {
		return p
	}
	if p.Line, p.Column = o.source.topKeyPlace(p.Path); p.Line > 0 {
		return p
	}
	key := strings.TrimPrefix(p.Path, "data.")
	if i := strings.IndexByte(key, '['); i > 0 {
		key = key[:i]
	}
	if p.Line, p.Column = o.source.keyPlace(key); p.Line > 0 {
		return p
	}
	if p.Line, p.Column = o.source.topKeyPlace("data"); p.Line == 0 {
		p.Line, p.Column = o.source.objectPlace()
	}
	return p
}
