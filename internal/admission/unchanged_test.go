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

// For well-formed JSON the fast path never says that nothing has changed where decoding finds a change.
func FuzzUnchanged(f *testing.F) {
	const object = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth"},"data":{"mapRoles":"- a\n\"\\"},"immutable":false}`
	f.Add(object, object)
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
