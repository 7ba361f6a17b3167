package kube

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Object returns a ConfigMap as the rules see it. It shares the maps of the ConfigMap; nil stays nil.
func Object(cm *corev1.ConfigMap) *awsauth.Object {
	if cm == nil {
		return nil
	}
	return &awsauth.Object{
		Data:        cm.Data,
		BinaryData:  slices.Sorted(maps.Keys(cm.BinaryData)),
		Immutable:   cm.Immutable != nil && *cm.Immutable,
		Annotations: cm.Annotations,
	}
}
