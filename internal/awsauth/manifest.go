package awsauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

// Manifest is an aws-auth ConfigMap in a file.
type Manifest struct {
	Object *Object
	Line   int // where the object begins
}

// ManifestError is an error in a document of a file: kubectl does not apply the document, or applies it differently from
// its text.
type ManifestError struct {
	Line, Column int
	Err          error
}

func (e *ManifestError) Error() string { return fmt.Sprintf("%d:%d: %v", e.Line, e.Column, e.Err) }

// Unwrap returns the error without its position.
func (e *ManifestError) Unwrap() error { return e.Err }

// ErrNotObject is wrapped by the error of a document that parses but is not a mapping, such as a playbook.
var ErrNotObject = errors.New("not a Kubernetes object")

// ParseManifests returns the ConfigMaps kube-system/aws-auth in a file of YAML or JSON manifests, including those in
// lists. It accepts a ConfigMap without a namespace, because the namespace may come from the command line. It cuts and
// decodes the file as kubectl does (k8s.io/apimachinery v0.37.2, pkg/util/yaml/decoder.go, YAMLOrJSONDecoder), but goes
// on after a document with an error. Each error is a [*ManifestError].
func ParseManifests(src []byte) ([]Manifest, []error) {
	r := &manifestReader{file: file{text: string(src), lines: newLineIndex(string(src))}}
	if encoding := wideEncoding(src); encoding != "" {
		r.fail(0, "the file %s, which kubectl does not read; save it as UTF-8", encoding)
		return nil, r.errs
	}
	for _, c := range r.split() {
		r.read(c)
	}
	return r.manifests, r.errs
}

// wideEncoding detects a text in UTF-16 or UTF-32 by its byte order mark, or by the zero bytes of its first character. It
// returns "is UTF-16", for example, or "" for other texts.
func wideEncoding(src []byte) string {
	begins := func(mark string) bool { return bytes.HasPrefix(src, []byte(mark)) }
	switch {
	case begins("\xff\xfe\x00\x00"), begins("\x00\x00\xfe\xff"):
		return "is UTF-32"
	case begins("\xff\xfe"), begins("\xfe\xff"):
		return "is UTF-16"
	case bytes.IndexByte(src[:min(len(src), 4)], 0) >= 0:
		return "holds zero bytes, as UTF-16 does"
	}
	return ""
}

type manifestReader struct {
	file      file
	manifests []Manifest
	errs      []error
}

// fail reports an error at an offset in the file.
func (r *manifestReader) fail(offset int, format string, args ...any) {
	e := &ManifestError{Err: fmt.Errorf(format, args...)}
	e.Line, e.Column = r.file.lines.position(r.file.text, offset)
	r.errs = append(r.errs, e)
}

// read reads one document. It takes the values from kubectl's decoder, and builds a node tree only for the positions in
// an aws-auth.
func (r *manifestReader) read(c rawDocument) {
	data := []byte(c.text)
	if !c.json {
		data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")) // as kubectl's line reader
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			r.failSyntax(c, err)
			return
		}
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		r.failSyntax(c, err)
		return
	}
	object, ok := value.(map[string]any)
	if !ok && value != nil {
		if i := strings.Index("\n"+c.text, "\n<<<<<<<"); i >= 0 {
			_, problem, hint := syntaxMistake(c.text[i:])
			r.fail(c.offset+i, "%s; %s", problem, hint)
			return
		}
		r.fail(c.start(), "the document is %s, %w", jsonKind(value), ErrNotObject)
		return
	}
	found := findAWSAuth(object, nil)
	if len(found) == 0 && !strings.Contains(c.text, Name) {
		return
	}
	p, root := r.tree(c)
	for _, f := range found {
		o := newObject(p, f.object, f.node(root))
		line, column := o.positions.objectPlace()
		key, problem := inapplicable(f.object)
		if problem == "" {
			r.manifests = append(r.manifests, Manifest{Object: o, Line: line})
			continue
		}
		if l, c := o.positions.topKeyPlace(key); l > 0 {
			line, column = l, c
		}
		r.errs = append(r.errs, &ManifestError{line, column, fmt.Errorf("kubectl does not apply this aws-auth: %s", problem)})
	}
}

// foundObject is an object and its path through the items of lists.
type foundObject struct {
	object map[string]any
	items  []int
}

