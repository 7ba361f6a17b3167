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

// Change is a version of a watched object, as the API server showed it.
type Change[T any] struct {
	// Object is nil where there is none, or none any more.
	Object *T
	// Version is the resourceVersion of the change. It is empty where it is not known.
	Version string
	// Gap reports that the watch may have missed versions before this one. The first change has a gap.
	Gap bool
}

// Watch is an informer of one object. It tells its handler of every version in order, beginning with the one that
// is stored when the watch begins, also where that is none.
type Watch[T any] struct {
	resource string
	handle   func(Change[T])
	log      *slog.Logger
	now      func() time.Time
	informer cache.SharedIndexInformer
	handler  cache.ResourceEventHandlerRegistration

	delivering sync.Mutex // held while the handler runs

	mu      sync.Mutex
	begun   bool   // a version was delivered
	version string // of the object that was delivered last; empty: none
	listed  string // the version that a list showed after the watch had been interrupted, if it is another one
	lost    time.Time
	cause   error // the last one; nil where nothing is lost
	failing Throttle
}

// ListWatch lists and watches one object, for which RBAC can allow list and watch by name.
func ListWatch(client rest.Interface, resource, namespace, name string) cache.ListerWatcher {
	return cache.NewListWatchFromClient(client, resource, namespace, fields.OneTermEqualSelector(metav1.ObjectNameField, name))
}

// NewWatch returns a Watch of the one object that a ListerWatcher shows. The resource names it in the log. The handler
// runs on one goroutine at a time.
func NewWatch[T any](lw cache.ListerWatcher, resource string, handle func(Change[T]), log *slog.Logger, now func() time.Time) (*Watch[T], error) {
	w := &Watch[T]{resource: resource, handle: handle, log: log, now: now}
	example, ok := any(new(T)).(runtime.Object)
	if !ok {
		return nil, errors.New("watching " + resource + ": the type is none of the API")
	}
	w.informer = cache.NewSharedIndexInformerWithOptions(w.observe(lw), example, cache.SharedIndexInformerOptions{})
	if err := w.informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) { w.failed(ctx, err) }); err != nil {
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

// Run watches until the context ends.
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
	if !w.begun {
		w.deliver(Change[T]{Gap: true})
	}
	w.delivering.Unlock()
	<-ctx.Done()
	return nil
}

// Lost returns since when the object cannot be watched. The zero time is that it can.
func (w *Watch[T]) Lost() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// plain lists before it watches: a list says at once whether versions were missed.
type plain struct{}

// IsWatchListSemanticsUnSupported is asked by client-go.
func (plain) IsWatchListSemanticsUnSupported() bool { return true }

// observe returns a ListerWatcher that notices failures and gaps.
func (w *Watch[T]) observe(lw cache.ListerWatcher) cache.ListerWatcher {
	inner := cache.ToListerWatcherWithContext(lw)
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list, err := inner.ListWithContext(ctx, o)
			w.result(ctx, err)
			if err == nil {
				w.relisted(list)
			}
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			watch, err := inner.WatchWithContext(ctx, o)
			w.result(ctx, err)
			return watch, err
		},
	}, plain{})
}

// result takes in how a list, or the begin of a watch, has ended.
func (w *Watch[T]) result(ctx context.Context, err error) {
	if err != nil {
		w.failed(ctx, err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lost, w.cause = time.Time{}, nil
	w.failing.Failed(w.now(), nil)
}

// failed takes in an error of a list or a watch. That a watch ends, or must begin with a list again, is none.
func (w *Watch[T]) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || errors.Is(err, io.EOF) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause != nil && errors.Is(err, w.cause) {
		return // the informer repeats it in its own words
	}
	w.cause = err
	level := slog.LevelWarn
	if w.lost.IsZero() {
		w.lost, level = w.now(), slog.LevelInfo // an API server that restarts ends every watch
	}
	if w.failing.Failed(w.now(), err) {
		w.log.Log(ctx, level, "the watch is interrupted", "resource", w.resource, "err", err.Error())
	}
}

// relisted remembers a version that a list shows and the watch has not: there may have been others before it.
func (w *Watch[T]) relisted(list runtime.Object) {
	version := ""
	_ = meta.EachListItem(list, func(item runtime.Object) error { // the function returns no error
		if object, err := meta.Accessor(item); err == nil {
			version = object.GetResourceVersion()
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.begun && version != w.version {
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

// deliver calls the handler.
func (w *Watch[T]) deliver(c Change[T]) {
	w.mu.Lock()
	if w.begun && c.Object != nil && c.Version == w.version {
		w.mu.Unlock()
		return // a list has shown it again
	}
	c.Gap = c.Gap || !w.begun || c.Object != nil && c.Version == w.listed
	w.begun, w.version = true, c.Version
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
