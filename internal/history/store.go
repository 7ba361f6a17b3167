package history

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Label is the name of a label. The ConfigMap of a history has this label with the value "true".
const Label = "awsauth-guard.io/history"

// fieldManager is the name of the guard's writes in managedFields.
const fieldManager = "awsauth-guard"

// ConfigMaps reads and writes the ConfigMaps of one namespace. It has the methods of client-go's ConfigMapInterface that a Store
// needs. Package history doesn't import that interface, because the import would add every type of the Kubernetes API to
// kubectl-awsauth.
type ConfigMaps interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error)
	Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error)
}

// Store stores a Log in a ConfigMap.
type Store struct {
	Client ConfigMaps // the ConfigMaps of the guard's namespace
	Name   string     // the name of the ConfigMap
	// Versions returns the maximum number of versions. Change calls it before each write.
	Versions func() int
	// Create makes Change create a missing ConfigMap. If Create is false, a missing ConfigMap is an error.
	Create bool
}

// Read returns the stored log. If the ConfigMap doesn't exist, it returns an error for which apierrors.IsNotFound returns true.
func (s *Store) Read(ctx context.Context) (*Log, error) {
	cm, err := s.Client.Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the history in the ConfigMap %s: %w", s.Name, err)
	}
	return Read(cm), nil
}

// Change reads the log, calls change with it, writes the changed log, and returns it. It writes nothing if the log is unchanged,
// or if change returns an error. If another client writes the ConfigMap at the same time, Change starts again, so it may call
// change several times.
func (s *Store) Change(ctx context.Context, change func(*Log) error) (*Log, error) {
	var log *Log
	err := retryOnConflict(ctx, func(ctx context.Context) (err error) {
		log, err = s.changeOnce(ctx, change)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changing the history in the ConfigMap %s: %w", s.Name, err)
	}
	return log, nil
}

func (s *Store) changeOnce(ctx context.Context, change func(*Log) error) (*Log, error) {
	cm, err := s.Client.Get(ctx, s.Name, metav1.GetOptions{})
	missing := apierrors.IsNotFound(err) && s.Create
	if missing {
		cm = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.Name, Labels: map[string]string{Label: "true"}}}
	} else if err != nil {
		return nil, err
	}
	log := Read(cm)
	if err := change(log); err != nil {
		return nil, err
	}
	before := *cm
	if err := log.Write(cm, s.Versions()); err != nil {
		return nil, err
	}
	switch {
	case missing:
		_, err = s.Client.Create(ctx, cm, metav1.CreateOptions{FieldManager: fieldManager})
	case maps.Equal(before.Data, cm.Data) && maps.EqualFunc(before.BinaryData, cm.BinaryData, slices.Equal):
	default:
		_, err = s.Client.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fieldManager})
	}
	return log, err
}

// conflictBackoff allows ten attempts within about two seconds. In this time other clients can make dozens of writes.
var conflictBackoff = wait.Backoff{Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 10}

// retryOnConflict calls changeOnce until it returns no conflict, or until conflictBackoff allows no further attempt. It returns
// the last error.
func retryOnConflict(ctx context.Context, changeOnce func(context.Context) error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, conflictBackoff, func(ctx context.Context) (done bool, err error) {
		last = changeOnce(ctx)
		if apierrors.IsConflict(last) || apierrors.IsAlreadyExists(last) {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) && last != nil {
		return last // more helpful than the timeout
	}
	return err
}
