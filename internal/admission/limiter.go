package admission

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// limiter is a weighted semaphore that also limits each source address. The sum of all granted weights is at most all,
// and the sum for one source address is at most share. The limiter grants weights in the order of the requests. A source
// address waits for a part of all with at most its share. So a request of another source address waits at most until each
// source address has released one share.
type limiter struct {
	all   *semaphore.Weighted
	share int64

	mu      sync.Mutex
	sources map[string]*source
}

// source is the semaphore of one source address. It exists while requests of this address hold or await weights.
type source struct {
	*semaphore.Weighted
	requests int // requests that hold or await weights; guarded by limiter.mu
}

func newLimiter(all, share int64) *limiter {
	return &limiter{all: semaphore.NewWeighted(all), share: min(share, all), sources: make(map[string]*source)}
}

// grant is a weight that a request holds. The caller must release it.
type grant struct {
	limiter *limiter
	address string
	source  *source
	weight  int64
}

// acquire waits for the weight and fails if the context ends first. It reduces a weight above the share to the share.
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

// forget ends a request of the source address. It removes the source after its last request.
func (g *grant) forget() {
	g.limiter.mu.Lock()
	defer g.limiter.mu.Unlock()
	g.source.requests--
	if g.source.requests == 0 {
		delete(g.limiter.sources, g.address)
	}
}

// release returns the weight to the limiter. A second call has no effect.
func (g *grant) release() {
	if g.source == nil {
		return
	}
	g.limiter.all.Release(g.weight)
	g.source.Release(g.weight)
	g.forget()
	g.source = nil
}

// pause releases the weight, calls the function, and acquires the weight again. If the context ends first, pause returns
// an error and the grant holds no weight.
func (g *grant) pause(ctx context.Context, wait func()) (err error) {
	g.release()
	defer func() { // also after a panic, because the caller then releases the grant
		var again *grant
		if again, err = g.limiter.acquire(ctx, g.address, g.weight); err == nil {
			*g = *again
		}
	}()
	wait()
	return nil
}

// class holds the limits for reviews with small bodies or for reviews with large bodies.
type class struct {
	memory *limiter // bytes of the bodies
	places *limiter // evaluation slots; one source address gets at most half of them
	// asking limits the number of reviews that wait for the Directory.
	asking *semaphore.Weighted
}

func newClass(memory, share, places, asking int64) class {
	return class{newLimiter(memory, share), newLimiter(places, max(1, places/2)), semaphore.NewWeighted(asking)}
}
