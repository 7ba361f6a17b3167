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

// Label is set, with the value true, on the ConfigMap that holds a history.
const Label = "awsauth-guard.io/history"

// fieldManager is who writes, as managedFields name it.
const fieldManager = "awsauth-guard"

// ConfigMaps are those of one namespace. It is the part of client-go's ConfigMapInterface that a Store needs: the
// command line reads a ConfigMap without that package, which knows every type of every group.
type ConfigMaps interface {
	Get(ctx context.Context, name string, o metav1.GetOptions) (*corev1.ConfigMap, error)
	Create(ctx context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error)
}

// Store is a Log in a ConfigMap of the API server.
type Store struct {
	Client ConfigMaps // of the guard's namespace
	Name   string
	// Versions is how many versions are kept at most. It is asked before each write.
	Versions func() int
	// Create makes the ConfigMap where there is none; otherwise that is an error.
	Create bool
}

// Read reads the log. Where there is no ConfigMap, the error is one of which apierrors.IsNotFound holds.
func (s *Store) Read(ctx context.Context) (*Log, error) {
	cm, err := s.Client.Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading the history in the ConfigMap %s: %w", s.Name, err)
	}
	return Read(cm), nil
}

// Change reads the log, lets a function change it, and writes it if that has made a difference. Where
// somebody else has written in between it begins again, so that the function may be called several times.
// It returns the log that is stored now. An error of the function ends it, and nothing is written.
func (s *Store) Change(ctx context.Context, change func(*Log) error) (*Log, error) {
	var log *Log
	err := untilWritten(ctx, func(ctx context.Context) (err error) {
		log, err = s.try(ctx, change)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("changing the history in the ConfigMap %s: %w", s.Name, err)
	}
	return log, nil
}

func (s *Store) try(ctx context.Context, change func(*Log) error) (*Log, error) {
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

// patience is how often and how long is waited while others write: two seconds in all, which are dozens
// of their writes.
var patience = wait.Backoff{Duration: 10 * time.Millisecond, Factor: 1.5, Jitter: 1, Steps: 10}

// untilWritten tries again for as long as somebody else was faster.
func untilWritten(ctx context.Context, try func(context.Context) error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, patience, func(ctx context.Context) (done bool, err error) {
		last = try(ctx)
		if apierrors.IsConflict(last) || apierrors.IsAlreadyExists(last) {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) && last != nil {
		return last // says more than that time is up
	}
	return err
}
