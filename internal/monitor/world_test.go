package monitor_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	iamPrefix = "arn:aws:iam::111122223333:"
	adminARN  = iamPrefix + "role/Admin"
	admin     = "- rolearn: " + adminARN + "\n  username: admin\n  groups: [system:masters]\n"
	node      = "- rolearn: " + iamPrefix + "role/Node\n  username: system:node:{{EC2PrivateDNSName}}\n  groups: [system:bootstrappers, system:nodes]\n"
	ci        = "- rolearn: " + iamPrefix + "role/CI\n  username: ci\n  groups: [deployers]\n"
)

func roles(text string) map[string]string { return map[string]string{"mapRoles": text} }

// world is an API server with aws-auth and a history. It uses the fake clock of the test.
type world struct {
	t  *testing.T
	mu sync.Mutex

	version   int
	states    []state // every version of aws-auth, sorted from the oldest to the newest
	compacted int     // the oldest version that the API server still has
	watches   []*apiwatch.RaceFreeFakeWatcher
	down      bool // lists and watches fail
	unshown   bool // the watches send no further version
	history   *corev1.ConfigMap
	writes    int    // number of writes of the history
	noHistory error  // the error of reads and writes of the history; nil if they succeed
	afterOwn  func() // runs once after the guard's next update of aws-auth, before the guard receives the answer
	refuse    error  // the error of writes of aws-auth; nil if they succeed
	immutable bool   // whether the versions that are stored from now on are immutable

	replicas []*replica
}

// state is aws-auth at a resourceVersion. The object is nil if aws-auth did not exist then.
type state struct {
	version int
	object  *corev1.ConfigMap
	gone    *corev1.ConfigMap // the deleted object
}

// run runs a test with a fake clock. aws-auth has the data at the start.
func run(t *testing.T, data map[string]string, test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, version: 100, history: &corev1.ConfigMap{}}
		w.write("eksctl", data)
		test(w)
		for _, r := range w.replicas {
			r.stop()
		}
	})
}

// after advances the clock.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// change calls do, which may read and change the world, while it holds the world's lock.
func (w *world) change(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// write stores a version of aws-auth with this data. manager is the field manager of the write. Nil data deletes
// aws-auth. annotations are alternating keys and values.
func (w *world) write(manager string, data map[string]string, annotations ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make(map[string]string)
	for i := 0; i < len(annotations); i += 2 {
		all[annotations[i]] = annotations[i+1]
	}
	w.put(manager, data, all)
}

func (w *world) stored() *corev1.ConfigMap {
	if len(w.states) == 0 {
		return nil
	}
	return w.states[len(w.states)-1].object
}

func (w *world) put(manager string, data, annotations map[string]string) {
	before := w.stored()
	w.version++
	s := state{version: w.version}
	if data == nil {
		s.gone = before.DeepCopy()
		s.gone.ResourceVersion = strconv.Itoa(w.version)
	} else {
		s.object = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Namespace: "kube-system", Name: "aws-auth", UID: "u", Annotations: annotations, ResourceVersion: strconv.Itoa(w.version),
		}, Data: data}
		if w.immutable {
			s.object.Immutable = new(true)
		}
		if before != nil {
			s.object.ManagedFields = slices.DeleteFunc(slices.Clone(before.ManagedFields), func(e metav1.ManagedFieldsEntry) bool { return e.Manager == manager })
		}
		s.object.ManagedFields = append(s.object.ManagedFields, metav1.ManagedFieldsEntry{Manager: manager, Operation: "Update", Time: &metav1.Time{Time: time.Now()}})
	}
	w.states = append(w.states, s)
	if w.unshown {
		return
	}
	for _, watch := range w.watches {
		if !watch.IsStopped() {
			s.show(watch, before == nil)
		}
	}
}

// show sends the state to a watch.
func (s *state) show(watch *apiwatch.RaceFreeFakeWatcher, added bool) {
	switch {
	case s.object == nil:
		watch.Delete(s.gone.DeepCopy())
	case added:
		watch.Add(s.object.DeepCopy())
	default:
		watch.Modify(s.object.DeepCopy())
	}
}

// List implements [monitor.ConfigMaps] and [restore.ConfigMaps].
func (w *world) List(_ context.Context, o metav1.ListOptions) (*corev1.ConfigMapList, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, apierrors.NewServiceUnavailable("down")
	}
	at := w.version
	if o.ResourceVersionMatch == metav1.ResourceVersionMatchExact {
		at, _ = strconv.Atoi(o.ResourceVersion)
		if at < w.compacted {
			return nil, apierrors.NewResourceExpired("compacted")
		}
	}
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: strconv.Itoa(at)}}
	for _, s := range slices.Backward(w.states) {
		if s.version <= at {
			if s.object != nil {
				list.Items = append(list.Items, *s.object.DeepCopy())
			}
			break
		}
	}
	return list, nil
}

// Watch implements [monitor.ConfigMaps].
func (w *world) Watch(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, _ := strconv.Atoi(o.ResourceVersion)
	switch {
	case w.down:
		return nil, apierrors.NewServiceUnavailable("down")
	case since < w.compacted:
		return nil, apierrors.NewResourceExpired("compacted")
	}
	watch := apiwatch.NewRaceFreeFake()
	context.AfterFunc(ctx, watch.Stop)
	for _, s := range w.states {
		if s.version > since {
			s.show(watch, false)
		}
	}
	w.watches = append(w.watches, watch)
	return watch, nil
}

