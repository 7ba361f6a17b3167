package admission_test

import (
	"encoding/json"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
)

func unchanged(before, after string) bool {
	return admission.Unchanged(&admissionv1.AdmissionRequest{
		Operation: admissionv1.Update,
		OldObject: runtime.RawExtension{Raw: []byte(before)},
		Object:    runtime.RawExtension{Raw: []byte(after)},
	})
}

func TestUnchanged(t *testing.T) {
	t.Parallel()
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"- a\n\"\\"},"binaryData":{"x":"AA=="},"immutable":false}`
	annotated := func(annotations string) string {
		return strings.Replace(object, `"name":`, `"annotations":{`+annotations+`},"name":`, 1)
	}
	for _, tt := range []struct {
		name, after string
		want        bool
	}{
		{"the same bytes", object, true},
		{"other labels", strings.Replace(object, `"name":`, `"labels":{"a":["}"],"b":-1.5e3},"name":`, 1), true},
		{"white space around the fields", strings.ReplaceAll(object, `,"`, " ,\n\t\""), true},
		{"other data", strings.Replace(object, `- a`, `- b`, 1), false},
		{"no data", strings.Replace(object, `"data"`, `"dada"`, 1), false},
		{"data twice", strings.Replace(object, `"data"`, `"data":{"a":"b"},"data"`, 1), false},
		{"data twice, once escaped", strings.Replace(object, `"data"`, `"d\u0061ta":{"a":"b"},"data"`, 1), false},
		{"binaryData twice", strings.Replace(object, `"data"`, `"binaryData":{"a":"b"},"data"`, 1), false},
		{"other binaryData", strings.Replace(object, `AA==`, `AAA=`, 1), false},
		{"immutable", strings.Replace(object, `false`, `true`, 1), false},
		{"immutable twice", strings.Replace(object, `"data"`, `"immutable":true,"data"`, 1), false},
		{"kind twice", strings.Replace(object, `"data"`, `"kind":"ConfigMap","data"`, 1), false},
		{"apiVersion twice", strings.Replace(object, `"data"`, `"apiVersion":"v1","data"`, 1), false},
		{"another kind", strings.Replace(object, `ConfigMap`, `Secret`, 1), false},
		{"another version", strings.Replace(object, `v1`, `v2`, 1), false},
		{"more behind it", object + "{}", false},
		{"cut", object[:len(object)-1], false},
		{"our annotation", annotated(`"awsauth-guard.io/break-glass":"x"`), false},
		{"another annotation", annotated(`"a/awsauth-guard.io/x":"awsauth-guard.io/","b":"\"awsauth-guard.io/\":5"`), true},
		{"our annotation, escaped", annotated(`"awsauth-guard\u002eio/break-glass":"x"`), false},
		{"our annotation's name, escaped", annotated(`"awsauth-guard.io/break\u002dglass":"x"`), false},
		{"our annotation of no text", annotated(`"awsauth-guard.io/break-glass":5`), false},
		{"annotations, escaped", strings.Replace(object, `"name":`, `"annot\u0061tions":{"awsauth-guard.io/x":"x"},"name":`, 1), false},
		{"annotations twice", strings.Replace(object, `"name":`, `"annotations":{},"annotations":{},"name":`, 1), false},
		{"annotations that are null", strings.Replace(object, `"name":`, `"annotations":null,"name":`, 1), false},
		{"metadata twice", strings.Replace(object, `"data"`, `"metadata":{},"data"`, 1), false},
		{"metadata that is null", strings.Replace(object, `{"name":"aws-auth"}`, `null`, 1), false},
		{"a finalizer", strings.Replace(object, `"name":`, `"finalizers":["example.com/x"],"name":`, 1), false},
		{"an owner", strings.Replace(object, `"name":`, `"ownerReferences":[{"kind":"Pod"}],"name":`, 1), false},
		{"a deletion in progress", strings.Replace(object, `"name":`, `"deletionTimestamp":"2026-01-01T00:00:00Z","name":`, 1), false},
		{"nothing", "", false},
		{"null", "null", false},
	} {
		if got := unchanged(object, tt.after); got != tt.want {
			t.Errorf("%s: got %t, want %t", tt.name, got, tt.want)
		}
		if got := unchanged(tt.after, object); got != tt.want {
			t.Errorf("%s, the other way round: got %t, want %t", tt.name, got, tt.want)
		}
	}
}

