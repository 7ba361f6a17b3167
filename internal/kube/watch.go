package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// Change is a version of a watched object.
type Change[T any] struct {
	// Object is the object. It is nil if the object doesn't exist.
	Object *T
	// Version is the resourceVersion of the change. It is empty if it is not known.
	Version string
	// Gap reports that the watch may have missed versions before this version. The first Change always has a gap.
	Gap bool
}

// Watch is an informer of one object. It calls its handler for every version that it receives, in order; see Change.Gap. The
// first Change has the version that is stored when the watch begins. If the object doesn't exist at that time, the Object of the
// first Change is nil.
type Watch[T any] struct {
	resource string
	handle   func(Change[T])
	log      *slog.Logger
	now      func() time.Time
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandlerRegistration

	delivering sync.Mutex // held while the handler runs

	mu        sync.Mutex
	delivered bool      // the handler was called at least once
	version   string    // the resourceVersion that the handler received last; empty if the object did not exist
	listed    string    // a resourceVersion that a list returned after an interruption, before the handler received it
	lost      time.Time // see Lost
	cause     error     // the last error; nil while the watch works
	throttle  Throttle  // throttles the log of errors
}

// ListWatch returns a ListerWatcher for one object. It selects the object by its name. So an RBAC role can restrict list and
// watch to this name.
func ListWatch(client rest.Interface, resource, namespace, name string) cache.ListerWatcher {
	return cache.NewListWatchFromClient(client, resource, namespace, fields.OneTermEqualSelector(metav1.ObjectNameField, name))
}

// NewWatch returns a Watch of the object that lw lists and watches. The Watch makes no concurrent calls of handle. resource names
// the object in the log. NewWatch returns an error if T is not a type of the Kubernetes API.
func NewWatch[T any](lw cache.ListerWatcher, resource string, handle func(Change[T]), log *slog.Logger, now func() time.Time) (*Watch[T], error) {
	w := &Watch[T]{resource: resource, handle: handle, log: log, now: now}
	example, ok := any(new(T)).(runtime.Object)
	if !ok {
		return nil, errors.New("watching " + resource + ": the type does not belong to the Kubernetes API")
	}
	w.informer = cache.NewSharedIndexInformerWithOptions(w.recordErrors(lw), example, cache.SharedIndexInformerOptions{})
	if err := w.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { w.recordError(ctx, err) }); err != nil {
		return nil, err
	}
	var err error
	w.handler, err = w.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    w.changed,
		UpdateFunc: func(_, object any) { w.changed(object) },
		DeleteFunc: w.deleted,
	})
	return w, err
}

// Run watches until the context ends. It always returns nil.
func (w *Watch[T]) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { w.informer.RunWithContext(ctx) })
	select {
	case <-w.handler.HasSyncedChecker().Done():
	case <-ctx.Done():
		return nil
	}
	w.delivering.Lock()
	if !w.delivered {
		w.deliver(Change[T]{Gap: true})
	}
	w.delivering.Unlock()
	<-ctx.Done()
	return nil
}

// Lost returns the time since which the watch has failed. It returns zero while the watch works.
func (w *Watch[T]) Lost() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// listFirst makes the informer send a list before each watch. Only a list shows whether the watch has missed versions.
type listFirst struct{}

// IsWatchListSemanticsUnSupported returns true. client-go then lists the objects before it watches them (client-go v0.36,
// util/watchlist).
func (listFirst) IsWatchListSemanticsUnSupported() bool { return true }

// recordErrors returns a ListerWatcher that passes its calls to lw, and records failures and gaps.
func (w *Watch[T]) recordErrors(lw cache.ListerWatcher) cache.ListerWatcher {
	inner := cache.ToListerWatcherWithContext(lw)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := inner.ListWithContext(ctx, o)
			w.recordResult(ctx, err)
			if err == nil {
				w.recordList(list)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			watch, err := inner.WatchWithContext(ctx, o)
			w.recordResult(ctx, err)
			return watch, err
		},
	}, listFirst{})
}

// recordResult records whether a list or the start of a watch succeeded.
func (w *Watch[T]) recordResult(ctx context.Context, err error) {
	if err != nil {
		w.recordError(ctx, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, w.cause = time.Time{}, nil
	w.throttle.ShouldLog(w.now(), nil)
}

// recordError records and logs an error of a list or a watch. It ignores the regular end of a watch. It also ignores the answer
// that the informer must list again, because the resourceVersion of the watch is too old.
func (w *Watch[T]) recordError(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil && errors.Is(err, w.cause) {
		return // the informer reports the recorded error again and wraps it
	}
	w.cause = err
	level := slog.LevelWarn
	if w.lost.IsZero() {
		w.lost, level = w.now(), slog.LevelInfo // a restart of an API server ends every watch
	}
	if w.throttle.ShouldLog(w.now(), err) {
		w.log.Log(ctx, level, "the watch is interrupted", "resource", w.resource, "err", err.Error())
	}
}

// recordList remembers the resourceVersion of the object in a list, if the handler has not received this version yet. The watch
// may have missed versions before this version.
func (w *Watch[T]) recordList(list runtime.Object) {
	version := ""
	_ = meta.EachListItem(list, func(item runtime.Object) error { // the function returns no error
		if object, err := meta.Accessor(item); err == nil {
			version = object.GetResourceVersion()
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.delivered && version != w.version {
		w.listed = version
	}
}

func (w *Watch[T]) changed(object any) {
	typed, ok := object.(*T)
	if !ok {
		return
	}
	w.delivering.Lock()
	defer w.delivering.Unlock()
	w.deliver(Change[T]{Object: typed, Version: versionOf(object)})
}

func (w *Watch[T]) deleted(object any) {
	c := Change[T]{Version: versionOf(object)}
	if _, missed := object.(cache.DeletedFinalStateUnknown); missed {
		c = Change[T]{Gap: true}
	}
	w.delivering.Lock()
	defer w.delivering.Unlock()
	w.deliver(c)
}

// deliver calls the handler with a change. It does nothing if the handler has just received the same version. It sets Gap if the
// watch may have missed versions.
func (w *Watch[T]) deliver(c Change[T]) {
	w.mu.Lock()
	if w.delivered && c.Object != nil && c.Version == w.version {
		w.mu.Unlock()
		return // a new list has the version that the handler received last
	}
	c.Gap = c.Gap || !w.delivered || c.Object != nil && c.Version == w.listed
	w.delivered, w.version = true, c.Version
	if c.Object == nil {
		w.version = ""
	}
	w.mu.Unlock()
	w.handle(c)
}

func versionOf(object any) string {
	if o, err := meta.Accessor(object); err == nil {
		return o.GetResourceVersion()
	}
	return ""
}
