package kube

import (
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// FieldManager is the name of the guard's writes in managedFields.
const FieldManager = "awsauth-guard"

// Object converts a ConfigMap to the form that the rules evaluate. The result shares the data of the ConfigMap. If cm is nil,
// Object returns nil.
func Object(cm *corev1.ConfigMap) *awsauth.Object {
	if cm == nil {
		return nil
	}
	o := &awsauth.Object{
		Data: cm.Data, BinaryData: slices.Sorted(maps.Keys(cm.BinaryData)),
		Immutable: IsImmutable(cm), Annotations: GuardAnnotations(cm),
		Finalizers: cm.Finalizers, Deleting: cm.DeletionTimestamp != nil,
	}
	for _, owner := range cm.OwnerReferences {
		o.Owners = append(o.Owners, awsauth.OwnerReference(owner.Kind, owner.Name, string(owner.UID)))
	}
	return o
}

// IsImmutable reports whether a ConfigMap is immutable.
func IsImmutable(cm *corev1.ConfigMap) bool { return cm.Immutable != nil && *cm.Immutable }

// GuardAnnotations returns the annotations of a ConfigMap that are for the guard, such as break-glass.
func GuardAnnotations(cm *corev1.ConfigMap) map[string]string {
	annotations := make(map[string]string)
	for key, value := range cm.Annotations {
		if strings.HasPrefix(key, validate.AnnotationPrefix) {
			annotations[key] = value
		}
	}
	return annotations
}

// IsEKSManager reports whether a field manager has a name that EKS uses. EKS writes aws-auth as vpcLambda, according to objects
// that people have published since 2020. It writes other objects as eks (EKS user guide, "Determine fields you can customize
// for Amazon EKS add-ons") or eks-internal. The name doesn't prove that EKS made a change, because every client can choose this
// name.
func IsEKSManager(manager string) bool {
	return manager == "vpcLambda" || manager == "eks" || manager == "eks-internal" || strings.HasPrefix(manager, "eks:")
}

// Manager returns the field manager that made the change between two versions of an object. managedFields don't always name
// this field manager, for example after an edit that only removed a key. Manager then returns the field manager with the latest
// write. It returns "" for a deletion.
func Manager(before, after *corev1.ConfigMap) string {
	if after == nil {
		return ""
	}
	var old []metav1.ManagedFieldsEntry
	if before != nil && before.UID == after.UID {
		old = before.ManagedFields
	}
	changed := newestManager(after.ManagedFields, func(e *metav1.ManagedFieldsEntry) bool {
		return !slices.ContainsFunc(old, func(o metav1.ManagedFieldsEntry) bool {
			return o.Manager == e.Manager && o.Operation == e.Operation && o.Time.Equal(e.Time)
		})
	})
	if changed != "" {
		return changed
	}
	return newestManager(after.ManagedFields, func(*metav1.ManagedFieldsEntry) bool { return true })
}

func newestManager(entries []metav1.ManagedFieldsEntry, match func(*metav1.ManagedFieldsEntry) bool) string {
	name, at := "", time.Time{}
	for i := range entries {
		if e := &entries[i]; match(e) && e.Time != nil && !e.Time.Time.Before(at) {
			name, at = e.Manager, e.Time.Time
		}
	}
	return name
}
