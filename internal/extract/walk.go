package extract

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// maxDepth limits how deeply nested values are searched. maxInner limits how many texts with YAML or JSON may be inside
// one another. Real inputs have about 20 levels of values and 2 of texts.
const (
	maxDepth = 100
	maxInner = 4
)

// walker searches a document for aws-auth within the objects of other tools.
type walker struct {
	Result

	source *awsauth.Source
	kind   string // the kind of the document, for messages
	tool   string // the tool that replaces variables in the document, or empty
	inner  int    // how many texts with YAML or JSON enclose this document
	asked  bool   // whether the walk only answers a call of holds: is there an aws-auth?
}

// theFile stands in messages for the kind of a document that has no kind.
const theFile = "the file"

func newWalker(s *awsauth.Source) *walker {
	w := &walker{source: s, kind: theFile}
	document, _ := s.Value.(map[string]any)
	_, isList := s.Value.([]any)
	switch kind := text(document, "kind"); {
	case isList:
		w.tool = ansible
	case kind == applicationSet:
		w.kind, w.tool = kind, applicationSet
	case kind != "":
		w.kind = kind
	case isCloudFormation(document):
		w.kind, w.tool = "the CloudFormation template", cloudFormation
	}
	return w
}

func problem(line, column int, format string, args ...any) *awsauth.ManifestError {
	return &awsauth.ManifestError{Line: line, Column: column, Err: fmt.Errorf(format, args...)}
}

func (w *walker) unrendered(path awsauth.Path, format string, args ...any) {
	w.Unrendered = append(w.Unrendered, w.source.Error(path, format, args...))
}

// walk searches a value and the values in it. It adds no aws-auth that is the document itself or an item of a List,
// because [awsauth.Source.Manifests] has already read it.
func (w *walker) walk(path awsauth.Path, value any) {
	if len(path) > maxDepth {
		return
	}
	if w.cloudFormationJoin(path, value) {
		return
	}
	switch value := value.(type) {
	case map[string]any:
		w.mapping(path, value)
	case []any:
		for i, item := range value {
			w.walk(path.To(i), item)
		}
	case string:
		w.text(path, value)
	}
}

// isTop reports whether a path leads to the document itself or, if the document is a List, to one of its items. A List
// may hold other Lists.
func isTop(path awsauth.Path) bool {
	for i, step := range path {
		if i%2 == 0 && step != "items" {
			return false
		}
	}
	return len(path)%2 == 0
}

func (w *walker) mapping(path awsauth.Path, object map[string]any) {
	switch {
	case isAWSAuth(object):
		if !isTop(path) {
			w.nested(path)
		}
		return
	case w.otherConfigMap(path, object):
		return
	case w.crossplane(path, object), w.kustomizePatch(path, object), w.parameters(path, object), w.eksctl(path, object), w.kustomization(path, object):
		return
	}
	w.lists(path, object)
	_, isObject := object["apiVersion"].(string)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if isObject && (key == "status" || key == "metadata") {
			continue // status isn't the user's input, and annotations in metadata can hold earlier versions
		}
		w.walk(path.To(key), object[key])
	}
}

// nested adds the aws-auth at a path within the object of another tool.
func (w *walker) nested(path awsauth.Path) {
	object, _ := w.source.At(path).(map[string]any)
	if data, _ := object["data"].(map[string]any); w.tool == cloudFormation {
		for _, key := range slices.Sorted(maps.Keys(data)) {
			if function, ok := data[key].(map[string]any); ok {
				w.unrendered(path.To("data", key), "%s makes %s of this aws-auth with %s, which CloudFormation evaluates at deployment; deploy to a test cluster, and lint the live object: kubectl awsauth lint --context TEST",
					w.kind, key, strings.Join(slices.Sorted(maps.Keys(function)), ", "))
				return
			}
		}
	}
	if object["kind"] == nil && object["apiVersion"] == nil { // a tool such as Pulumi adds both fields
		line, _ := w.source.Position(path)
		w.Objects = append(w.Objects, Object{Object: w.source.Object(path), Line: line, tool: w.tool})
		return
	}
	m, err := w.source.Manifest(path)
	if err != nil {
		w.Errors = append(w.Errors, err)
		return
	}
	w.Objects = append(w.Objects, Object{Object: m.Object, Line: m.Line, tool: w.tool})
}

