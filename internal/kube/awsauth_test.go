package kube_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// Manager returns the newest field manager whose entry in managedFields is new or changed. If there is none, it returns the
// manager of the newest entry. It compares with the version before, because the times of the entries have only seconds.
func TestManager(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	entry := func(manager, operation string, seconds int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationType(operation),
			Time: &metav1.Time{Time: at.Add(time.Duration(seconds) * time.Second)},
		}
	}
	object := func(uid types.UID, entries ...metav1.ManagedFieldsEntry) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: uid, ManagedFields: entries}}
	}
	edit := entry("kubectl-edit", "Update", 0)
	for _, test := range []struct {
		name          string
		before, after *corev1.ConfigMap
		want          string
	}{
		{"EKS in the same second", object("u", edit), object("u", entry("eks", "Update", 0), edit), "eks"},
		{"EKS again", object("u", entry("eks", "Update", -9), edit), object("u", entry("eks", "Update", 0), edit), "eks"},
		{"EKS by another operation", object("u", entry("eks", "Update", 0), edit), object("u", entry("eks", "Apply", 0), entry("eks", "Update", 0), edit), "eks"},
		{"a person after EKS", object("u", entry("vpcLambda", "Update", 0)), object("u", edit, entry("vpcLambda", "Update", 0)), "kubectl-edit"},
		{"of two, the newer one", object("u"), object("u", edit, entry("vpcLambda", "Update", -9)), "kubectl-edit"},
		{"a key that was removed", object("u", entry("vpcLambda", "Update", -9), edit), object("u", entry("vpcLambda", "Update", -9), edit), "kubectl-edit"},
		{"another object", object("other", edit), object("u", entry("eks", "Update", -9), edit), "kubectl-edit"},
		{"no object before", nil, object("u", edit), "kubectl-edit"},
		{"no managedFields", object("u"), object("u"), ""},
		{"a deletion", object("u", edit), nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := kube.Manager(test.before, test.after); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

// IsEKSManager recognizes only the names of EKS's field managers, and no similar names.
func TestIsEKSManager(t *testing.T) {
	t.Parallel()
	for manager, want := range map[string]bool{
		"vpcLambda": true, "eks": true, "eks-internal": true, "eks:node-manager": true,
		"": false, "eksctl": false, "eks-tool": false, "EKS": false, "kubectl": false,
	} {
		if got := kube.IsEKSManager(manager); got != want {
			t.Errorf("%q: %t", manager, got)
		}
	}
}

// Object copies the content of the ConfigMap, and only the guard's annotations.
func TestObject(t *testing.T) {
	t.Parallel()
	if kube.Object(nil) != nil {
		t.Error("nil is an object")
	}
	got := kube.Object(&corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{"awsauth-guard.io/break-glass": "x", "other": "y"}},
		Data:       map[string]string{"mapRoles": "[]"}, BinaryData: map[string][]byte{"b": nil, "a": nil}, Immutable: new(true),
	})
	want := &awsauth.Object{
		Data: map[string]string{"mapRoles": "[]"}, BinaryData: []string{"a", "b"}, Immutable: true,
		Annotations: map[string]string{"awsauth-guard.io/break-glass": "x"},
	}
	if got.Immutable != want.Immutable || !cmp.Equal(got.Data, want.Data) || !cmp.Equal(got.BinaryData, want.BinaryData) || !cmp.Equal(got.Annotations, want.Annotations) {
		t.Errorf("%+v", got)
	}
}
