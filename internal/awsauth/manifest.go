package awsauth

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Manifest is an aws-auth ConfigMap in a file.
type Manifest struct {
	Object *Object
	Line   int // the line of the file in which the object begins, counted from one
}

// ManifestError is an error in a document of a file. kubectl does not apply such a document, or applies something other
// than its text. Line and Column count from one in the file.
type ManifestError struct {
	Line, Column int
	Err          error
}

func (e *ManifestError) Error() string { return fmt.Sprintf("%d:%d: %v", e.Line, e.Column, e.Err) }

// Unwrap returns the error without its position.
func (e *ManifestError) Unwrap() error { return e.Err }

// ErrNotObject is wrapped by the error of a document that parses but is not a mapping, such as an Ansible playbook.
var ErrNotObject = errors.New("not a Kubernetes object")

// ParseManifests returns the ConfigMaps kube-system/aws-auth in a file of YAML or JSON manifests, including those in
// lists. It accepts a ConfigMap without a namespace, because the namespace may come from the command line. It cuts and
// decodes the file as kubectl does (k8s.io/apimachinery v0.37.2, pkg/util/yaml/decoder.go, YAMLOrJSONDecoder), but goes
// on after a document with an error. Each error is a [*ManifestError].
func ParseManifests(src []byte) ([]Manifest, []error) {
	var manifests []Manifest
	sources, errs := ReadSources(src)
	for _, s := range sources {
		found, problems := s.Manifests()
		manifests, errs = append(manifests, found...), append(errs, problems...)
	}
	SortErrors(errs)
	return manifests, errs
}

// SortErrors sorts the errors of a file by line and column. Only a [*ManifestError], or an error that wraps one, has a
// position. Other errors come first.
func SortErrors(errs []error) {
	position := func(err error) (line, column int) {
		if e, ok := errors.AsType[*ManifestError](err); ok {
			return e.Line, e.Column
		}
		return 0, 0
	}
	slices.SortStableFunc(errs, func(a, b error) int {
		line, column := position(a)
		otherLine, otherColumn := position(b)
		return cmp.Or(cmp.Compare(line, otherLine), cmp.Compare(column, otherColumn))
	})
}

// wideEncoding detects a text in UTF-16 or UTF-32 by its byte order mark, or by a zero byte among its first four bytes.
// It returns "is UTF-16", for example, or "" for other texts.
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

// foundObject is an object with its path in the document.
type foundObject struct {
	object map[string]any
	path   Path
}

// findAWSAuth returns the object itself if it is an aws-auth, see isNamedAWSAuth. For a list it returns the aws-auth
// objects in the list. The elements of a typed list, such as ConfigMapList, need no kind and apiVersion of their own.
func findAWSAuth(object map[string]any, path Path) []foundObject {
	kind, _ := object["kind"].(string)
	items, ok := object["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		if isNamedAWSAuth(object) {
			return []foundObject{{object, path}}
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
		found = append(found, findAWSAuth(element, path.To("items", i))...)
	}
	return found
}

// isNamedAWSAuth reports whether an object is meant to be aws-auth: its name is aws-auth, its namespace is kube-system
// or missing, and its kind is missing or passes isConfigMapKind.
func isNamedAWSAuth(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	if metadata == nil {
		for _, key := range slices.Sorted(maps.Keys(object)) {
			if strings.EqualFold(key, "metadata") && metadata == nil {
				metadata, _ = object[key].(map[string]any) // inapplicable reports the wrong case
			}
		}
	}
	kind, _ := object["kind"].(string)
	namespace, _ := metadata["namespace"].(string)
	return metadata["name"] == Name && (namespace == "" || namespace == Namespace) && (kind == "" || isConfigMapKind(kind))
}

// isConfigMapKind reports whether a kind is ConfigMap or a misspelt form of it, such as config-maps. The API server
// does not know the misspelt forms; see inapplicable.
func isConfigMapKind(kind string) bool {
	letters := strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToLower(kind))
	return strings.TrimSuffix(letters, "s") == "configmap"
}

// objectFields are the fields of a ConfigMap. The API server accepts them only in this spelling, with the same upper
// and lower case.
var objectFields = []string{"apiVersion", "kind", "metadata", "data", "binaryData", "immutable"}

// inapplicable returns the reason why kubectl or the API server refuses an aws-auth, and the field at fault. It does
// not check the values of keys under data. It returns "" for both if there is no such reason.
func inapplicable(object map[string]any) (field, problem string) {
	for _, key := range slices.Sorted(maps.Keys(object)) {
		for _, field := range objectFields {
			if key != field && strings.EqualFold(key, field) {
				return key, key + " is not a field of a ConfigMap; write " + field
			}
		}
	}
	if field, problem := misplacedSection(object); problem != "" {
		return field, problem
	}
	switch kind, _ := object["kind"].(string); {
	case kind != "" && kind != "ConfigMap":
		return "kind", fmt.Sprintf("its kind is %s; write kind: ConfigMap", kind)
	case kind == "":
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

// misplacedSection returns a top-level field in the wrong place, and the problem. The field has the name of a section,
// or it holds a section, directly or below a key data. A field of the second kind is not a problem if data has a section,
// or if the field is binaryData. kubectl refuses a misplaced field, because it refuses unknown fields by default
// (kubernetes v1.37.2, kubectl, --validate=strict). misplacedSection returns "" for both if there is no such field.
func misplacedSection(object map[string]any) (field, problem string) {
	data, _ := object["data"].(map[string]any)
	_, complete := sectionIn(data) // if data has a section, another field may hold the YAML anchor of this section
	for _, key := range slices.Sorted(maps.Keys(object)) {
		if section, ok := sectionIn(map[string]any{key: nil}); ok {
			return key, section + " is not below data, and kubectl refuses this field; move it below data"
		}
		below, _ := object[key].(map[string]any)
		section, ok := sectionIn(below)
		switch inner, _ := below["data"].(map[string]any); {
		case complete || key == "data" || key == "binaryData":
		case ok:
			return key, fmt.Sprintf("%s is below %s, and kubectl refuses this field; move it below data", section, key)
		default:
			if _, ok := sectionIn(inner); ok {
				return key, fmt.Sprintf("data is below %s, and kubectl refuses this field; move data to the beginning of the line", key)
			}
		}
	}
	return "", ""
}

// sectionIn returns the first key of a mapping that is the name of a section, ignoring case.
func sectionIn(mapping map[string]any) (key string, ok bool) {
	for _, key := range slices.Sorted(maps.Keys(mapping)) {
		if slices.ContainsFunc(Sections(), func(s Section) bool { return strings.EqualFold(key, string(s)) }) {
			return key, true
		}
	}
	return "", false
}

// HasUnknownTemplate reports whether a text holds two opening braces with which no template of the authenticator begins.
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

// TemplatePrefix returns the template at the beginning of a text. It returns "" if the text begins with no template
// that the authenticator renders.
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

// template matches a text in double braces, as in Helm templates, or a directive of Terraform, Jinja or ERB.
var template = regexp.MustCompile(`\{\{[^{}\n]*\}\}|%\{[^{}\n]*\}|\{%[^\n]*?%\}|<%[^\n]*?%>`)
