package admission

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// limiter is a weighted semaphore that also limits each source address. The requests of one source address together hold at
// most share.
//
// A request first acquires its weight from the semaphore of its source address, and then from the common semaphore. Both
// semaphores grant weights in the order of the requests. So the requests of one source address together hold or await at
// most one share of the common semaphore. A request of another source address waits at most until each other source address
// has released the weights that it holds, and those for which it waits ahead of this request.
type limiter struct {
	all   *semaphore.Weighted // the common semaphore
	share int64               // the size of the semaphore of a source address

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

// acquire waits until the source address gets the weight. A weight above the share counts as the share. The caller must call
// release exactly once. acquire returns an error if the context ends first.
func (l *limiter) acquire(ctx context.Context, address string, weight int64) (release func(), err error) {
	weight = min(weight, l.share)
	s := l.enter(address)
	if err := s.Acquire(ctx, weight); err != nil {
		l.leave(address, s)
		return nil, err
	}
	if err := l.all.Acquire(ctx, weight); err != nil {
		s.Release(weight)
		l.leave(address, s)
		return nil, err
	}
	return func() {
		l.all.Release(weight)
		s.Release(weight)
		l.leave(address, s)
	}, nil
}

// enter counts a new request of the source address and returns the source. For the first request it creates the source.
func (l *limiter) enter(address string) *source {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sources[address]
	if s == nil {
		s = &source{Weighted: semaphore.NewWeighted(l.share)}
		l.sources[address] = s
	}
	s.requests++
	return s
}

// leave ends a request of the source address. It removes the source after its last request.
func (l *limiter) leave(address string, s *source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.requests--
	if s.requests == 0 {
		delete(l.sources, address)
	}
}

// class holds the limits for one class of reviews. There are two classes: reviews with small bodies, and reviews with large
// bodies.
type class struct {
	memory *limiter // bytes of the bodies
	slots  *limiter // evaluation slots; one source address gets at most half of them
	lookup int64    // the weight of a review in Handler.lookups
}

func newClass(memory, share, slots, lookup int64) class {
	return class{newLimiter(memory, share), newLimiter(slots, max(1, slots/2)), lookup}
}
