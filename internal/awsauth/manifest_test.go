package awsauth_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestParseManifests lists for each file what ParseManifests must return, in any order: the line and the mapRoles of
// each aws-auth object, and the errors.
func TestParseManifests(t *testing.T) {
	const named = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth}\n"
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"empty":                 {"", nil},
		"comments and nothing":  {"# a\n---\n\n---\n# b\n", nil},
		"without data":          {named, []string{"1: "}},
		"null data":             {named + "data:\n", []string{"1: "}},
		"null text":             {named + "data: {mapRoles: }\n", []string{"1: "}},
		"tagged text":           {named + "data: {mapRoles: !!binary YWJj}\n", []string{"1: abc"}},
		"without a namespace":   {named + "data: {mapRoles: a}\n", []string{"1: a"}},
		"several":               {named + "data: {mapRoles: a}\n--- # next\na: b\n---\n" + named + "data: {mapRoles: b}\n", []string{"1: a", "8: b"}},
		"other objects":         {"kind: ConfigMap\nmetadata: {name: other}\n---\nkind: ConfigMap\nmetadata: {name: aws-auth, namespace: other}\n---\nkind: Secret\nmetadata: {name: aws-auth}\n", nil},
		"list":                  {"apiVersion: v1\nkind: List\nitems:\n- kind: Secret\n- " + strings.ReplaceAll(named, "\n", "\n  ") + "data: {mapRoles: a}\n", []string{"5: a"}},
		"list in a list":        {"kind: List\nitems:\n- kind: List\n  items:\n  - 5\n  - {apiVersion: v1, kind: ConfigMap, metadata: {name: aws-auth}, data: {mapRoles: a}}\n", []string{"6: a"}},
		"typed list":            {"apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: aws-auth}\n  data: {mapRoles: a}\n", []string{"4: a"}},
		"JSON":                  {`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"aws-auth"},"data":{"mapRoles":"\/\ud83d\ude00"}}`, []string{"1: /😀"}},
		"sequence of JSON":      {"{}\n{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"aws-auth\"}}{}", []string{"2: "}},
		"JSON, then YAML":       {"{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"aws-auth\"}}\n---\n" + named, []string{"1: ", "3: "}},
		"JSON that ends early":  {"{}{}\n{\"a\":\n", []string{"2:1: error: the document does not parse as JSON: unexpected EOF"}},
		"JSON with a mistake":   {"{\"a\": 1,\n \"b\" 2}\n", []string{"2:6: error: the document does not parse as JSON: invalid character '2' after object key"}},
		"CR LF":                 {strings.ReplaceAll(named+"data:\n  mapRoles: |\n    a\n    b\n---\n"+named, "\n", "\r\n"), []string{"1: a\nb\n", "9: "}},
		"byte order mark":       {"\ufeff" + named, []string{"1: "}},
		"UTF-16":                {"\xff\xfea\x00", []string{"1:1: error: the file is UTF-16, which kubectl does not read; save it as UTF-8"}},
		"UTF-16 without a mark": {"a\x00:\x00", []string{"1:1: error: the file holds zero bytes, as UTF-16 does, which kubectl does not read; save it as UTF-8"}},
		"a zero byte":           {named + "---\na: \x00\n", []string{"1: ", "5:4: error: the document does not parse as YAML: control characters are not allowed; remove the character"}},
		"UTF-32":                {"\xff\xfe\x00\x00a\x00\x00\x00", []string{"1:1: error: the file is UTF-32, which kubectl does not read; save it as UTF-8"}},
		"UTF-32, high first":    {"\x00\x00\xfe\xff\x00\x00\x00a", []string{"1:1: error: the file is UTF-32, which kubectl does not read; save it as UTF-8"}},
		"conflict":              {"<<<<<<< HEAD\n---\n" + named, []string{"1:1: error: the text has a conflict mark of a merge; resolve the conflict and remove the marks", "3: "}},
		"text before":           {"see below\n---\n" + named, []string{"1:1: error: the document is a string, not a Kubernetes object", "3: "}},
		"a section elsewhere": {
			named + "mapUsers: a\ndata: {mapRoles: a}\n---\n" + named + "spec: {maproles: a}\n---\nkind: ConfigMap\napiVersion: v1\nmetadata:\n  name: aws-auth\n  data:\n    mapRoles: a\n---\n" + named + "x: {mapRoles: a}\ndata: {mapUsers: b}\n",
			[]string{
				"4:1: error: kubectl does not apply this aws-auth: mapUsers is not below data, and kubectl refuses this field; move it below data",
				"10:1: error: kubectl does not apply this aws-auth: maproles is below spec, and kubectl refuses this field; move it below data",
				"14:1: error: kubectl does not apply this aws-auth: data is below metadata, and kubectl refuses this field; move data to the beginning of the line",
				"19: ",
			},
		},
		"kinds in other spellings": {
			strings.Replace(named, "ConfigMap", "Configmap", 1) + "---\n" + strings.Replace(named, "ConfigMap", "config-maps", 1) + "---\n" + strings.Replace(named, "ConfigMap", "ConfigMapper", 1),
			[]string{
				"2:1: error: kubectl does not apply this aws-auth: its kind is Configmap; write kind: ConfigMap",
				"6:1: error: kubectl does not apply this aws-auth: its kind is config-maps; write kind: ConfigMap",
			},
		},
		"keys in capitals": {
			named + "Data: {mapRoles: a}\n---\n" + strings.Replace(named, "metadata", "Metadata", 1),
			[]string{
				"4:1: error: kubectl does not apply this aws-auth: Data is not a field of a ConfigMap; write data",
				"8:1: error: kubectl does not apply this aws-auth: Metadata is not a field of a ConfigMap; write metadata",
			},
		},
		"another key":           {named + "extra: {other: a}\n", []string{"1: "}},
		"an error, and another": {named + "  data\n---\n" + named + "---\n\t- x\n", []string{"4:3: error: the document does not parse as YAML: did not find expected key; check the indentation and the quotes from here upwards", "6: ", "10:1: error: the document does not parse as YAML: a tab indents this line, and YAML allows spaces only; replace the tab with spaces"}},
		"control character":     {named + "# \x01\n", []string{"4:3: error: the document does not parse as YAML: control characters are not allowed; remove the character"}},
		"not UTF-8":             {named + "# é \xe9\n", []string{"4:5: error: the document does not parse as YAML: the byte 0xe9 is not UTF-8; save the file as UTF-8"}},
		"template": {
			named + "data:\n  mapRoles: |\n    - username: x:{{SessionName}}\n  mapUsers: {{ .Values.users }}\n",
			[]string{"7:13: error: the document does not parse as YAML and holds the template {{ .Values.users }}; lint the rendered text (invalid map key: map[interface {}]interface {}{\".Values.users\":interface {}(nil)})"},
		},
		"template at the beginning": {"{{- if .Values.x }}\n" + named + "{{- end }}\n", []string{"1:1: error: the document does not parse as YAML and holds the template {{- if .Values.x }}; lint the rendered text (did not find expected node content)"}},
		"dashes and a word":         {named + "---yes\na: b\n", []string{"4:1: error: kubectl refuses \"yes\" after the three dashes that separate documents", "1: "}},
		"dashes within a text":      {named + "data:\n  mapRoles: |\n    a\n---\n    b\n- c\n", []string{"1: a\n", "8:5: error: the document is a string, not a Kubernetes object"}},
		"a list":                    {"- rolearn: x\n", []string{"1:1: error: the document is a list, not a Kubernetes object"}},
		"ended before":              {" " + strings.Replace(named, "\n", "\n\n", 1), []string{"3:1: error: the document has ended before this line, and kubectl reads no more of it; indent all its keys alike, or begin a document with ---"}},
		"ended by dots":             {named + "...\n# c\ndata: {mapRoles: a}\n", []string{"6:1: error: the document has ended before this line, and kubectl reads no more of it; indent all its keys alike, or begin a document with ---", "1: "}},
		"no kind":                   {"metadata: {name: aws-auth}\n", []string{"1:1: error: kubectl does not apply this aws-auth: it has no kind; write kind: ConfigMap"}},
		"no apiVersion":             {"metadata: {name: aws-auth}\nkind: ConfigMap\napiVersion: v2\n", []string{"3:1: error: kubectl does not apply this aws-auth: its apiVersion is not v1; write apiVersion: v1"}},
		"data is a list":            {named + "data: []\n", []string{"4:1: error: kubectl does not apply this aws-auth: data is a list, not a mapping"}},
		"immutable is a string":     {named + "immutable: \"true\"\n", []string{"4:1: error: kubectl does not apply this aws-auth: immutable is a string; write true or false"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			manifests, errs := awsauth.ParseManifests([]byte(test.file))
			for _, m := range manifests {
				got = append(got, fmt.Sprintf("%d: %s", m.Line, m.Object.Data["mapRoles"]))
			}
			for _, err := range errs {
				e, ok := errors.AsType[*awsauth.ManifestError](err)
				if !ok {
					t.Fatalf("%T", err)
				}
				got = append(got, fmt.Sprintf("%d:%d: error: %v", e.Line, e.Column, errors.Unwrap(err)))
			}
			less := func(a, b string) bool { return a < b }
			if diff := cmp.Diff(test.want, got, cmpopts.SortSlices(less)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// hasOtherCase reports whether the API server refuses a field because of its case. kubectl does not check the case.
func hasOtherCase(object map[string]any) bool {
	for key := range object {
		for _, field := range []string{"apiVersion", "kind", "metadata", "data", "binaryData", "immutable"} {
			if key != field && strings.EqualFold(key, field) {
				return true
			}
		}
	}
	return false
}

// kubectl decodes a file as kubectl does and returns the aws-auth objects before the first error.
func kubectl(src []byte) (data []map[string]any, err error) {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(src), 4096)
	for {
		var object map[string]any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return data, nil
		} else if err != nil {
			return data, err
		}
		metadata, _ := object["metadata"].(map[string]any)
		namespace, _ := metadata["namespace"].(string)
		values, isMapping := object["data"].(map[string]any)
		if object["kind"] == "ConfigMap" && object["apiVersion"] == "v1" && metadata["name"] == "aws-auth" &&
			(namespace == "" || namespace == "kube-system") && (isMapping || object["data"] == nil) &&
			object["immutable"] == nil && object["binaryData"] == nil && !hasOtherCase(object) {
			data = append(data, values)
		}
	}
}

// FuzzParseManifests checks ParseManifests for any file. If kubectl reports an error, ParseManifests must report one, too.
// If kubectl reports none, ParseManifests must find every aws-auth that kubectl decodes, with the same values. Every
// position must be within the file.
func FuzzParseManifests(f *testing.F) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
		f.Add([]byte("# a\r\n---\r\n" + strings.ReplaceAll(string(src), "\n", "\r\n")))
	}
	f.Add([]byte(`{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"aws-auth"},"data":{"mapRoles":"- \ud83d\ude00"}}{}`))
	f.Add([]byte("kind: ConfigMap\napiVersion: v1\nmetadata: {name: aws-auth}\ndata:\n  mapRoles: >+\n    [\n     a,\n\n    b]\n\n  mapUsers: &a !!str 'a\n   ''b\n\n   c'\n  mapAccounts: \"\\u0061\\\n    b\\n\"\n...\nx\n---y\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		manifests, errs := awsauth.ParseManifests(src)
		want, err := kubectl(src)
		// After JSON, kubectl does not find the beginning of a YAML document of three bytes. Its error begins with json: offset.
		if err != nil && len(errs) == 0 && !strings.HasPrefix(err.Error(), "json: offset") {
			t.Errorf("kubectl reports %v, and ParseManifests reports no error", err)
		}
		if err == nil {
			// If there is an error, the results differ, because kubectl stops at the error and ParseManifests goes on.
			checkDecoded(t, manifests, want)
		}
		for _, m := range manifests {
			doc := m.Object.Parse()
			places := []awsauth.Position{{Line: m.Line, Column: 1}, m.Object.Locate(awsauth.Position{Path: "data.none"})}
			for _, list := range [][]awsauth.Scalar{doc.DataKeys, doc.BinaryKeys, doc.NotText, doc.DuplicateKeys} {
				for _, s := range list {
					if s.Line > 0 { // a key has no position if the YAML readers disagree
						places = append(places, s.Position)
					}
				}
			}
			for _, list := range [][]awsauth.Mapping{doc.Roles, doc.Users} {
				for _, m := range list {
					places = append(places, m.At(), m.ARN.At(), m.Username.At())
				}
			}
			checkWithin(t, src, places)
		}
		for _, err := range errs {
			e, ok := errors.AsType[*awsauth.ManifestError](err)
			if !ok {
				t.Fatalf("%T", err)
			}
			checkWithin(t, src, []awsauth.Position{{Line: e.Line, Column: e.Column}})
		}
	})
}

func checkDecoded(t *testing.T, manifests []awsauth.Manifest, want []map[string]any) {
	t.Helper()
	next := 0
	for _, values := range want {
		found := false
		for ; next < len(manifests) && !found; next++ {
			texts := map[string]string{}
			for key, value := range values {
				if text, ok := value.(string); ok || value == nil {
					texts[key] = text
				}
			}
			found = maps.Equal(texts, manifests[next].Object.Data)
		}
		if !found {
			t.Errorf("ParseManifests does not find the aws-auth with the data %q", values)
		}
	}
}

func checkWithin(t *testing.T, src []byte, places []awsauth.Position) {
	t.Helper()
	lines := bytes.Split(src, []byte("\n"))
	for _, p := range places {
		if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCount(lines[p.Line-1])+1 {
			t.Errorf("%q has the position %d:%d, which is not in the file", p.Path, p.Line, p.Column)
		}
	}
}
