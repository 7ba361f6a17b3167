package awsauth

import (
	"errors"
	"maps"
	"reflect"
	"slices"
)

// ManifestOutline is the outline of an aws-auth in a file of manifests.
type ManifestOutline struct {
	// Object is the mapping of the object.
	Object *Span
	// JSON reports that kubectl reads the document as JSON.
	JSON bool

	sources  []*Source
	index    int // the index in sources of the document with the aws-auth
	path     Path
	problems int // the number of errors of the file
}

// OutlineManifest returns the outline of the aws-auth that begins at a line of a file; see [Manifest]. It returns an
// error if no aws-auth begins there, if two YAML readers disagree on the document, or if it can't find the end of a
// node.
func OutlineManifest(src []byte, line int) (*ManifestOutline, error) {
	sources, problems := readManifests(src)
	o := &ManifestOutline{sources: sources, problems: problems, index: -1}
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
	}
	if o.index < 0 {
		return nil, errors.New("the file has no aws-auth at this line")
	}
	return o, nil
}

// Differs compares src, the file of o after an edit, with the result that the edit should have: text is under keys of the
// aws-auth, such as data and mapRoles, and everything else is unchanged. Differs reports whether the decoded documents
// differ from this result, or whether src has more errors than the file of o.
func (o *ManifestOutline) Differs(src []byte, keys Path, text string) bool {
	sources, problems := readManifests(src)
	if len(sources) != len(o.sources) || problems > o.problems {
		return true
	}
	for i, s := range sources {
		want := o.sources[i].Value
		if i == o.index {
			want = withText(want, o.path.To(keys...), text)
		}
		if !reflect.DeepEqual(s.Value, want) {
			return true
		}
	}
	return false
}

// readManifests reads the documents of a file, and counts its errors.
func readManifests(src []byte) (sources []*Source, problems int) {
	sources, errs := ReadSources(src)
	problems = len(errs)
	for _, s := range sources {
		_, errs := s.Manifests()
		problems += len(errs)
	}
	return sources, problems
}

// withText returns a document with a text at a path. It adds the keys of the path that the document lacks. If a list of
// the document lacks an element of the path, it returns the document unchanged.
func withText(value any, path Path, text string) any {
	if len(path) == 0 {
		return text
	}
	if step, ok := path[0].(int); ok {
		list, _ := value.([]any)
		if step >= len(list) {
			return value
		}
		list = slices.Clone(list)
		list[step] = withText(list[step], path[1:], text)
		return list
	}
	step, _ := path[0].(string)
	object, _ := value.(map[string]any)
	if object = maps.Clone(object); object == nil {
		object = make(map[string]any)
	}
	object[step] = withText(object[step], path[1:], text)
	return object
}
