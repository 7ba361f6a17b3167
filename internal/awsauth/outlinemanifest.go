package awsauth

import (
	"errors"
	"maps"
)

// ManifestOutline is the text of an aws-auth in a file of manifests.
type ManifestOutline struct {
	// Object is the mapping of the object.
	Object *Span
	// JSON reports that kubectl reads the document as JSON.
	JSON bool

	sources []*Source
	index   int // of the document
	path    Path
	problem int // the number of errors of the file
}

// OutlineManifest returns the aws-auth that begins at a line of a file; see [Manifest]. It returns an error if there is none, or if the
// text has a rare form whose end it does not find.
func OutlineManifest(src []byte, line int) (*ManifestOutline, error) {
	sources, errs := ReadSources(src)
	o := &ManifestOutline{sources: sources, problem: len(errs), index: -1}
	for i, s := range sources {
		object, _ := s.Value.(map[string]any)
		for _, f := range findAWSAuth(object, nil) {
			if m, err := s.manifest(f); err != nil || m.Line != line || o.index >= 0 {
				continue
			}
			n := s.node(f.path)
			if n == nil {
				return nil, errors.New("two YAML readers disagree on the document")
			}
			root, err := (&outliner{text: s.part.text, lines: &s.part.lines, json: s.raw.json, base: s.part.offset}).outline(n)
			if err != nil {
				return nil, err
			}
			o.Object, o.JSON, o.index, o.path = root, s.raw.json, i, f.path
		}
		_, errs := s.Manifests()
		o.problem += len(errs)
	}
	if o.index < 0 {
		return nil, errors.New("the file has no aws-auth at this line")
	}
	return o, nil
}

// Differs compares another file with the file of o after the given text is written under a key of data in its aws-auth. It reports whether
// any document has another meaning.
func (o *ManifestOutline) Differs(src []byte, section Section, text string) bool {
	sources, errs := ReadSources(src)
	problems := len(errs)
	for _, s := range sources {
		_, errs := s.Manifests()
		problems += len(errs)
	}
	if len(sources) != len(o.sources) || problems > o.problem {
		return true
	}
	for i, s := range sources {
		want := o.sources[i].Value
		if i == o.index {
			want = withText(want, o.path, section, text)
		}
		if !equalJSON(s.Value, want) {
			return true
		}
	}
	return false
}

// withText returns a document in which the object at a path has a text under a key of data.
func withText(value any, path Path, section Section, text string) any {
	if len(path) > 0 {
		switch step := path[0].(type) {
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return value
			}
			list = append([]any(nil), list...)
			list[step] = withText(list[step], path[1:], section, text)
			return list
		case string:
			object, _ := value.(map[string]any)
			object = maps.Clone(object)
			object[step] = withText(object[step], path[1:], section, text)
			return object
		}
	}
	object, _ := value.(map[string]any)
	data, _ := object["data"].(map[string]any)
	object, data = maps.Clone(object), maps.Clone(data)
	if data == nil {
		data = make(map[string]any)
	}
	data[string(section)] = text
	object["data"] = data
	return object
}

// equalJSON reports whether two decoded JSON values are equal.
func equalJSON(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		return ok && maps.EqualFunc(a, b, equalJSON)
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !equalJSON(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	return a == b
}