// findAWSAuth returns the object if it is named aws-auth or, if the object is a list, the aws-auth objects in it. The
// elements of a typed list, such as ConfigMapList, need not repeat the type.
func findAWSAuth(object map[string]any, way []int) []foundObject {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		if isNamedAWSAuth(object) {
			return []foundObject{{object, way}}
		}
		return nil
	}
	var found []foundObject
	for i, item := range items {
		element, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if kind != "List" && element["kind"] == nil && element["apiVersion"] == nil {
			element = maps.Clone(element)
			element["kind"], element["apiVersion"] = strings.TrimSuffix(kind, "List"), object["apiVersion"]
		}
		found = append(found, findAWSAuth(element, append(slices.Clone(way), i))...)
	}
	return found
}

// isNamedAWSAuth reports whether an object has the name kube-system/aws-auth and is a ConfigMap, or may be one.
func isNamedAWSAuth(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if strings.EqualFold(key, "metadata") && metadata == nil {
				metadata, _ = object[key].(map[string]any) // inapplicable refuses it
			}
		}
	}
	kind, _ := object["kind"].(string)
	namespace, _ := metadata["namespace"].(string)
	return metadata["name"] == Name && (namespace == "" || namespace == Namespace) && (kind == "" || kind == "ConfigMap")
}

// objectFields are the fields of a ConfigMap. The API server knows no other case of them.
var objectFields = []string{"apiVersion", "kind", "metadata", "data", "binaryData", "immutable"}

// inapplicable returns the reason why the API server refuses an aws-auth independently of its data, and the field at
// fault. Both are "" if it accepts the object.
func inapplicable(object map[string]any) (field, problem string) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		for _, field := range objectFields {
			if key != field && strings.EqualFold(key, field) {
				return key, key + " is no field; write " + field
			}
		}
	}
	switch {
	case object["kind"] != "ConfigMap":
		return "kind", "it has no kind; write kind: ConfigMap"
	case object["apiVersion"] != "v1":
		return "apiVersion", "its apiVersion is not v1; write apiVersion: v1"
	}
	for _, field := range []string{"data", "binaryData"} {
		if _, ok := object[field].(map[string]any); !ok && object[field] != nil {
			return field, fmt.Sprintf("%s is %s, not a mapping", field, jsonKind(object[field]))
		}
	}
	if _, ok := object["immutable"].(bool); !ok && object["immutable"] != nil {
		return "immutable", fmt.Sprintf("immutable is %s; write true or false", jsonKind(object["immutable"]))
	}
	return "", ""
}

// HasUnknownTemplate reports whether a text holds a template that the authenticator does not render.
func HasUnknownTemplate(text string) bool {
	for {
		i := strings.Index(text, "{{")
		if i < 0 {
			return false
		}
		text = text[i:]
		switch t := TemplatePrefix(text); {
		case t != "":
			text = text[len(t):]
		case strings.HasPrefix(text, "{{{"):
			text = text[1:]
		default:
			return true
		}
	}
}

// TemplatePrefix returns the template at the beginning of a text if the authenticator renders it, or "".
func TemplatePrefix(text string) string {
	for _, t := range ownTemplates {
		if strings.HasPrefix(text, t) {
			return t
		}
	}
	return ""
}

// WithoutTemplates returns a text without the templates that the authenticator renders.
func WithoutTemplates(text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	for _, t := range ownTemplates {
		text = strings.ReplaceAll(text, t, "")
	}
	return text
}

// Templates returns the templates that the authenticator renders in usernames and groups.
func Templates() []string { return slices.Clone(ownTemplates) }

// ownTemplates are the templates that the authenticator renders.
var ownTemplates = []string{
	"{{EC2PrivateDNSName}}", "{{SessionName}}", "{{SessionNameRaw}}", "{{AccountID}}", "{{AccessKeyID}}",
}

var template = regexp.MustCompile(`\{\{[^{}\n]*\}\}`)

// failSyntax reports a document that does not parse. If the document holds an unrendered template, the message names it
// as the likely reason.
func (r *manifestReader) failSyntax(c rawDocument, err error) {
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
	if r, size := utf8.DecodeRuneInString(c.text[at:]); r == utf8.RuneError && size == 1 { // for example a letter in Latin-1
		problem, hint = fmt.Sprintf("the byte 0x%02x is not UTF-8", c.text[at]), "save the file as UTF-8"
	}
	r.fail(c.offset+at, "the document does not parse as YAML: %s; %s", problem, hint)
}
