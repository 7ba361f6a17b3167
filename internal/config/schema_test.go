package config_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	openapi "k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/config"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// schemaFile is the JSON schema with which editors complete and check a GuardConfig.
const schemaFile = "../../docs/guardconfig.schema.json"

// node is a part of a JSON schema. It has the keywords of draft-07, which most editors support.
type node struct {
	Schema               string           `json:"$schema,omitempty"`
	Title                string           `json:"title,omitempty"`
	Description          string           `json:"description,omitempty"`
	Type                 string           `json:"type,omitempty"`
	Enum                 []any            `json:"enum,omitempty"`
	Default              any              `json:"default,omitempty"`
	Pattern              string           `json:"pattern,omitempty"`
	Minimum              int              `json:"minimum,omitempty"`
	Maximum              int              `json:"maximum,omitempty"`
	Items                *node            `json:"items,omitempty"`
	MinItems             int              `json:"minItems,omitempty"`
	UniqueItems          bool             `json:"uniqueItems,omitempty"`
	Required             []string         `json:"required,omitempty"`
	Properties           map[string]*node `json:"properties,omitempty"`
	PatternProperties    map[string]*node `json:"patternProperties,omitempty"`
	AdditionalProperties any              `json:"additionalProperties,omitempty"` // false, or the schema of every value
}

// schema generates the schema of a GuardConfig from its types, their comments and the rules.
func schema(t *testing.T) []byte {
	t.Helper()
	g := generator{comments: comments(t)}
	root := g.node(reflect.ValueOf(*config.Default()))
	root.Schema = "http://json-schema.org/draft-07/schema#"
	root.Title, root.Description = config.Kind, "The configuration of awsauth-guard."
	root.Properties["apiVersion"].Enum = []any{config.APIVersion}
	root.Properties["kind"].Enum = []any{config.Kind}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// comments returns the doc comments of the fields in config.go, by type and field.
func comments(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		named, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := named.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					found[named.Name.Name+"."+name.Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
				}
			}
		}
		return true
	})
	return found
}

// generator generates schemas of types.
type generator struct{ comments map[string]string }

// node returns the schema for the type of v. The value of v is the default in the schema.
func (g generator) node(v reflect.Value) *node {
	switch v.Interface().(type) {
	case validate.Mode:
		return &node{Type: "string", Enum: []any{string(validate.Enforce), string(validate.WarnMode)}, Default: v.String()}
	case validate.Severity:
		return &node{Enum: []any{string(validate.Off), string(validate.Warn), string(validate.Deny), false}, Default: v.String()}
	case time.Duration:
		// The schema accepts one unit and at most 15s, which is stricter than the program.
		return &node{Type: "string", Pattern: `^([1-9][0-9]{0,3}ms|([0-9]|1[0-4])(\.[0-9]+)?s|15s)$`, Default: v.Interface().(time.Duration).String()}
	case map[string]validate.Severity:
		n := &node{Type: "object", Properties: map[string]*node{}, AdditionalProperties: false}
		for _, rule := range validate.Rules() {
			of := &node{Description: rule.Title, Default: string(rule.Severity)}
			for _, severity := range config.Severities(rule) {
				of.Enum = append(of.Enum, severity)
			}
			of.Enum = append(of.Enum, false) // an unquoted off in YAML 1.1
			n.Properties[rule.ID] = of
		}
		return n
	}
	switch v.Kind() {
	case reflect.Map:
		return &node{Type: "object", AdditionalProperties: g.node(reflect.Zero(v.Type().Elem()))}
	case reflect.Slice:
		n := &node{Type: "array", Items: g.node(reflect.Zero(v.Type().Elem()))}
		if v.Len() > 0 {
			n.Default = v.Interface()
		}
		return n
	case reflect.Struct:
		n := &node{Type: "object", Properties: map[string]*node{}, AdditionalProperties: false}
		for i := range v.NumField() {
			field := v.Type().Field(i)
			name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			p := g.node(v.Field(i))
			p.Description = g.comments[v.Type().Name()+"."+field.Name]
			constrain(name, p)
			n.Properties[name] = p
			if options != "omitempty" {
				n.Required = append(n.Required, name)
			}
		}
		return n
	case reflect.Int:
		return &node{Type: "integer", Default: v.Interface()}
	case reflect.Bool:
		return &node{Type: "boolean", Default: v.Interface()}
	default:
		return &node{Type: v.Kind().String()}
	}
}

