package awsauth

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	kubectlyaml "sigs.k8s.io/yaml"
)

// ObjectOf returns an aws-auth whose sections stand outside of a ConfigMap, for example in the values of a Helm chart.
// sections maps each section to the path of its value, which is a text or a list. ObjectOf writes the keys roleARN and
// userARN in lower case, because some releases of the authenticator read only rolearn and userarn.
func (s *Source) ObjectOf(sections map[Section]Path) *Object {
	o := &Object{Data: make(map[string]string, len(sections))}
	p := s.readTree()
	o.positions = &positions{file: p.file, object: s.raw.start(), data: map[string]keySource{}}
	first := len(p.file.text)
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		path := sections[name]
		at := s.offset(path)
		first = min(first, at)
		text, segments := s.fragment(path)
		o.Data[string(name)] = lowerKeys.Replace(text)
		o.positions.data[string(name)] = keySource{key: at, value: at, segments: segments}
	}
	o.positions.object = min(first, len(p.file.text))
	return o
}

// lowerKeys replaces the keys roleARN and userARN, which AWSIamConfig of EKS Anywhere uses, by rolearn and userarn. The
// text keeps its length, so positions remain correct.
var lowerKeys = strings.NewReplacer("roleARN:", "rolearn:", "userARN:", "userarn:", `roleARN":`, `rolearn":`, `userARN":`, `userarn":`)

// fragment returns the text of a section at a path. It also returns the text's segments, or nil if the file doesn't
// hold the text unchanged.
func (s *Source) fragment(path Path) (text string, segments []segment) {
	value, n := s.At(path), s.node(path)
	if text, ok := value.(string); ok {
		if n != nil {
			segments = newKeySource(s.part, pair{n, n}, text).segments
		}
		return text, segments
	}
	if value == nil {
		return "", nil
	}
	if n != nil && n.Kind == yaml.SequenceNode {
		for _, cut := range []func(*part, *yaml.Node) (string, []segment){flowList, blockList} {
			if text, segments := cut(s.part, n); text != "" && means(text, value) {
				return text, segments
			}
		}
	}
	encoded, err := kubectlyaml.Marshal(value)
	if err != nil { // can't happen: the value has been decoded from JSON
		return "", nil
	}
	return string(encoded), nil
}

// means reports whether a YAML text decodes to a value.
func means(text string, value any) bool {
	data, err := kubectlyaml.YAMLToJSON([]byte(text))
	var decoded any
	return err == nil && json.Unmarshal(data, &decoded) == nil && reflect.DeepEqual(decoded, value)
}

// flowList returns the text and the segments of a list that is written as in JSON, on any number of lines. It returns
// "" for other lists.
func flowList(p *part, n *yaml.Node) (string, []segment) {
	at := p.lines.offset(p.text, n.Line, n.Column)
	if at >= len(p.text) || p.text[at] != '[' {
		return "", nil
	}
	var value json.RawMessage
	if json.NewDecoder(strings.NewReader(p.text[at:])).Decode(&value) != nil {
		return "", nil
	}
	return string(value), []segment{{0, p.offset + at, len(value)}}
}

// blockList returns the text and the segments of a list in block style, in which each element begins with a dash on a
// new line. It removes the indentation of the dashes from every line. It returns "" for other lists.
func blockList(p *part, n *yaml.Node) (string, []segment) {
	at := p.lines.offset(p.text, n.Line, n.Column)
	indent := n.Column - 1
	if at >= len(p.text) || p.text[at] != '-' || at < indent || strings.TrimLeft(p.text[at-indent:at], " ") != "" {
		return "", nil
	}
	var b strings.Builder
	var segments []segment
	next := at - indent
	for line := range strings.Lines(p.text[next:]) {
		start := next
		next += len(line)
		content := strings.TrimRight(line, "\r\n")
		blank := strings.Trim(content, " ") == ""
		margin := len(content) - len(strings.TrimLeft(content, " "))
		switch {
		case blank:
			b.WriteByte('\n')
			continue
		case margin < indent, margin == indent && content[margin] != '-' && content[margin] != '#':
			return b.String(), segments
		}
		segments = append(segments, segment{b.Len(), p.offset + start + indent, len(content) - indent})
		b.WriteString(content[indent:] + "\n")
	}
	return b.String(), segments
}

// BareSection returns an aws-auth with one section. The text of the section is the whole file after its byte order mark.
func BareSection(name Section, src []byte) *Object {
	f := newFile(string(src))
	text := f.text[f.lines.first:]
	return &Object{
		Data: map[string]string{string(name): text},
		positions: &positions{file: f, object: f.lines.first, data: map[string]keySource{
			string(name): {f.lines.first, f.lines.first, []segment{{0, f.lines.first, len(text)}}},
		}},
	}
}

// PositionIn returns the position of a byte offset in the text of a section.
func (o *Object) PositionIn(s Section, offset int) Position {
	p := Position{Path: s.Path()}
	if o.positions != nil {
		p.Line, p.Column = o.positions.place(string(s), offset)
		return p
	}
	lines := newLineIndex(o.Data[string(s)])
	p.Line, p.Column = lines.position(o.Data[string(s)], offset)
	return p
}

// Values returns the decoded manifest of the object. It returns nil for an object without a manifest, such as a stored
// object.
func (o *Object) Values() map[string]any { return o.values }

// WithoutPositions returns the object without its positions in a file. Positions in the result count within the text of
// each key.
func (o *Object) WithoutPositions() *Object {
	plain := *o
	plain.positions, plain.NotText = nil, slices.Clone(o.NotText)
	for i := range plain.NotText {
		plain.NotText[i].Line, plain.NotText[i].Column = 0, 0
	}
	return &plain
}

// WithValues returns the object with the content of another manifest, such as the result of a patch. values is the
// decoded manifest. A key of o keeps its position if both manifests have the same text for the key, or if the other
// manifest lacks the key.
func (o *Object) WithValues(values map[string]any) *Object {
	result := newObject(&part{file: new(file)}, values, nil)
	result.positions = nil
	if o.positions == nil {
		return result
	}
	kept := *o.positions
	kept.data = make(map[string]keySource, len(kept.data))
	for key, source := range o.positions.data {
		if text, ok := result.Data[key]; !ok || text == o.Data[key] {
			kept.data[key] = source
		}
	}
	result.positions = &kept
	for i, key := range result.NotText {
		result.NotText[i].Line, result.NotText[i].Column = kept.keyPlace(key.Value)
	}
	return result
}
