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
}

// do joins the call under way for key, or makes it. It returns when the call has ended or ctx has,
// whichever is first, and reports whether the call has.
func (g *flights[T]) do(ctx context.Context, key string, call func(context.Context) T) (T, bool) {
	f := g.join(ctx, key, call)
	select {
	case <-f.done:
		return f.value, true
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
	return none, false
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
		f.value = call(shared)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.forget(key, f)
		close(f.done)
	}()
	return f
}

// forget makes the next one who asks call anew.
func (g *flights[T]) forget(key string, f *flight[T]) {
	if g.now[key] == f {
		delete(g.now, key)
	}
}
