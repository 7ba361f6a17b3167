package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// FieldError is one problem of a configuration file.
type FieldError struct {
	File  string
	Line  int    // counts from 1; 0 if the problem concerns the whole file, or if its line is unknown
	Field string // such as protected[1].arn; empty if the problem concerns no field
	// Problem describes the mistake, and says what to write instead.
	Problem string
}

func (e *FieldError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	return b.String() + ": " + e.Problem
}

// Parse decodes the text of a file and checks it. Every field must be known, must appear at most once, and must have a value
// of the right type. The error joins a [*FieldError] for each problem, in the order of the lines. name is the name of the file
// in errors.
//
// Parse doesn't use the decoder of yaml.v3, which is too lenient even with KnownFields: it accepts an empty "protected:", which
// protects no principal, and it converts 5 to text. The errors of that decoder name Go types instead of fields.
func Parse(name string, src []byte) (*Config, error) {
	c := &Config{}
	if err := parse(name, src, Kind, c, func(d *decoder) { d.check(c) }); err != nil {
		return nil, err
	}
	c.setDefaults()
	return c, nil
}

// parse decodes src into the struct that c points to, and then calls check with the decoder. It doesn't call check if src is not one YAML
// document of the kind that the file must have. name and the error are as for [Parse].
func parse(name string, src []byte, kind string, c any, check func(*decoder)) error {
	d := &decoder{file: name, kind: kind, lines: map[string]int{}}
	if root := d.decodeDocument(src); root != nil && !d.reportOtherKind(root) {
		d.value(root, reflect.ValueOf(c).Elem(), "")
		check(d)
	}
	slices.SortStableFunc(d.problems, func(a, b *FieldError) int { return cmp.Compare(a.Line, b.Line) })
	errs := make([]error, len(d.problems))
	for i, p := range d.problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// decoder decodes a YAML tree into a Go value. The type of this value determines which fields the YAML may have.
type decoder struct {
	file     string
	kind     string // the kind that the file must have
	problems []*FieldError
	// lines holds the line of every field that the decoder has decoded without a problem, by the path of the field. It also holds
	// the lines of the keys of maps, by keyPath.
	lines map[string]int
}

func (d *decoder) report(line int, field, format string, args ...any) {
	d.problems = append(d.problems, &FieldError{d.file, line, field, fmt.Sprintf(format, args...)})
}

// yamlLine matches the line number in a syntax error of yaml.v3.
var yamlLine = regexp.MustCompile(`^yaml: line (\d+): `)

// decodeDocument returns the root of the only document. If there is a problem, it reports the problem and returns nil.
func (d *decoder) decodeDocument(src []byte) *yaml.Node {
	dec := yaml.NewDecoder(bytes.NewReader(src))
	var first, second yaml.Node
	err := dec.Decode(&first)
	if err == nil {
		err = dec.Decode(&second)
	}
	switch {
	case err == nil:
		d.report(second.Line, "", "a second document begins here; one file holds one %s", d.kind)
		return nil
	case !errors.Is(err, io.EOF):
		line, text := 0, err.Error()
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1]) // the expression matches only digits
			text = text[len(m[0]):]
		}
		d.report(line, "", "is not YAML: %s", strings.TrimPrefix(text, "yaml: "))
		return nil
	case first.IsZero(), first.Content[0].ShortTag() == "!!null":
		d.report(0, "", "is empty; write at least apiVersion: %s and kind: %s", APIVersion, d.kind)
		return nil
	}
	return first.Content[0]
}

// reportOtherKind reports a file that is not of the kind d.kind: values of the Helm chart, or another Kubernetes object. It returns
// false for any other file. Without this check the decoder would report each field of such a file, and no message would name
// the cause.
func (d *decoder) reportOtherKind(root *yaml.Node) bool {
	if root.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		switch {
		case key.Value == "guardConfig" && d.kind == Kind:
			d.report(key.Line, "", "these are values of the Helm chart, not a %[1]s; write the fields below guardConfig to a file of their own, with apiVersion: %[2]s and kind: %[1]s", Kind, APIVersion)
			return true
		case key.Value == "kind" && value.Kind == yaml.ScalarNode && value.Value != "" && !strings.EqualFold(value.Value, d.kind):
			d.report(value.Line, "", "this is a %q, not a %s; write apiVersion: %s and kind: %[2]s", value.Value, d.kind, APIVersion)
			return true
		}
	}
	return false
}

