package admission

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// limiter is a weighted semaphore that also limits each source address. The sum of all granted weights never exceeds the
// size of the semaphore all. The sum for one source address never exceeds share. The limiter grants weights in the order of
// the requests. The requests of one source address that wait for the semaphore all ask for at most one share together. So a
// request of another source address waits at most until each source address has released one share.
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

// acquire waits for the weight and returns a function that releases it, which the caller must call once. acquire fails if
// the context ends first. It reduces a weight above the share to the share.
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

// enter counts a new request of the source address, and adds the source with its first request.
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

// class holds the limits for reviews with small bodies or for reviews with large bodies.
type class struct {
	memory *limiter // bytes of the bodies
	slots  *limiter // evaluation slots; one source address gets at most half of them
	lookup int64    // the weight of a review in Handler.lookups
}

func newClass(memory, share, slots, lookup int64) class {
	return class{newLimiter(memory, share), newLimiter(slots, max(1, slots/2)), lookup}
}
