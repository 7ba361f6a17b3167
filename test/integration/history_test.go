package integration_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
)

// guardNamespace is the namespace with the histories of the tests.
const guardNamespace = "guard"

// guardConfigMaps returns a client for the ConfigMaps in guardNamespace. It deletes all of these ConfigMaps first, and again when
// the test ends.
func guardConfigMaps(t *testing.T) typedcorev1.ConfigMapInterface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cluster.Admin)
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: guardNamespace}}
	if _, err := client.CoreV1().Namespaces().Create(t.Context(), namespace, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	maps := client.CoreV1().ConfigMaps(guardNamespace)
	remove := func(ctx context.Context) {
		if err := maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	remove(t.Context())
	t.Cleanup(func() { remove(context.WithoutCancel(t.Context())) })
	return maps
}

// createEmpty creates the ConfigMap of a history as the chart does: with the label, and without data.
func createEmpty(t *testing.T, maps typedcorev1.ConfigMapInterface, name string) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{guardhistory.Label: "true"}}}
	if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// newVersion returns a version of the history with the data d. resourceVersion is also the seconds of its time.
func newVersion(resourceVersion int, d data) guardhistory.Version {
	return guardhistory.Version{
		ResourceVersion: fmt.Sprint(resourceVersion), Time: time.Date(2026, 3, 1, 12, 0, resourceVersion, 0, time.UTC),
		Hash: guardhistory.Hash(d, nil), Data: d, Origin: guardhistory.Changed, Manager: "kubectl-edit", Verdict: "allow",
		Summary: guardhistory.Summary{Admins: 2, Nodes: 1, Roles: 2, Users: 1},
	}
}

// keep returns a function for the field Versions of a store, which then keeps n versions.
func keep(n int) func() int { return func() int { return n } }

// appendVersion returns a change of a history that appends the version.
func appendVersion(v guardhistory.Version) func(*guardhistory.Log) error {
	return func(l *guardhistory.Log) error { l.Append(v); return nil }
}

// TestHistoryTwoWriters: an old and a new leader may write the same versions at the same time. The history then has each version
// once and in order, even if it drops old versions.
func TestHistoryTwoWriters(t *testing.T) {
	maps := guardConfigMaps(t)
	const versions = 50
	for _, kept := range []int{versions, 10} {
		name := fmt.Sprintf("history-%d", kept)
		createEmpty(t, maps, name)
		var writers sync.WaitGroup
		for range 2 {
			store := &guardhistory.Store{Client: maps, Name: name, Versions: keep(kept)}
			writers.Go(func() {
				for n := range versions {
					if _, err := store.Change(t.Context(), appendVersion(newVersion(n+1, data{"mapRoles": fmt.Sprint(n)}))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		writers.Wait()
		l, err := (&guardhistory.Store{Client: maps, Name: name}).Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, v := range l.Versions() {
			got = append(got, fmt.Sprintf("%d: %s %s", v.Number, v.ResourceVersion, v.Data["mapRoles"]))
		}
		for n := versions - kept; n < versions; n++ {
			want = append(want, fmt.Sprintf("%d: %d %d", n+1, n+1, n))
		}
		if diff := cmp.Diff(want, got); diff != "" || len(l.Damaged()) > 0 {
			t.Errorf("of %d, %d are kept (-want +got), damaged %v:\n%s", versions, kept, l.Damaged(), diff)
		}
	}
}

// TestHistoryStore: the store writes only if a change makes a difference and returns no error. It creates a missing ConfigMap only
// if Create is set. It truncates a version that is too large, and returns the error of an ended context.
func TestHistoryStore(t *testing.T) {
	maps := guardConfigMaps(t)
	store := &guardhistory.Store{Client: maps, Name: "history", Versions: keep(10)}
	if _, err := store.Read(t.Context()); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	if _, err := store.Change(t.Context(), appendVersion(newVersion(1, base()))); !apierrors.IsNotFound(err) {
		t.Error(err)
	}
	store.Create = true
	l, err := store.Change(t.Context(), appendVersion(newVersion(1, base())))
	if err != nil || len(l.Versions()) != 1 {
		t.Fatalf("%v, %+v", err, l)
	}
	resourceVersion := func() string {
		cm, err := maps.Get(t.Context(), "history", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if cm.Labels[guardhistory.Label] != "true" {
			t.Errorf("labels %v", cm.Labels)
		}
		return cm.ResourceVersion
	}
	before := resourceVersion()
	store.Client = busyMaps{maps, func() { t.Error("the store writes although the change makes no difference or fails") }}
	if l, err = store.Change(t.Context(), appendVersion(newVersion(1, base()))); err != nil || len(l.Versions()) != 1 {
		t.Errorf("%v, %+v", err, l)
	}
	mistake := errors.New("no")
	if _, err = store.Change(t.Context(), func(l *guardhistory.Log) error {
		l.Append(newVersion(2, data{}))
		return mistake
	}); !errors.Is(err, mistake) {
		t.Error(err)
	}
	if after := resourceVersion(); after != before {
		t.Errorf("the ConfigMap has the resourceVersion %s, want %s", after, before)
	}
	store.Client = maps
	tooLarge := newVersion(3, data{"mapRoles": strings.Repeat("\x01", 1<<20)})
	if l, err = store.Change(t.Context(), appendVersion(tooLarge)); err != nil || len(l.Versions()) != 2 || !l.Versions()[1].Truncated {
		t.Errorf("%v, %+v", err, l)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = store.Change(ended, appendVersion(newVersion(4, data{}))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// busyMaps is a client that calls a function before each update, so that another client can write the ConfigMap first.
type busyMaps struct {
	typedcorev1.ConfigMapInterface

	before func()
}

func (m busyMaps) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	m.before()
	return m.ConfigMapInterface.Update(ctx, cm, o)
}

// TestHistoryConflict: if every update conflicts, the store stops trying and returns the API server's error.
func TestHistoryConflict(t *testing.T) {
	maps := guardConfigMaps(t)
	createEmpty(t, maps, "history")
	n := 0
	store := &guardhistory.Store{Name: "history", Versions: keep(10), Client: busyMaps{maps, func() {
		n++
		other := &guardhistory.Store{Client: maps, Name: "history", Versions: keep(10)}
		if _, err := other.Change(t.Context(), appendVersion(newVersion(n, data{"mapRoles": fmt.Sprint(n)}))); err != nil {
			t.Error(err)
		}
	}}}
	if _, err := store.Change(t.Context(), appendVersion(newVersion(0, data{}))); !apierrors.IsConflict(err) || n < 5 {
		t.Errorf("the store returns, after %d attempts, %v; want a conflict, after at least 5 attempts", n, err)
	}
}