// constrain adds constraints that the type of a field doesn't express. The program's checks are stricter than these
// constraints, except for times, which the schema accepts only in one unit.
func constrain(name string, n *node) {
	const names = `[A-Za-z0-9_+=,.@-]`
	partitions := strings.Join(awsauth.Partitions(), "|")
	iam := "^arn:(" + partitions + "):(iam::[0-9]{12}:(root|role/" + names + "{1,64}|user/([!-~]*/)?" + names + "{1,64})"
	switch name {
	case "accounts":
		n.PatternProperties, n.AdditionalProperties = map[string]*node{"^[0-9]{12}$": n.AdditionalProperties.(*node)}, false
	case "versions":
		n.Minimum, n.Maximum = 1, 100
	case "maxPerHour":
		n.Minimum, n.Maximum = 1, 60
	case "roleARN":
		n.Pattern = "^arn:(" + partitions + "):iam::[0-9]{12}:role/([!-~]*/)?" + names + "{1,64}$"
	case "arn":
		n.Pattern = iam + "|sts::[0-9]{12}:federated-user/" + names + "{1,32})$"
	case "cluster":
		n.Pattern = "^([0-9A-Za-z][0-9A-Za-z_-]{0,99})?$"
	case "region":
		n.Pattern = "^([a-z]{2,4}(-[a-z]{2,12}){1,3}-[0-9]{1,2})?$"
	case "refresh":
		n.Pattern = "^(([1-9]|[1-5][0-9])m(0s)?|1h(0m0s)?)$" // one unit, which is stricter than the program
	case "accessEntries", "principals":
		n.Items.Pattern, n.UniqueItems = strings.Replace(iam, "role/", "role/([!-~]*/)?", 1)+")$", true
	case "groups", "adminGroups":
		n.MinItems, n.UniqueItems, n.Items.Pattern = 1, true, `^\S(.*\S)?$`
	}
}

// The schema in the repository is up to date. UPDATE_GOLDEN=1 writes it.
func TestSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	want := schema(t)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(schemaFile), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("the schema is not current (-want +got); run make generate:\n%s", diff)
	}
	if strings.Contains(string(got), `"description": ""`) || strings.Count(string(got), `"description"`) < len(validate.Rules())+len(comments(t)) {
		t.Error("a field has no description")
	}
}

