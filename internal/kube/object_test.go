package kube_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

func TestObject(t *testing.T) {
	t.Parallel()
	if got := kube.Object(nil); got != nil {
		t.Errorf("of nothing: %+v", got)
	}
	immutable := true
	got := kube.Object(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"a": "b"}},
		Data:       map[string]string{"mapRoles": "[]"},
		BinaryData: map[string][]byte{"z": nil, "b": nil},
		Immutable:  &immutable,
	})
	want := &awsauth.Object{
		Annotations: map[string]string{"a": "b"}, Data: map[string]string{"mapRoles": "[]"}, BinaryData: []string{"b", "z"}, Immutable: true,
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(awsauth.Object{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