// interrupt ends every watch. If down is true, new lists and watches fail until the next call of interrupt. If forget is true, the
// API server removes the earlier versions.
func (w *world) interrupt(down, forget bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = down
	if forget {
		w.compacted = w.version
	}
	for _, watch := range w.watches {
		watch.Stop()
	}
	w.watches = nil
}

func (w *world) Create(_ context.Context, cm *corev1.ConfigMap, o metav1.CreateOptions) (*corev1.ConfigMap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.refuse != nil:
		return nil, w.refuse
	case w.stored() != nil:
		return nil, apierrors.NewAlreadyExists(schema.GroupResource{Resource: "configmaps"}, "aws-auth")
	}
	w.put(o.FieldManager, cm.Data, nil)
	return w.stored(), nil
}

func (w *world) Update(_ context.Context, cm *corev1.ConfigMap, o metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	stored := w.stored()
	switch {
	case w.refuse != nil:
		return nil, w.refuse
	case stored == nil:
		return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "configmaps"}, "aws-auth")
	case cm.ResourceVersion != stored.ResourceVersion:
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "aws-auth", nil)
	}
	w.put(o.FieldManager, cm.Data, cm.Annotations)
	stored = w.stored()
	if then := w.afterOwn; then != nil {
		w.afterOwn = nil
		w.mu.Unlock()
		then()
		time.Sleep(10 * time.Millisecond) // the watch is faster than the answer
		w.mu.Lock()
	}
	return stored, nil
}

// historyMap is a client for the ConfigMap of the history.
type historyMap struct {
	history.ConfigMaps

	world *world
}

func (h historyMap) Get(context.Context, string, metav1.GetOptions) (*corev1.ConfigMap, error) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	return h.world.history.DeepCopy(), h.world.noHistory
}

func (h historyMap) Update(_ context.Context, cm *corev1.ConfigMap, _ metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	switch {
	case h.world.noHistory != nil:
		return nil, h.world.noHistory
	case cm.ResourceVersion != h.world.history.ResourceVersion:
		return nil, apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "history", nil)
	}
	h.world.writes++
	h.world.history = cm.DeepCopy()
	h.world.history.ResourceVersion = strconv.Itoa(h.world.writes)
	return h.world.history, nil
}

// versions returns the versions of the history: number, origin and losses of each.
func (w *world) versions() (list []string) {
	w.t.Helper()
	log, err := (&history.Store{Client: historyMap{world: w}}).Read(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, v := range log.Versions() {
		text := fmt.Sprintf("%d %s", v.Number, v.Origin)
		if v.Deleted {
			text += " absent"
		}
		if len(v.Lost) > 0 {
			text += " " + strings.Join(v.Lost, ",")
		}
		list = append(list, text)
	}
	return list
}

// start starts a replica. It is the leader if no other replica leads.
func (w *world) start(change ...func(*replica, *monitor.Options)) *replica {
	w.t.Helper()
	r := &replica{
		world: w, leads: !slices.ContainsFunc(w.replicas, func(r *replica) bool { return r.leads }),
		gauges: make(map[string]float64), counters: make(map[string]int),
		policy:   validate.Policy{Mode: validate.Enforce, Protected: []access.Protected{{ARN: adminARN, Groups: []string{"system:masters"}}}},
		settings: restore.Settings{Enabled: true, MaxPerHour: 3}, kept: 10,
	}
	log := slog.New(slog.NewTextHandler(&r.logged, nil))
	store := &history.Store{Client: historyMap{world: w}, Name: "history", Versions: func() int { return r.kept }}
	keeper := monitor.NewKeeper(monitor.KeeperOptions{Store: store, Election: r, Recorder: r, Logger: log, Now: time.Now})
	r.Restorer = restore.New(restore.Options{
		ConfigMaps: w, History: store, Election: r, Events: r, Policy: r.inUse, Settings: r.restores, Recorder: r, Logger: log, Now: time.Now,
	})
	o := monitor.Options{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc:  func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return w.List(ctx, o) },
			WatchFuncWithContext: w.Watch,
		},
		Past: w, History: store, Versions: keeper, Restorer: r.Restorer, Enforcement: r, Replaced: unused{}, Events: r, Election: r, Lookup: r,
		Policy: r.inUse, Principals: func() bool { return r.principals }, Recorder: recorder{r}, Logger: log, Timing: monitor.DefaultTiming(), Now: time.Now,
	}
	for _, c := range change {
		c(r, &o)
	}
	var err error
	if r.Monitor, err = monitor.New(o); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	var running sync.WaitGroup
	for _, part := range []func(context.Context) error{r.Monitor.Run, keeper.Run, r.Restorer.Run} {
		running.Go(func() {
			if err := part(ctx); err != nil {
				w.t.Error(err)
			}
		})
	}
	r.stop = func() {
		r.change(func() { r.leads = false })
		cancel()
		running.Wait()
	}
	w.replicas = append(w.replicas, r)
	after(time.Second)
	return r
}

// unused implements [monitor.ReplacedVersions] and does nothing.
type unused struct{}

func (unused) Observe(*awsauth.Object, time.Time) {}
