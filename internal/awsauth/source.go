package awsauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	kubectlyaml "sigs.k8s.io/yaml"
)

// Source is one document of a file of YAML or JSON, with the positions of its values.
type Source struct {
	// Value is the document as kubectl decodes it. It is nil for an empty document.
	Value any

	reader *sourceReader
	raw    rawDocument
	part   *part          // nil until a position is needed
	root   *yaml.Node     // nil until a position is needed, and if yaml.v3 can't read the document
	ended  *ManifestError // set if the YAML document ends before the end of its text

	keys map[*yaml.Node]map[string]pair // the results of keysOf
}

// Path leads from a document to one of its values. Its elements are keys (string) and indexes of lists (int).
type Path []any

// To returns the path with more steps at its end.
func (p Path) To(more ...any) Path { return append(slices.Clone(p), more...) }

// String returns the path in the form spec.items[0].name.
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch step := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			fmt.Fprint(&b, step)
		}
	}
	return b.String()
}

// ReadSources cuts a file into documents and decodes each of them; see [ParseManifests]. It leaves out documents that
// do not parse. Each error is a [*ManifestError].
func ReadSources(src []byte) ([]*Source, []error) {
	r := &sourceReader{file: newFile(string(src))}
	if encoding := wideEncoding(src); encoding != "" {
		r.fail(0, "the file %s, which kubectl does not read; save it as UTF-8", encoding)
		return nil, r.errs
	}
	return r.sources()
}

type sourceReader struct {
	file *file
	errs []error
}

func (r *sourceReader) sources() ([]*Source, []error) {
	var list []*Source
	for _, c := range r.split() {
		if value, ok := r.decode(c); ok {
			list = append(list, &Source{Value: value, reader: r, raw: c})
		}
	}
	return list, r.errs
}

// errorAt returns an error at an offset in the file.
func (r *sourceReader) errorAt(offset int, format string, args ...any) *ManifestError {
	e := &ManifestError{Err: fmt.Errorf(format, args...)}
	e.Line, e.Column = r.file.position(offset)
	return e
}

// fail records an error at an offset in the file.
func (r *sourceReader) fail(offset int, format string, args ...any) {
	r.errs = append(r.errs, r.errorAt(offset, format, args...))
}

// decode returns the value of a document as kubectl's decoder returns it. If the document does not parse, decode
// records an error and returns false.
func (r *sourceReader) decode(c rawDocument) (value any, ok bool) {
	data := []byte(c.text)
	if !c.json {
		if !unfolds(c.text) {
			r.errs = append(r.errs, r.errorAt(c.start(), "with each alias replaced by the value that it stands for, the document has more than %d MiB; write fewer aliases", maxUnfoldedDocument>>20))
			return nil, false
		}
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // kubectl's line reader does the same
		var err error
		if data, err = kubectlyaml.YAMLToJSON(data); err != nil {
			r.failSyntax(c, err)
			return nil, false
		}
	}
	if err := json.Unmarshal(data, &value); err != nil {
		r.failSyntax(c, err)
		return nil, false
	}
	return value, true
}

// Manifests returns the ConfigMaps kube-system/aws-auth in a document. The document must be a Kubernetes object or a
// list of objects; see [ParseManifests].
func (s *Source) Manifests() ([]Manifest, []error) {
	object, ok := s.Value.(map[string]any)
	if !ok && s.Value != nil {
		return nil, []error{s.notAnObject()}
	}
	found := findAWSAuth(object, nil)
	if len(found) == 0 && !strings.Contains(s.raw.text, Name) {
		return nil, nil
	}
	s.readTree()
	var errs []error
	if s.ended != nil {
		errs = append(errs, s.ended)
	}
	var manifests []Manifest
	for _, f := range found {
		m, err := s.manifest(f)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		manifests = append(manifests, m)
	}
	return manifests, errs
}

// Manifest returns the ConfigMap at a path. It returns a [*ManifestError] if kubectl does not apply the ConfigMap.
func (s *Source) Manifest(path Path) (Manifest, error) {
	object, _ := s.At(path).(map[string]any)
	return s.manifest(foundObject{object, path})
}

// Object returns the object at a path as an aws-auth. It also returns an object that kubectl does not apply, such as a
// patch.
func (s *Source) Object(path Path) *Object {
	object, _ := s.At(path).(map[string]any)
	return newObject(s.readTree(), object, s.node(path))
}

func (s *Source) manifest(f foundObject) (Manifest, error) {
	o := newObject(s.readTree(), f.object, s.node(f.path))
	line, column := o.positions.objectPlace()
	key, problem := inapplicable(f.object)
	if problem == "" {
		return Manifest{Object: o, Line: line}, nil
	}
	if l, c := o.positions.topKeyPlace(key); l > 0 {
		line, column = l, c
	}
	return Manifest{}, &ManifestError{line, column, fmt.Errorf("kubectl does not apply this aws-auth: %s", problem)}
}

func (s *Source) notAnObject() error {
	if i := strings.Index("\n"+s.raw.text, "\n<<<<<<<"); i >= 0 {
		_, problem, hint := syntaxMistake(s.raw.text[i:])
		return s.reader.errorAt(s.raw.offset+i, "%s; %s", problem, hint)
	}
	return s.reader.errorAt(s.raw.start(), "the document is %s, %w", jsonKind(s.Value), ErrNotObject)
}

