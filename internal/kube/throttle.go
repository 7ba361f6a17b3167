// Package kube holds what the guard's packages share in dealing with Kubernetes: how its objects are read, and how
// often a log repeats itself.
package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
)

// maxThrottled limits the keys of a [Throttle]. Requests choose some of the keys, such as account ids, and must
// fill neither the memory nor the log.
const maxThrottled = 256

// Throttle limits how often a message is logged.
type Throttle struct {
	interval time.Duration

	mu   sync.Mutex
	seen *cache.LRUExpireCache
}

// NewThrottle returns a Throttle that allows each key once in an interval, by the clock now.
func NewThrottle(interval time.Duration, now func() time.Time) *Throttle {
	return &Throttle{interval: interval, seen: cache.NewLRUExpireCacheWithClock(maxThrottled, clock(now))}
}

// Allow reports whether the message with this key may be logged now. It allows at most 256 different keys in an
// interval.
func (t *Throttle) Allow(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.seen.Keys()
	if _, ok := t.seen.Get(key); ok || len(seen) >= maxThrottled {
		return false
	}
	t.seen.Add(key, nil, t.interval)
	return true
}

type clock func() time.Time

func (c clock) Now() time.Time { return c() }
