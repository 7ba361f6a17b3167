package live

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

const (
	// listTimeout bounds a read; watches are bounded by watchFor and, where the other side is silent, by
	// the health check of their connection (k8s.io/apimachinery, pkg/util/net: 30 s idle, 15 s for a ping).
	listTimeout = 10 * time.Second
	// watchFor is the least time after which the API server ends a watch, as for client-go's own reflectors.
	watchFor = 5 * time.Minute
	// endsEarly is how much sooner than agreed a watch may end and count as ended by agreement.
	endsEarly = 2 * time.Second
	// blindAfter is how long the watch may be interrupted before what it has shown last counts as unknown, and
	// wellAfter how long one lasts that is not interrupted any more, where no event says so: the API server sends
	// a bookmark every minute (kubernetes v1.36.3, apiserver/pkg/storage/cacher: defaultBookmarkFrequency).
	blindAfter = 10 * time.Minute
	wellAfter  = time.Minute
)

// event is a change that the watch shows.
type event struct {
	object  *corev1.ConfigMap // nil: there is none any more
	gone    *corev1.ConfigMap // what has been deleted, as it was last
	version string            // the resourceVersion of the change; empty where it is not known
	gap     bool              // changes before it may have been missed
}

// ConfigMaps is the part of the API that the watch needs.
type ConfigMaps interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error)
	Watch(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error)
}

// watcher watches one ConfigMap. An informer would not do: it hides whether versions were missed, and
// whether the connection was lost for a while, and both forbid a rescue.
type watcher struct {
	client ConfigMaps
	name   string
	grace  time.Duration
	log    *slog.Logger
	now    func() time.Time
	seen   func(event)
	// steady is told since when nothing has come between this process and the API server; zero while
	// something does.
	steady func(since time.Time)
	// sees is told when what is stored has not been seen for long, and when it is again.
	sees func(bool)

	since   time.Time // when the watch was interrupted first; zero: it is not
	blind   bool      // sees was told that it is not
	broken  bool      // something came between since the watch was last known to be unbroken
	failing told
	pause   pause
}

// run watches until the context ends.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		version, err := w.list(ctx)
		if err != nil {
			w.interrupted(ctx, err)
			continue
		}
		for ctx.Err() == nil && version != "" {
			version = w.follow(ctx, version)
		}
	}
}

func (w *watcher) options(version string) metav1.ListOptions {
	return metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, w.name).String(), ResourceVersion: version}
}

// list shows what there is, and returns where a watch goes on.
func (w *watcher) list(ctx context.Context) (version string, err error) {
	limited, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	list, err := w.client.List(limited, w.options(""))
	if err != nil {
		return "", fmt.Errorf("reading the ConfigMap %s: %w", w.name, err)
	}
	e := event{version: list.ResourceVersion, gap: true}
	for i := range list.Items {
		if list.Items[i].Name == w.name {
			e.object, e.version = &list.Items[i], list.Items[i].ResourceVersion
		}
	}
	w.broken = false
	w.well()
	w.steady(w.now())
	w.seen(e)
	return list.ResourceVersion, nil
}

func (w *watcher) well() {
	w.since = time.Time{}
	if w.blind {
		w.blind = false
		w.sees(true)
	}
	w.pause.reset()
	w.failing.tell(w.now(), nil)
}

// follow watches from a version on, and returns where to go on; empty is that it must be listed again.
func (w *watcher) follow(ctx context.Context, version string) string {
	options, limit := w.options(version), watchFor+rand.N(watchFor) //nolint:gosec // to spread load
	seconds := int64(limit.Seconds())
	options.AllowWatchBookmarks, options.TimeoutSeconds = true, &seconds
	watch, err := w.client.Watch(ctx, options)
	if err != nil {
		return w.failed(ctx, version, fmt.Errorf("watching the ConfigMap %s: %w", w.name, err))
	}
	defer watch.Stop()
	if w.broken {
		// What was stored meanwhile is shown first, and this process may not have been asked about it.
		w.broken = false
		w.steady(w.now().Add(w.grace))
	}
	begun := w.now()
	for e := range watch.ResultChan() {
		if e.Type == apiwatch.Error {
			return w.failed(ctx, version, fmt.Errorf("watching the ConfigMap %s: %w", w.name, apierrors.FromObject(e.Object)))
		}
		cm, ok := e.Object.(*corev1.ConfigMap)
		if !ok {
			continue
		}
		w.well()
		version = cm.ResourceVersion
		switch {
		case e.Type == apiwatch.Bookmark || cm.Name != w.name:
		case e.Type == apiwatch.Deleted:
			w.seen(event{gone: cm, version: version})
		default:
			w.seen(event{object: cm, version: version})
		}
	}
	if w.now().Sub(begun) > wellAfter {
		w.well()
	}
	if w.now().Sub(begun) < limit-endsEarly {
		w.interrupted(ctx, fmt.Errorf("watching the ConfigMap %s: %w", w.name, errEnded))
	}
	return version
}

// failed returns where to go on after an error.
func (w *watcher) failed(ctx context.Context, version string, err error) string {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		version = ""
	}
	w.interrupted(ctx, err)
	return version
}

// interrupted waits a little before the next attempt.
func (w *watcher) interrupted(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	w.broken = true
	w.steady(time.Time{})
	switch now := w.now(); {
	case w.since.IsZero():
		w.since = now
	case now.Sub(w.since) >= blindAfter && !w.blind:
		w.blind = true
		w.sees(false)
	}
	if w.failing.tell(w.now(), err) {
		level := slog.LevelWarn
		if w.pause.last == 0 {
			level = slog.LevelInfo // an API server that restarts ends every watch
		}
		w.log.Log(ctx, level, "the watch of aws-auth is interrupted", "err", err.Error())
	}
	sleep(ctx, w.pause.next())
}

// sleep waits, or until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
