package iam

import (
	"context"
	"sync"
)

// flights lets those who ask the same at the same time share one call. A call ends when the last of
// them has gone away: none ends the call of another, and none leaves a call behind.
// The zero value is ready for use.
type flights[T any] struct {
	mu  sync.Mutex
	now map[string]*flight[T]
}

type flight[T any] struct {
	done    chan struct{}
	cancel  context.CancelFunc
	waiting int
	value   T
	problem *problem // of a call that panicked
}

// do joins the call under way for key, or makes it. It returns when the call has ended or ctx has,
// whichever is first. There is a problem where ctx has, or where the call panicked.
func (g *flights[T]) do(ctx context.Context, key string, call func(context.Context) T) (T, *problem) {
	f := g.join(ctx, key, call)
	select {
	case <-f.done:
		return f.value, f.problem
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	f.waiting--
	if f.waiting == 0 {
		f.cancel()
		g.forget(key, f)
	}
	var none T
	return none, &problem{reason: reasonTimeout}
}

func (g *flights[T]) join(ctx context.Context, key string, call func(context.Context) T) *flight[T] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.now[key]; f != nil {
		f.waiting++
		return f
	}
	shared, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight[T]{done: make(chan struct{}), cancel: cancel, waiting: 1}
	if g.now == nil {
		g.now = make(map[string]*flight[T])
	}
	g.now[key] = f
	go func() {
		defer cancel()
		defer g.land(key, f)
		f.value = call(shared)
	}()
	return f
}

// land ends a flight. Nobody else would catch a panic there, and it would end the webhook.
func (g *flights[T]) land(key string, f *flight[T]) {
	if v := recover(); v != nil {
		f.problem = panicked(v)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(key, f)
	close(f.done)
}

// forget makes the next one who asks call anew.
func (g *flights[T]) forget(key string, f *flight[T]) {
	if g.now[key] == f {
		delete(g.now, key)
	}
}