// JSON shows the same U+FFFD for every byte that is not UTF-8, and an object that is being deleted is one that
// any update may delete.
func TestNeverUnchanged(t *testing.T) {
	t.Parallel()
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"X"}}`
	for text, want := range map[string]bool{
		"\ufffd": false, `\ufffd`: false, `\uFFFd`: false, `\ud800`: false, "\xe9": false,
		"é": true, `\u00e9`: true, `\u003c`: true,
	} {
		if o := strings.Replace(object, "X", text, 1); unchanged(o, o) != want {
			t.Errorf("%q: got %t, want %t", text, !want, want)
		}
	}
	if o := strings.Replace(object, `"name"`, `"deletionTimestamp":"2026-01-01T00:00:00Z","finalizers":["a"],"name"`, 1); unchanged(o, o) {
		t.Error("an object that is being deleted counts as unchanged")
	}
	if o := strings.Replace(object, `"name"`, `"ownerReferences":[{"kind":"Pod","uid":"1"}],"finalizers":["a"],"name"`, 1); !unchanged(o, o) {
		t.Error("an object with the same finalizers and owners does not count as unchanged")
	}
}

// What an override said before says nothing about the request that leaves it as it is.
func TestUnchangedAnnotations(t *testing.T) {
	t.Parallel()
	object := func(annotations string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{` + annotations + `}}}`
	}
	const set = `"a":"1","awsauth-guard.io/allow-removal":"x","awsauth-guard.io/break-glass":"y"`
	for after, want := range map[string]bool{
		set:                                            true,
		strings.Replace(set, `"1"`, `"2"`, 1):          true,
		strings.Replace(set, `"y"`, `"z"`, 1):          false,
		strings.Replace(set, `"x"`, `"z"`, 1):          false,
		`"a":"1","awsauth-guard.io/allow-removal":"x"`: false,
		`"a":"1"`: false,
	} {
		if got := unchanged(object(set), object(after)); got != want {
			t.Errorf("%s: got %t, want %t", after, got, want)
		}
		if got := unchanged(object(after), object(set)); got != want {
			t.Errorf("%s, the other way round: got %t, want %t", after, got, want)
		}
	}
}

// For well-formed JSON the fast path never says that nothing has changed where decoding finds a change.
func FuzzUnchanged(f *testing.F) {
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"- a\n\"\\"},"immutable":false}`
	f.Add(object, object)
	f.Add(object, strings.Replace(object, `"name"`, `"annotations":{"awsauth-guard.io/x":"y"},"name"`, 1))
	f.Add(object, strings.Replace(object, `"name"`, `"annotations":{"awsauth-guard.io/\u0078":"y"},"name"`, 1))
	f.Add(object, strings.Replace(object, `"data"`, `"d\u0061ta":{},"data"`, 1))
	f.Add(object, strings.Replace(object, `{"name":"aws-auth"}`, `[{"a":{}},[],-1.5e3,null,"\"}"]`, 1))
	f.Add(`{"kind":"ConfigMap","apiVersion":"v1"}`, ` { "apiVersion" : "v1" , "kind" : "ConfigMap" , "binaryData" : { "a" : "AA==" } }`)
	f.Fuzz(func(t *testing.T, before, after string) {
		if !unchanged(before, after) || !json.Valid([]byte(before)) || !json.Valid([]byte(after)) {
			return
		}
		// Decoding may also fail for metadata, which the fast path passes over.
		if same, ok := admission.Same([]byte(before), []byte(after)); ok && !same {
			t.Errorf("%s\nand\n%s\nare not the same", before, after)
		}
	})
}
