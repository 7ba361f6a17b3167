package extract_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/awsauth-guard/awsauth-guard/internal/extract"
)

// FuzzFile checks that File does not panic. Each object and each problem must have a position, and each error a text.
func FuzzFile(f *testing.F) {
	scripts, err := filepath.Glob("../cli/testdata/script/lint-*.txtar")
	if err != nil || len(scripts) == 0 {
		f.Fatal(scripts, err)
	}
	for _, script := range scripts {
		archive, err := txtar.ParseFile(script)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(file.Name, file.Data)
		}
	}
	f.Fuzz(func(t *testing.T, name string, src []byte) {
		r, err := extract.File(name, src)
		if err != nil {
			return
		}
		r.RefuseTemplates()
		for _, o := range r.Objects {
			if !o.InText && o.Line < 1 {
				t.Errorf("an object at line %d", o.Line)
			}
			if o.Object != nil {
				o.Parse()
			}
		}
		for _, err := range r.Errors {
			if err.Error() == "" {
				t.Error("an error without a text")
			}
		}
		for _, p := range append(append(r.Unrendered, r.Others...), r.Notes...) {
			if p.Line < 1 || p.Column < 1 {
				t.Errorf("a problem without a position: %v", p)
			}
		}
	})
}

// TestFileEndsSoon reads inputs that take exponential or quadratic time if File searches the same part of an input
// repeatedly. Then the test does not end within the time limit of go test.
func TestFileEndsSoon(t *testing.T) {
	for name, text := range map[string]string{
		"nested resources":  strings.Repeat(`{"base": {"patches": [{"toFieldPath": "manifest"}], "base": `, 40) + `"aws-auth"` + strings.Repeat("}}", 40),
		"comments":          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\ndata:\n  mapRoles: |\n    # " + strings.Repeat("${A} ", 100_000) + "\n    []\n",
		"functions":         `{"AWSTemplateFormatVersion": "1", "a": ` + strings.Repeat(`{"Fn::Join": ["", [`, 45) + `"name: aws-auth"` + strings.Repeat(`]]}`, 45) + "}",
		"texts of objects":  nestedObjects(30),
		"many keys":         manyTables(10_000),
		"tags of functions": "AWSTemplateFormatVersion: '1'\nx:\n" + strings.Repeat("- !Sub name aws-auth\n", 5_000),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := extract.File("x", []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// nestedObjects returns an Object of Crossplane whose manifest is the text of another Object, down to the given number
// of levels.
func nestedObjects(levels int) string {
	text := "name: aws-auth"
	for range levels {
		text = "kind: Object\napiVersion: kubernetes.crossplane.io/v1alpha2\nspec:\n forProvider:\n  manifest: |\n   " + strings.ReplaceAll(text, "\n", "\n   ")
	}
	return text
}

// manyTables returns a mapping with many keys. Each key holds a table of entries from which another tool makes a
// mapRoles.
func manyTables(keys int) string {
	var b strings.Builder
	for i := range keys {
		fmt.Fprintf(&b, "a%dmapRoles: {x: {rolearn: a}}\n", i)
	}
	return b.String()
}

// TestConcerns checks that Concerns finds the words that only inputs about aws-auth have, in upper or lower case. An escape
// sequence may hide such a word, so Concerns must return true for it, too.
func TestConcerns(t *testing.T) {
	for text, want := range map[string]bool{
		"name: aws-auth": true, "AWS_AUTH_ROLES = []": true, "mapAccounts": true, "map_users": true, "iamIdentityMappings": true, `\x61`: true,
		"": false, "kind: Deployment": false, "roles: []": false,
	} {
		if got := extract.Concerns([]byte(text)); got != want {
			t.Errorf("Concerns(%q) is %t", text, got)
		}
	}
}
