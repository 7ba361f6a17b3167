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
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	guardhistory "github.com/awsauth-guard/awsauth-guard/internal/history"
)

// guardNamespace holds the histories of the tests.
const guardNamespace = "guard"

// guardConfigMaps are the ConfigMaps of the guard's namespace, in which there is none.
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

// createEmpty makes a ConfigMap as the chart does: with the label, and without data.
func createEmpty(t *testing.T, maps typedcorev1.ConfigMapInterface, name string) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{guardhistory.Label: "true"}}}
	if _, err := maps.Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func newVersion(resourceVersion int, d data) guardhistory.Version {
	return guardhistory.Version{
		ResourceVersion: fmt.Sprint(resourceVersion), Time: time.Date(2026, 3, 1, 12, 0, resourceVersion, 0, time.UTC),
		Hash: guardhistory.Hash(d, nil), Data: d, How: guardhistory.Admitted, Requester: "alice", Verdict: "allow",
		Summary: guardhistory.Summary{Admins: 2, Nodes: 1, Roles: 2, Users: 1},
	}
}

func keep(n int) func() int { return func() int { return n } }

// appendVersion is a change of a log.
func appendVersion(v guardhistory.Version) func(*guardhistory.Log) error {
	return func(l *guardhistory.Log) error { l.Append(v); return nil }
}

// TestHistoryTwoWriters: an old and a new leader write the same versions at the same time. Nothing is lost,
// nothing is doubled, and the order stays, also of those that have been dropped since.
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

// TestHistoryStore: what makes no difference is not written, an error of the change writes nothing, and
// a ConfigMap is created only by a store that may.
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
	store.Client = busyMaps{maps, func() { t.Error("what makes no difference is written") }}
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
		t.Errorf("version %s became %s", before, after)
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

// busyMaps are ConfigMaps to which somebody else writes before each patch or update of ours.
type busyMaps struct {
	typedcorev1.ConfigMapInterface

	before func()
}

func (m busyMaps) Patch(ctx context.Context, name string, kind types.PatchType, patch []byte, o metav1.PatchOptions, sub ...string) (*corev1.ConfigMap, error) {
	m.before()
	return m.ConfigMapInterface.Patch(ctx, name, kind, patch, o, sub...)
}

func (m busyMaps) Update(ctx context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	m.before()
	return m.ConfigMapInterface.Update(ctx, cm, o)
}

// TestHistoryConflict: who is always too late gives up with the API server's words.
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
		t.Errorf("after %d: %v", n, err)
	}
}

// TestRecordStore: each replica has its own key; one that is stale goes, and one that is renewed at that
// moment stays.
func TestRecordStore(t *testing.T) {
	maps := guardConfigMaps(t)
	createEmpty(t, maps, "record")
	store := &guardhistory.RecordStore{Client: maps, Name: "record"}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	replica := func(renewed time.Time) *guardhistory.Replica {
		r := &guardhistory.Replica{Started: at, Watching: at, Renewed: renewed}
		r.Add(guardhistory.Admission{Time: at, Old: "a", New: "b", Requester: "alice", How: guardhistory.Admitted, Verdict: "allow"})
		return r
	}
	write := func(name string, renewed time.Time) {
		if err := store.Write(t.Context(), name, replica(renewed)); err != nil {
			t.Fatal(err)
		}
	}
	read := func() guardhistory.Record {
		record, err := store.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	names := []string{"guard-0", "guard-1", "guard-2"}
	var writers sync.WaitGroup
	for _, name := range names {
		writers.Go(func() { write(name, at) })
	}
	writers.Wait()
	want := guardhistory.Record{Replicas: map[string]guardhistory.Replica{"guard-0": *replica(at), "guard-1": *replica(at), "guard-2": *replica(at)}}
	if diff := cmp.Diff(want, read(), cmpopts.IgnoreTypes(&guardhistory.EntryError{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := errors.Join(store.Remove(t.Context(), "guard-0"), store.Remove(t.Context(), "guard-0"), store.Remove(t.Context(), "nobody")); err != nil {
		t.Error(err)
	}
	if _, err := maps.Patch(t.Context(), "record", types.MergePatchType, []byte(`{"binaryData": {"broken": "AAAA"}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if record := read(); len(record.Replicas) != 2 || len(record.Damaged) != 1 || record.Damaged[0].Key != "broken" {
		t.Errorf("%+v", record)
	}
	renewed := false
	busy := &guardhistory.RecordStore{Name: "record", Client: busyMaps{maps, func() {
		if !renewed {
			renewed = true
			write("guard-1", at.Add(time.Hour))
		}
	}}}
	dropped, err := busy.DropStale(t.Context(), at.Add(time.Minute))
	if diff := cmp.Diff([]string{"broken", "guard-2"}, dropped); diff != "" || err != nil {
		t.Errorf("dropped: %v %s", err, diff)
	}
	if record := read(); len(record.Replicas) != 1 || len(record.Damaged) != 0 || !record.Replicas["guard-1"].Renewed.Equal(at.Add(time.Hour)) {
		t.Errorf("%+v", record)
	}
	if dropped, err = busy.DropStale(t.Context(), at.Add(time.Minute)); len(dropped) > 0 || err != nil {
		t.Errorf("%v, %v", dropped, err)
	}
}

// TestRecordStoreFull: six replicas that are as busy as can be have room in one ConfigMap, and each keeps
// its newest admissions.
func TestRecordStoreFull(t *testing.T) {
	maps := guardConfigMaps(t)
	createEmpty(t, maps, "record")
	store := &guardhistory.RecordStore{Client: maps, Name: "record"}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for n := range 6 {
		r := &guardhistory.Replica{Renewed: at}
		for i := range 2000 {
			r.Add(guardhistory.Admission{
				Time: at.Add(time.Duration(i) * time.Millisecond), Old: hashOf(n, i), New: hashOf(n, i+1),
				Requester: fmt.Sprintf("arn:aws:sts::111122223333:assumed-role/Admin/%x", i*7919), How: guardhistory.Admitted, Verdict: "allow",
			})
		}
		if err := store.Write(t.Context(), fmt.Sprintf("awsauth-guard-6d5f9c7b8d-abcd%d", n), r); err != nil {
			t.Fatal(err)
		}
	}
	record, err := store.Read(t.Context())
	if err != nil || len(record.Replicas) != 6 || len(record.Damaged) > 0 {
		t.Fatalf("%v, %d replicas, damaged %v", err, len(record.Replicas), record.Damaged)
	}
	for name, r := range record.Replicas {
		if n := len(r.Admissions); n < 1500 || !r.Admissions[n-1].Time.Equal(at.Add(1999*time.Millisecond)) || n < 2000 && r.Lost.IsZero() {
			t.Errorf("%s: %d admissions, lost %v", name, n, r.Lost)
		}
	}
	if a, ok := guardhistory.Match(record.Replicas, hashOf(3, 1998), hashOf(3, 1999), false, time.Time{}); !ok {
		t.Errorf("%+v", a)
	}
}

func hashOf(n, i int) string { return guardhistory.Hash(data{"n": fmt.Sprint(n, i)}, nil) }
