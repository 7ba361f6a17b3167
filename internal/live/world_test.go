package live_test

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

const (
	iamPrefix = "arn:aws:iam::111122223333:"
	adminARN  = iamPrefix + "role/Admin"
	admin     = "- rolearn: " + adminARN + "\n  username: admin\n  groups: [system:masters]\n"
	node      = "- rolearn: arn:aws:iam::111122223333:role/Node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n"
	ci        = "- rolearn: arn:aws:iam::111122223333:role/CI\n  username: ci\n  groups: [deployers]\n"
)

func roles(text string) map[string]string { return map[string]string{"mapRoles": text} }

// world is an API server with aws-auth, a history and a record. Its time is that of the test's bubble.
type world struct {
	t  *testing.T
	mu sync.Mutex

	version  int
	stored   *corev1.ConfigMap
	watches  []*apiwatch.RaceFreeFakeWatcher
	down     bool // lists and watches fail
	history  *corev1.ConfigMap
	replicas map[string]history.Replica
	damaged  []*history.EntryError // of the record
	reads    int                   // of the record
	writes   int                   // of the history
	hang     time.Duration         // of writes to the record
	// agreed: watches end when it was agreed to, or so much earlier.
	agreed bool
	early  time.Duration
	// unreadable and unwritable is the record while the API server fails at it.
	unreadable, unwritable bool

	nodes []*replica
}

// run makes a world in a bubble, with aws-auth as it is at first.
func run(t *testing.T, data map[string]string, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, version: 100, history: &corev1.ConfigMap{}, replicas: make(map[string]history.Replica)}
		w.write("eksctl", data)
		test(w)
		for _, r := range w.nodes {
			r.stop()
		}
	})
}

// write stores a content; nil deletes.
func (w *world) write(manager string, data map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put(manager, data, nil)
}

func (w *world) put(manager string, data, annotations map[string]string) {
	before := w.stored
	w.version++
	version := strconv.Itoa(w.version)
	if data == nil {
		gone := before.DeepCopy()
		gone.ResourceVersion = version
		w.stored = nil
		w.tell(apiwatch.Deleted, gone)
		return
	}
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-auth", UID: "u", Annotations: annotations}, Data: data}
	if before != nil {
		cm.ManagedFields = slices.DeleteFunc(slices.Clone(before.ManagedFields), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager })
	}
	cm.ManagedFields = append(cm.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: "Update", Time: &metav1.Time{Time: time.Now()}})
	cm.ResourceVersion = version
	w.stored = cm
	kind := apiwatch.Modified
	if before == nil {
		kind = apiwatch.Added
	}
	w.tell(kind, cm.DeepCopy())
}

func (w *world) tell(kind apiwatch.EventType, cm *corev1.ConfigMap) {
	for _, watch := range w.watches {
		if !watch.IsStopped() {
			watch.Action(kind, cm.DeepCopy())
		}
	}
}

func (w *world) List(context.Context, metav1.ListOptions) (*corev1.ConfigMapList, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, apierrors.NewServiceUnavailable("down")
	}
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(w.version)}}
	if w.stored != nil {
		list.Items = append(list.Items, *w.stored.DeepCopy())
	}
	return list, nil
}

func (w *world) Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, apierrors.NewServiceUnavailable("down")
	}
	watch := apiwatch.NewRaceFreeFake()
	context.AfterFunc(ctx, watch.Stop)
	if w.agreed {
		time.AfterFunc(time.Duration(*o.TimeoutSeconds)*time.Second-w.early, watch.Stop)
	}
	w.watches = append(w.watches, watch)
	if since, _ := strconv.Atoi(o.ResourceVersion); w.stored != nil && w.stored.ResourceVersion > o.ResourceVersion && since > 0 {
		watch.Modify(w.stored.DeepCopy())
	}
	return watch, nil
}

// interrupt ends every watch before its time, and fails new ones while it lasts.
func (w *world) interrupt(down bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	for _, watch := range w.watches {
		watch.Stop()
	}
	w.watches = nil
}

// expire makes every watch one that cannot be continued.
func (w *world) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, watch := range w.watches {
		watch.Error(&metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonExpired, Code: 410})
	}
}

func (w *world) Create(_ context.Context, cm *corev1.ConfigMap, _ metav1.CreateOptions) (*corev1.ConfigMap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.put("awsauth-guard", cm.Data, nil)
	return w.stored, nil
}

func (w *world) Update(_ context.Context, cm *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stored == nil || cm.ResourceVersion != w.stored.ResourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "aws-auth", nil)
	}
	w.put("awsauth-guard", cm.Data, cm.Annotations)
	return w.stored, nil
}

// stateMap is the ConfigMap of the history.
type stateMap struct {
	history.ConfigMaps

	world *world
}

func (s stateMap) Get(context.Context, string, metav1.GetOptions) (*corev1.ConfigMap, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	return s.world.history.DeepCopy(), nil
}

func (s stateMap) Update(_ context.Context, cm *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	if cm.ResourceVersion != s.world.history.ResourceVersion {
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "history", nil)
	}
	s.world.writes++
	s.world.history = cm.DeepCopy()
	s.world.history.ResourceVersion = strconv.Itoa(s.world.writes)
	return s.world.history, nil
}

// recordMap is the record.
type recordMap struct{ *world }

func (r recordMap) Write(_ context.Context, name string, replica *history.Replica) error {
	r.mu.Lock()
	hang := r.hang
	r.mu.Unlock()
	time.Sleep(hang)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unwritable {
		return apierrors.NewServiceUnavailable("down")
	}
	r.replicas[name] = *replica
	return nil
}

func (r recordMap) Read(context.Context) (history.Record, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if r.unreadable {
		return history.Record{}, apierrors.NewServiceUnavailable("down")
	}
	return history.Record{Replicas: maps.Clone(r.replicas), Damaged: r.damaged}, nil
}

func (r recordMap) Remove(_ context.Context, name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.replicas, name)
	return nil
}

func (r recordMap) DropStale(_ context.Context, before time.Time) (dropped []string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.replicas, func(_ string, other history.Replica) bool { return other.Renewed.Before(before) })
	return nil, nil
}

// object is what is stored; nil is nothing.
func (w *world) object() *corev1.ConfigMap {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stored
}

// change changes the world, or what is in it.
func (w *world) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// annotate stores a content with annotations.
func (w *world) annotate(data, annotations map[string]string) {
	w.change(func() { w.put("kubectl-edit", data, annotations) })
}

// did is how often the record was read and the history written.
func (w *world) did() (reads, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reads, w.writes
}

// says is what a replica has written into the record.
func (w *world) says(name string) (history.Replica, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r, ok := w.replicas[name]
	return r, ok
}

// someAdmission is one of a change that is never stored.
func (w *world) someAdmission(user string) history.Admission {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	return history.Admission{Time: time.Now(), Requester: user, How: history.Overridden, Old: "x", New: strconv.Itoa(w.version)}
}
