package awsauth

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// positions gives the lines and columns in a manifest file for an object, its keys, and offsets in the texts under
// data.
type positions struct {
	file   *file
	object int            // the offset of the object
	top    map[string]int // the offsets of the object's keys
	data   map[string]keySource
	binary map[string]int
	again  []Scalar // see duplicateKeys
}

// keySource holds the offsets in the file of a key under data and of its text.
type keySource struct {
	key, value int
	segments   []segment // the segments of the text; nil if only its beginning is known
}

// place returns the line and column of a byte offset in the decoded text of data[key]. If the segments of the text are
// not known, it returns the position of the whole text. If the key is not known, it returns the position of the object.
func (s *positions) place(key string, offset int) (line, column int) {
	k, ok := s.data[key]
	switch {
	case !ok:
		return s.objectPlace()
	case k.segments == nil:
		return s.file.position(k.value)
	}
	return s.file.position(locateIn(k.segments, offset))
}

// keyPlace returns the position of a key under data, or (0, 0) if the position is not known.
func (s *positions) keyPlace(key string) (line, column int) {
	if k, ok := s.data[key]; ok {
		return s.file.position(k.key)
	}
	return 0, 0
}

// binaryKeyPlace returns the position of a key under binaryData, or (0, 0) if the position is not known.
func (s *positions) binaryKeyPlace(key string) (line, column int) {
	if offset, ok := s.binary[key]; ok {
		return s.file.position(offset)
	}
	return 0, 0
}

func (s *positions) objectPlace() (line, column int) { return s.file.position(s.object) }

// duplicateKeys returns the second and further occurrences of data, and of keys under data and binaryData, with their
// positions. kubectl uses the last occurrence of a key, and does not warn.
func (s *positions) duplicateKeys() []Scalar { return s.again }

// topKeyPlace returns the position of a key of the object itself, such as data, or (0, 0) if the position is not known.
func (s *positions) topKeyPlace(key string) (line, column int) {
	if offset, ok := s.top[key]; ok {
		return s.file.position(offset)
	}
	return 0, 0
}

// newPositions finds the positions of an object. object is the object's node, or nil if the node tree of the document
// has none. values are the texts under data from kubectl's decoder.
func newPositions(p *part, object *yaml.Node, values map[string]string) *positions {
	s := &positions{file: p.file, object: p.offset, data: map[string]keySource{}}
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

// keys returns the last occurrence of each key of a mapping, and records the duplicates that duplicateKeys returns. A
// key from a merge has its position in the merged mapping. path is the path of the mapping with a dot at its end, or ""
// for the object.
func (s *positions) keys(p *part, path string, mapping *yaml.Node) map[string]pair {
	keys := map[string]pair{}
	if mapping.Kind != yaml.MappingNode {
		return keys
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		name := resolveAlias(key).Value
		if _, again := keys[name]; again && (path != "" || name == "data") {
			at := Position{Path: path + name}
			at.Line, at.Column = s.file.position(p.at(key))
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

// newObject returns an object with the values from kubectl's decoder and their positions. n is the object's node, or
// nil.
func newObject(p *part, values map[string]any, n *yaml.Node) *Object {
	data, _ := values["data"].(map[string]any)
	binary, _ := values["binaryData"].(map[string]any)
	o := &Object{Data: make(map[string]string, len(data)), BinaryData: slices.Sorted(maps.Keys(binary)), values: values}
	o.Immutable, _ = values["immutable"].(bool)
	for key, value := range data {
		if text, ok := value.(string); ok || value == nil { // the API server reads null as an empty text
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
	o.positions = newPositions(p, n, o.Data)
	for _, key := range slices.Sorted(maps.Keys(data)) {
		if _, ok := o.Data[key]; !ok {
			at := Position{Path: "data." + key}
			at.Line, at.Column = o.positions.keyPlace(key)
			o.NotText = append(o.NotText, Scalar{key, at})
		}
	}
	return o
}

// Locate adds a line and column to a position that has none, such as that of a missing value. It uses the position of
// the key in the path, or else that of data, or else that of the object. For a stored object it returns the position
// unchanged.
func (o *Object) Locate(p Position) Position {
	if o == nil || o.positions == nil || p.Line > 0 {
		return p
	}
	if p.Line, p.Column = o.positions.topKeyPlace(p.Path); p.Line > 0 {
		return p
	}
	key := strings.TrimPrefix(p.Path, "data.")
	if i := strings.IndexByte(key, '['); i > 0 {
		key = key[:i]
	}
	if p.Line, p.Column = o.positions.keyPlace(key); p.Line > 0 {
		return p
	}
	if p.Line, p.Column = o.positions.topKeyPlace("data"); p.Line == 0 {
		p.Line, p.Column = o.positions.objectPlace()
	}
	return p
}
