package admission

import "context"

// NewLimiter exports newLimiter.
var NewLimiter = newLimiter

// Acquire exports acquire.
func (l *limiter) Acquire(ctx context.Context, address string, weight int64) (release func(), err error) {
	return l.acquire(ctx, address, weight)
}

// Sources returns the number of source addresses with a request that holds a part of the limit or waits for one.
func (l *limiter) Sources() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sources)
}
