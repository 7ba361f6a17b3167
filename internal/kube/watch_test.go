package kube_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// api imitates an API server with one ConfigMap.
type api struct {
	mu      sync.Mutex
	version string // of the stored object; empty if the object doesn't exist
	err     error  // the error of lists and watches; nil if they succeed
	expired bool   // a watch fails until the next list
	watch   *apiwatch.RaceFreeFakeWatcher
}

func (a *api) change(do func()) {
	a.mu.Lock()
	do()
	a.mu.Unlock()
	synctest.Wait()
}

func configMap(version string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "aws-auth", ResourceVersion: version}}
}

func (a *api) list(context.Context, metav1.ListOptions) (runtime.Object, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		return nil, a.err
	}
	a.expired = false
	list := &corev1.ConfigMapList{ListMeta: metav1.ListMeta{ResourceVersion: "1000"}}
	if a.version != "" {
		list.Items = append(list.Items, *configMap(a.version))
	}
	return list, nil
}

func (a *api) begin(ctx context.Context, _ metav1.ListOptions) (apiwatch.Interface, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.err != nil:
		return nil, a.err
	case a.expired:
		return nil, apierrors.NewResourceExpired("too old")
	}
	a.watch = apiwatch.NewRaceFreeFake()
	context.AfterFunc(ctx, a.watch.Stop)
	return a.watch, nil
}

// watched runs a test with a Watch and a fake clock, and returns the log. shown returns the changes since the last call of
// shown. A change is the resourceVersion, whether there is an object, and "gap" if the Watch may have missed versions.
func watched(t *testing.T, a *api, test func(w *kube.Watch[corev1.ConfigMap], shown func() []string)) (log string) {
	t.Helper()
	var text strings.Builder
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var list []string
		w, err := kube.NewWatch(&cache.ListWatch{ListWithContextFunc: a.list, WatchFuncWithContext: a.begin}, "configmaps", func(c kube.Change[corev1.ConfigMap]) {
			mu.Lock()
			defer mu.Unlock()
			entry := fmt.Sprintf("%s %t", c.Version, c.Object != nil)
			if c.Gap {
				entry += " gap"
			}
			list = append(list, entry)
		}, slog.New(slog.NewTextHandler(&text, nil)), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := w.Run(ctx); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		synctest.Wait()
		test(w, func() (shown []string) {
			mu.Lock()
			defer mu.Unlock()
			shown, list = list, nil
			return shown
		})
		cancel()
		running.Wait()
	})
	return text.String()
}

func want(t *testing.T, what string, got, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// The Watch calls its handler for every version in order, and marks a change before which versions may have been missed.
func TestWatchDeliversEveryVersionInOrder(t *testing.T) {
	t.Parallel()
	a := &api{version: "1"}
	watched(t, a, func(_ *kube.Watch[corev1.ConfigMap], shown func() []string) {
		want(t, "at first", shown(), []string{"1 true gap"})
		a.change(func() {
			a.version = "4"
			for _, version := range []string{"2", "3", "4"} {
				a.watch.Modify(configMap(version))
			}
		})
		want(t, "three changes", shown(), []string{"2 true", "3 true", "4 true"})
		a.change(func() { a.version = ""; a.watch.Delete(configMap("5")) })
		want(t, "a deletion", shown(), []string{"5 false"})
		a.change(func() { a.version = "6"; a.watch.Add(configMap("6")) })
		want(t, "a creation", shown(), []string{"6 true"})
		a.change(func() { a.watch.Stop() })
		time.Sleep(time.Minute)
		synctest.Wait()
		a.change(func() { a.version = "7"; a.watch.Modify(configMap("7")) })
		want(t, "after a watch that was continued", shown(), []string{"7 true"})
		a.change(func() { a.version, a.expired = "9", true; a.watch.Stop() })
		time.Sleep(time.Minute)
		synctest.Wait()
		want(t, "after a new list", shown(), []string{"9 true gap"})
		a.change(func() { a.expired = true; a.watch.Stop() })
		time.Sleep(time.Minute)
		synctest.Wait()
		a.change(func() { a.version = "10"; a.watch.Modify(configMap("10")) })
		want(t, "after a list that showed nothing new", shown(), []string{"10 true"})
		a.change(func() { a.version, a.expired = "", true; a.watch.Stop() })
		time.Sleep(time.Minute)
		synctest.Wait()
		want(t, "after a list without it", shown(), []string{" false gap"})
	})
}

// If the object doesn't exist, the Watch calls the handler without an object.
func TestWatchReportsMissingObject(t *testing.T) {
	t.Parallel()
	a := &api{}
	watched(t, a, func(_ *kube.Watch[corev1.ConfigMap], shown func() []string) {
		want(t, "at first", shown(), []string{" false gap"})
		a.change(func() { a.version = "2"; a.watch.Add(configMap("2")) })
		want(t, "a creation", shown(), []string{"2 true"})
	})
}

// Lost returns the time since which the list or the watch fails. The log has the error.
func TestWatchReportsSinceWhenItFails(t *testing.T) {
	t.Parallel()
	for name, expired := range map[string]bool{"the watch": false, "the list": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &api{version: "1"}
			log := watched(t, a, func(w *kube.Watch[corev1.ConfigMap], _ func() []string) {
				time.Sleep(time.Hour)
				if !w.Lost().IsZero() {
					t.Error("Lost returns a time before the failure")
				}
				delivered := time.Now()
				a.change(func() {
					a.err, a.expired = apierrors.NewForbidden(corev1.Resource("configmaps"), "aws-auth", nil), expired
					a.watch.Stop()
				})
				time.Sleep(10 * time.Minute)
				if lost := w.Lost().Sub(delivered); w.Lost().IsZero() || lost > time.Minute {
					t.Errorf("Lost returns a time %s after the failure", lost)
				}
				a.change(func() { a.err = nil })
				time.Sleep(time.Minute)
				if !w.Lost().IsZero() {
					t.Error("Lost returns a time after the recovery")
				}
			})
			if n := strings.Count(log, `msg="the watch is interrupted" resource=configmaps`); n < 1 || n > 3 || !strings.Contains(log, "forbidden") {
				t.Errorf("%d lines in the log:\n%s", n, log)
			}
		})
	}
}
