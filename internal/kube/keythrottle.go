package kube

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/cache"
)

// maxKeys limits the number of keys of a [KeyThrottle]. Some keys come from requests, such as account ids. Without the limit,
// requests could fill the memory or the log.
const maxKeys = 256

// KeyThrottle limits how often a caller logs a message with a key, such as an account id.
type KeyThrottle struct {
	interval time.Duration

	mu   sync.Mutex
	seen *cache.LRUExpireCache
}

// NewKeyThrottle returns a KeyThrottle that allows each key once in an interval.
func NewKeyThrottle(interval time.Duration, now func() time.Time) *KeyThrottle {
	return &KeyThrottle{interval: interval, seen: cache.NewLRUExpireCacheWithClock(maxKeys, clock(now))}
}

// Allow reports whether the caller may log a message with this key now. It allows each key once in an interval, and at
// most maxKeys different keys.
func (t *KeyThrottle) Allow(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.seen.Keys()
	if _, ok := t.seen.Get(key); ok || len(seen) >= maxKeys {
		return false
	}
	t.seen.Add(key, nil, t.interval)
	return true
}

type clock func() time.Time

func (c clock) Now() time.Time { return c() }