// readTree builds the node tree of the document on first use.
func (s *Source) readTree() *part {
	if s.part == nil {
		s.part, s.root, s.ended = s.reader.tree(s.raw)
	}
	return s.part
}

// At returns the value at a path, or nil if there is none.
func (s *Source) At(path Path) any {
	value := s.Value
	for _, step := range path {
		switch step := step.(type) {
		case string:
			mapping, _ := value.(map[string]any)
			value = mapping[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// node returns the node at a path, with aliases resolved. It returns nil if the tree has no node at the path.
func (s *Source) node(path Path) *yaml.Node {
	s.readTree()
	n := s.root
	for _, step := range path {
		if n == nil {
			return nil
		}
		_, n = s.child(n, step)
	}
	return n
}

// child returns the node below n at a key or an index. For a key it also returns the node of the key itself. It returns
// nil for both if there is no such node.
func (s *Source) child(n *yaml.Node, step any) (key, value *yaml.Node) {
	switch step := step.(type) {
	case int:
		if step < len(n.Content) && n.Kind == yaml.SequenceNode {
			return nil, resolveAlias(n.Content[step])
		}
	case string:
		if p, ok := s.keysOf(n)[step]; ok {
			return p.key, resolveAlias(p.value)
		}
	}
	return nil, nil
}

// keysOf returns the keys of a mapping. It caches them, because reading a large mapping again for each key would
// take quadratic time.
func (s *Source) keysOf(n *yaml.Node) map[string]pair {
	keys, ok := s.keys[n]
	if ok {
		return keys
	}
	keys = make(map[string]pair)
	for _, p := range pairs(n, 0) {
		keys[resolveAlias(p.key).Value] = p // of equal keys, the last one counts
	}
	if s.keys == nil {
		s.keys = make(map[*yaml.Node]map[string]pair)
	}
	s.keys[n] = keys
	return keys
}

// Tag returns the YAML tag that the file has for the value at a path, such as !Sub. It returns "" if the tag is not
// known.
func (s *Source) Tag(path Path) string {
	if n := s.node(path); n != nil {
		return n.Tag
	}
	return ""
}

// Position returns the position of the key at the end of a path. If the path ends with an index, it returns the
// position of the value. If there is no value at the path, it returns the position of the last step that exists.
func (s *Source) Position(path Path) (line, column int) {
	return s.reader.file.position(s.offset(path))
}

func (s *Source) offset(path Path) int {
	p := s.readTree()
	n, at := s.root, s.raw.start()
	for _, step := range path {
		if n == nil {
			return at
		}
		key, value := s.child(n, step)
		switch {
		case key != nil:
			at = p.at(key)
		case value != nil:
			at = p.at(value)
		}
		n = value
	}
	return at
}

// Error returns an error at the position of a path; see Position.
func (s *Source) Error(path Path, format string, args ...any) *ManifestError {
	return s.reader.errorAt(s.offset(path), format, args...)
}

// ReadInner reads the text at a path as a file of YAML or JSON. The positions of its documents count in the file that
// holds the text.
func (s *Source) ReadInner(path Path) ([]*Source, []error) {
	text, _ := s.At(path).(string)
	inner := newFile(text)
	inner.outer = s.reader.file
	if n := s.node(path); n != nil {
		inner.start = s.part.at(n)
		inner.segments = newKeySource(s.part, pair{n, n}, text).segments
	} else {
		inner.start = s.offset(path)
	}
	return (&sourceReader{file: inner}).sources()
}

// ReadMade reads a text that a tool made from the value at a path, as a file of YAML or JSON. Every position in the text
// is the position of the path.
func (s *Source) ReadMade(path Path, text string) ([]*Source, []error) {
	inner := newFile(text)
	inner.outer, inner.start = s.reader.file, s.offset(path)
	return (&sourceReader{file: inner}).sources()
}

// failSyntax records the error of a document that does not parse. If the document holds an unrendered template, the
// message names the template as the likely reason.
func (r *sourceReader) failSyntax(c rawDocument, err error) {
	problem := bareYAMLError(err)
	for _, at := range template.FindAllStringIndex(c.text, -1) {
		if t := c.text[at[0]:at[1]]; !slices.Contains(ownTemplates, t) {
			r.fail(c.offset+at[0], "the document does not parse as YAML and holds the template %s; lint the rendered text (%s)", t, problem)
			return
		}
	}
	if strings.HasPrefix(c.text[c.start()-c.offset:], "{") {
		jsonErr := json.Unmarshal([]byte(c.text), new(any))
		if syntax, ok := errors.AsType[*json.SyntaxError](jsonErr); ok {
			r.fail(c.offset+int(syntax.Offset)-1, "the document does not parse as JSON: %v", syntax)
			return
		}
	}
	lines := newLineIndex(c.text)
	at, problem, hint := explainYAMLError(c.text, &lines, err)
	if hint == genericHint {
		if m, ok := columnMistake(c.text, errorLine(err)); ok {
			at, problem, hint = m.offset, m.problem, m.hint
		}
	}
	if r, size := utf8.DecodeRuneInString(c.text[at:]); r == utf8.RuneError && size == 1 { // for example a letter in Latin-1
		problem, hint = fmt.Sprintf("the byte 0x%02x is not UTF-8", c.text[at]), "save the file as UTF-8"
	}
	r.fail(c.offset+at, "the document does not parse as YAML: %s; %s", problem, hint)
}