// value decodes the node n into v. It reports a value of the wrong type. path is the path of the field.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	before := len(d.problems)
	switch kind := v.Kind(); {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case kind == reflect.Struct:
		d.structMapping(n, v, path)
	case kind == reflect.Slice:
		d.list(n, v, path)
	case kind == reflect.Map:
		d.dynamicMapping(n, v, path)
	case kind == reflect.Bool:
		d.scalar(n, v, path, "!!bool", "true or false")
	case kind == reflect.Int:
		d.scalar(n, v, path, "!!int", "a number")
	case kind == reflect.String:
		d.text(n, v, path)
	default:
		panic(fmt.Sprintf("config: field %s is of the kind %s, which the decoder does not know", path, v.Kind()))
	}
	if len(d.problems) == before {
		d.lines[path] = n.Line
	}
}

// enumValues holds the permitted values of each type that is an enumeration.
var enumValues = map[reflect.Type][]string{
	reflect.TypeFor[validate.Mode]():     {string(validate.Enforce), string(validate.WarnMode)},
	reflect.TypeFor[validate.Severity](): {string(validate.Deny), string(validate.Warn), string(validate.Off)},
}

func (d *decoder) text(n *yaml.Node, v reflect.Value, path string) {
	scalar := n.Kind == yaml.ScalarNode
	values := enumValues[v.Type()]
	switch {
	// Helm writes YAML 1.1, in which an unquoted off is the boolean false.
	case scalar && n.ShortTag() == "!!bool" && strings.EqualFold(n.Value, "false") && slices.Contains(values, string(validate.Off)):
		v.SetString(string(validate.Off))
	case scalar && n.ShortTag() == "!!str" && (values == nil || slices.Contains(values, n.Value)):
		v.SetString(n.Value)
	case values == nil:
		d.report(n.Line, path, "is %s; write text%s", describe(n), quoteHint(n))
	case scalar && n.ShortTag() == "!!str":
		d.report(n.Line, path, "is %q; write %s", n.Value, oneOf(values))
	default:
		d.report(n.Line, path, "is %s; write %s", describe(n), oneOf(values))
	}
}

// scalar decodes a boolean or a number. It reports a node that is not a scalar with this tag. want describes the right value
// for the message.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path, tag, want string) {
	if n.Kind != yaml.ScalarNode || n.ShortTag() != tag || n.Decode(v.Addr().Interface()) != nil {
		d.report(n.Line, path, "is %s; write %s", describe(n), want)
	}
}

func (d *decoder) duration(n *yaml.Node, v reflect.Value, path string) {
	value, err := time.ParseDuration(n.Value)
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || err != nil {
		d.report(n.Line, path, "is %s; write a time such as 2s or 500ms", describe(n))
		return
	}
	v.SetInt(int64(value))
}

// dynamicMapping decodes a mapping into a Go map. It permits every name as a key, but each only once.
func (d *decoder) dynamicMapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, path, "is %s; write a mapping", describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field := join(path, keyName(key))
		if key.Kind != yaml.ScalarNode {
			d.report(key.Line, field, "is not a name")
			continue
		}
		if seen[key.Value] > 0 {
			d.report(key.Line, field, "appears twice, first on line %d", seen[key.Value])
			continue
		}
		seen[key.Value] = key.Line
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, field)
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
		d.lines[keyPath(path, key.Value)] = key.Line
	}
}

// keyPath returns the path under which decoder.lines has the line of a map's key. No field has such a path.
func keyPath(path, key string) string { return path + "{" + key + "}" }

func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.report(n.Line, path, "is %s; write a list", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, element := range n.Content {
		d.value(element, v.Index(i), path+"["+strconv.Itoa(i)+"]")
	}
}

func (d *decoder) structMapping(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.report(n.Line, path, "is %s; write a mapping with %s", describe(n), strings.Join(fieldNames(v.Type()), ", "))
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		field, ok := fieldOf(v, key.Value)
		switch {
		case !ok || key.Kind != yaml.ScalarNode:
			d.report(key.Line, join(path, keyName(key)), "is not a field; %s", fieldHint(v.Type(), key.Value))
		case seen[key.Value] > 0:
			d.report(key.Line, join(path, key.Value), "appears twice, first on line %d", seen[key.Value])
		default:
			seen[key.Value] = key.Line
			d.value(value, field, join(path, key.Value))
		}
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if seen[name] == 0 && options != "omitempty" {
			d.report(n.Line, join(path, name), "is missing")
		}
	}
}

// fieldOf returns the field of the struct v that has this key in YAML. It returns false if there is none. Upper and lower case
// differ.
func fieldOf(v reflect.Value, key string) (reflect.Value, bool) {
	i := slices.Index(fieldNames(v.Type()), key)
	if i < 0 {
		return reflect.Value{}, false
	}
	return v.Field(i), true
}

// fieldNames returns the YAML keys of a struct type in the order of its fields.
func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return names
}