// namePattern matches the name of an aws-auth in YAML or JSON.
var namePattern = regexp.MustCompile(`\bname["']?\s*:\s*["']?aws-auth\b`)

// Names reports whether a text has the field name of an aws-auth in YAML or JSON.
func Names(src []byte) bool { return namePattern.Match(src) }

// listPattern matches the key of a list of entries in YAML or JSON.
var listPattern = regexp.MustCompile(listName.String() + `["']?\s*:`)

// listName matches the name of a list of entries in the values of charts and modules.
var listName = regexp.MustCompile(`(?i)(map|aws_?auth)_?(roles|users|accounts)`)

// text searches a text that may hold manifests or values of a chart.
func (w *walker) text(path awsauth.Path, value string) {
	named := namePattern.MatchString(value)
	hasLists := strings.Contains(value, "\n") && listPattern.MatchString(value)
	if w.inner == maxInner || !named && !hasLists && !aboutAWSAuth(value) {
		return
	}
	if awsauth.HasUnknownTemplate(value) && named {
		w.unrendered(path, "the text in %s of %s holds an aws-auth with templates, which another tool renders; lint the rendered text", path, w.kind)
		return
	}
	sources, errs := w.source.ReadInner(path)
	if len(errs) == 0 && w.inside(sources) {
		return
	}
	if len(errs) > 0 && named || aboutAWSAuth(value) {
		w.unrendered(path, "the text in %s of %s names an aws-auth, and lint can't read it as manifests; lint the manifests that are generated from it", path, w.kind)
	}
}

// aboutAWSAuth reports whether a text, in any language, seems to create aws-auth. Such a text holds the words aws-auth
// and ConfigMap, and the name mapRoles or mapUsers.
func aboutAWSAuth(value string) bool {
	return strings.Contains(value, awsauth.Name) && strings.Contains(value, "ConfigMap") && (strings.Contains(value, "mapRoles") || strings.Contains(value, "mapUsers"))
}

// inside searches the documents of a text, and reports whether at least one of them concerns aws-auth.
func (w *walker) inside(sources []*awsauth.Source) bool {
	found := false
	for _, s := range sources {
		if _, ok := s.Value.(string); ok {
			continue // the text is a program or a sentence
		}
		inner := newWalker(s)
		inner.inner, inner.asked, inner.tool = w.inner+1, w.asked, cmp.Or(w.tool, inner.tool)
		if inner.kind == theFile {
			inner.kind = w.kind
		}
		if object, ok := s.Value.(map[string]any); ok && isTopManifest(object) {
			manifests, problems := s.Manifests()
			for _, m := range manifests {
				w.Objects = append(w.Objects, Object{Object: m.Object, Line: m.Line, tool: w.tool})
			}
			w.Errors = append(w.Errors, problems...)
			found = found || len(manifests)+len(problems) > 0
		}
		inner.walk(nil, s.Value)
		found = found || inner.foundAny() || len(inner.Errors)+len(inner.Notes) > 0
		w.add(inner.Result)
	}
	return found
}

func isTopManifest(object map[string]any) bool {
	return isAWSAuth(object) || strings.HasSuffix(text(object, "kind"), "List")
}

// text returns the text at a path of keys, or "" if there is none.
func text(object map[string]any, keys ...string) string {
	var value any = object
	for _, key := range keys {
		mapping, _ := value.(map[string]any)
		value = mapping[key]
	}
	s, _ := value.(string)
	return s
}