// The schema and the program agree whether each of these files is valid. They can differ on other files, because the schema
// lacks some checks of the program, and accepts fewer forms of a time.
func TestSchemaAgreesWithProgram(t *testing.T) {
	t.Parallel()
	var s spec.Schema
	if err := json.Unmarshal(schema(t), &s); err != nil {
		t.Fatal(err)
	}
	validator := openapi.NewSchemaValidator(&s, nil, "", strfmt.Default)
	example, err := os.ReadFile("../../examples/guard.yaml")
	if err != nil {
		t.Fatal(err)
	}
	effective, err := config.Default().Effective().YAML()
	if err != nil {
		t.Fatal(err)
	}
	for text, accepted := range map[string]bool{
		head:              true,
		string(example):   true,
		string(effective): true,
		head + "mode: warn\nrules: {role-path: off, deleted: false, emptied: warn}\n":                                                               true,
		head + "accessEntries: [arn:aws:iam::111122223333:role/team/Node]\noverrides: {groups: [system:masters]}\n":                                 true,
		head + "protected: [{arn: 'arn:aws-us-gov:iam::111122223333:user/ann', groups: [a, b]}]\nadminGroups: [ops]\n":                              true,
		head + "iam: {mode: deny, budget: 1.5s, accounts: {'222233334444': {roleARN: 'arn:aws:iam::222233334444:role/x/Reader', externalID: e}}}\n": true,
		head + "selfTest: {enabled: true}\nhistory: {versions: 100}\nrestore: {enabled: false, maxPerHour: 1}\n":                                    true,
		head + "selfTest: {enabled: 'true'}\n": false,
		head + "history: {versions: 0}\n":      false,
		head + "history: {versions: 1.5}\n":    false,
		head + "restore: {maxPerHour: 61}\n":   false,
		head + "eks: {enabled: true, cluster: prod_1, region: us-gov-east-1, refresh: 10m}\noverrides: {principals: ['arn:aws:iam::111122223333:role/a/Admin']}\n": true,
		head + "eks: {enabled: false}\n":                                                   true,
		head + "eks: {enabled: true, cluster: -prod}\n":                                    false,
		head + "eks: {enabled: true, cluster: a, region: EU}\n":                            false,
		head + "eks: {enabled: true, cluster: a, refresh: 10s}\n":                          false,
		head + "eks: {enabled: true, cluster: a, refresh: 2h}\n":                           false,
		head + "eks: {mode: on}\n":                                                         false,
		head + "overrides: {principals: [Admin]}\n":                                        false,
		head + "iam: {mode: off}\n":                                                        true,
		head + "iam: {mode: enforce}\n":                                                    false,
		head + "iam: {budget: 20s}\n":                                                      false,
		head + "iam: {budget: 2}\n":                                                        false,
		head + "iam: {accounts: {'222233334444': {}}}\n":                                   false,
		head + "iam: {accounts: {'222233334444': {roleARN: Reader}}}\n":                    false,
		"kind: GuardConfig\n":                                                              false,
		strings.Replace(head, "v1alpha1", "v1", 1):                                         false,
		strings.Replace(head, "GuardConfig", "Guards", 1):                                  false,
		head + "nonsense: true\n":                                                          false,
		head + "mode: off\n":                                                               false,
		head + "rules: {role-path: true}\n":                                                false,
		head + "rules: {role-paths: deny}\n":                                               false,
		head + "rules: [role-path]\n":                                                      false,
		head + "protected: [{arn: Admin, groups: [a]}]\n":                                  false,
		head + "protected: [{arn: 'arn:aws:iam::111122223333:role/a', groups: []}]\n":      false,
		head + "protected: [{arn: 'arn:aws:iam::111122223333:role/a', admin: true}]\n":     true,
		head + "adminGroups: []\n":                                                         false,
		head + "adminGroups: [a, a]\n":                                                     false,
		head + "adminGroups: [' a']\n":                                                     false,
		head + "protected: [{arn: 'arn:aws:iam::111122223333:role/', groups: [a]}]\n":      false,
		head + "protected: [{arn: 'arn:aws:iam::111122223333:role/a/b', groups: [a]}]\n":   false,
		head + "protected: [{arn: 'arn:aws-foo:iam::111122223333:role/a', groups: [a]}]\n": false,
		head + "accessEntries: ['arn:aws:iam::111122223333:group/a']\n":                    false,
		head + "accessEntries: [arn:aws:sts::111122223333:assumed-role/a/b]\n":             false,
		head + "overrides: {groups: []}\n":                                                 false,
		head + "overrides: {group: [a]}\n":                                                 false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		if result := validator.Validate(value); result.IsValid() != accepted {
			t.Errorf("the schema accepts the file: %t, want %t\n%s%v", result.IsValid(), accepted, text, result.Errors)
		}
		if _, err := config.Parse("text", []byte(text)); (err == nil) != accepted {
			t.Errorf("the program says %v\n%s", err, text)
		}
	}
}
