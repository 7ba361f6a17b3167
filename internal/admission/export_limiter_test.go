package admission

import "context"

// NewLimiter exports newLimiter.
var NewLimiter = newLimiter

// Acquire exports acquire.
func (l *limiter) Acquire(ctx context.Context, address string, weight int64) (release func(), err error) {
	return l.acquire(ctx, address, weight)
}

// Sources returns the number of source addresses that hold or await weights.
func (l *limiter) Sources() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sources)
}
