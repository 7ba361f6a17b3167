package admission

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// limiter hands out weights: at most all of them at a time, and to one source address at most its share. Grants are
// given in the order of the requests. As a source waits here for no more than its share, a request of another source
// waits at most until one share of each source was given back.
type limiter struct {
	all   *semaphore.Weighted
	share int64

	mu      sync.Mutex
	sources map[string]*source
}

// source is a source address that holds weights or waits for some.
type source struct {
	*semaphore.Weighted
	requests int // that hold weights or wait; guarded by limiter.mu
}

func newLimiter(all, share int64) *limiter {
	return &limiter{all: semaphore.NewWeighted(all), share: min(share, all), sources: make(map[string]*source)}
}

// grant is a weight that a request holds. The caller releases it.
type grant struct {
	limiter *limiter
	address string
	source  *source
	weight  int64
}

// acquire waits for the weight until the context ends. A weight above the share counts as the share.
func (l *limiter) acquire(ctx context.Context, address string, weight int64) (*grant, error) {
	l.mu.Lock()
	s := l.sources[address]
	if s == nil {
		s = &source{Weighted: semaphore.NewWeighted(l.share)}
		l.sources[address] = s
	}
	s.requests++
	l.mu.Unlock()
	g := &grant{limiter: l, address: address, source: s, weight: min(weight, l.share)}
	if err := s.Acquire(ctx, g.weight); err != nil {
		g.forget()
		return nil, err
	}
	if err := l.all.Acquire(ctx, g.weight); err != nil {
		s.Release(g.weight)
		g.forget()
		return nil, err
	}
	return g, nil
}

// forget drops a source without requests.
func (g *grant) forget() {
	g.limiter.mu.Lock()
	defer g.limiter.mu.Unlock()
	g.source.requests--
	if g.source.requests == 0 {
		delete(g.limiter.sources, g.address)
	}
}

// release gives the weight back. A second call does nothing.
func (g *grant) release() {
	if g.source == nil {
		return
	}
	g.limiter.all.Release(g.weight)
	g.source.Release(g.weight)
	g.forget()
	g.source = nil
}

// pause gives the weight back while a function waits for something else, and acquires it again. It fails when the
// context ends first; then the grant holds nothing.
func (g *grant) pause(ctx context.Context, wait func()) (err error) {
	g.release()
	defer func() { // also after a panic, so that the caller's release matches
		var again *grant
		if again, err = g.limiter.acquire(ctx, g.address, g.weight); err == nil {
			*g = *again
		}
	}()
	wait()
	return nil
}

// class has the limits of reviews of a kind.
type class struct {
	memory *limiter // bytes of their bodies
	places *limiter // those that are evaluated; a source leaves half of them to others
	// asking limits those that wait for the Directory.
	asking *semaphore.Weighted
}

func newClass(memory, share, places, asking int64) class {
	return class{newLimiter(memory, share), newLimiter(places, max(1, places/2)), semaphore.NewWeighted(asking)}
}
