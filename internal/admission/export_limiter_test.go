package admission

import "context"

// NewLimiter returns a limiter.
var NewLimiter = newLimiter

// Acquire is acquire.
func (l *limiter) Acquire(ctx context.Context, address string, weight int64) (*grant, error) {
	return l.acquire(ctx, address, weight)
}

// Sources returns how many source addresses hold weights or wait.
func (l *limiter) Sources() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sources)
}

// Release is release.
func (g *grant) Release() { g.release() }

// Pause is pause.
func (g *grant) Pause(ctx context.Context, wait func()) error { return g.pause(ctx, wait) }
