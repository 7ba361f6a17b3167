package iam

import (
	"sync"
	"time"

	lru "k8s.io/apimachinery/pkg/util/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	existsFor  = 10 * time.Minute
	missingFor = 5 * time.Second
	// notFoundFor is how long the cache remembers a call that did not find a principal. If the budget of a review is too short
	// for two calls, a later review can use the first call.
	notFoundFor = time.Minute
	// maxCached limits the principals in each part of the cache. A principal takes about 400 bytes, and at most 1 KiB with a
	// long path, so both parts together stay below 8 MiB.
	maxCached = 4096
)

// clock is the cache's clock.
type clock func() time.Time

// Now implements the clock of an LRUExpireCache.
func (c clock) Now() time.Time { return c() }

// cache holds IAM's answers about principals. The keys are those of awsauth.PrincipalKey.
type cache struct {
	answers *lru.LRUExpireCache // validate.Lookup values that say Exists or Missing

	mu        sync.Mutex          // guards changes of notFounds
	notFounds *lru.LRUExpireCache // notFound values of the recent calls that found no principal
}

// notFound describes the recent calls in which IAM did not find a principal: when IAM answered the first and the last of them, and
// when the last one began.
type notFound struct{ firstAnswered, lastBegan, lastAnswered time.Time }

func newCache(now func() time.Time, size int) *cache {
	return &cache{
		answers:   lru.NewLRUExpireCacheWithClock(size, clock(now)),
		notFounds: lru.NewLRUExpireCacheWithClock(size, clock(now)),
	}
}

// answer returns the cached answer about a principal, Exists or Missing. It returns false if the cache has neither.
func (c *cache) answer(key string) (validate.Lookup, bool) {
	value, _ := c.answers.Get(key)
	answer, ok := value.(validate.Lookup)
	return answer, ok
}

// notFound returns the recent calls that did not find the principal. It is zero if there were none.
func (c *cache) notFound(key string) notFound {
	value, _ := c.notFounds.Get(key)
	a, _ := value.(notFound)
	return a
}

func (c *cache) storeExists(key string) validate.Lookup {
	answer := validate.Lookup{Existence: validate.Exists}
	c.answers.Add(key, answer, existsFor)
	c.notFounds.Remove(key)
	return answer
}

func (c *cache) storeMissing(key, replacement string) validate.Lookup {
	answer := validate.Lookup{Existence: validate.Missing, Instead: replacement}
	c.answers.Add(key, answer, missingFor)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.notFound(key); !a.lastAnswered.IsZero() {
		a.firstAnswered = a.lastAnswered // so that two new calls are needed before the principal is Missing again
		c.notFounds.Add(key, a, notFoundFor)
	}
	return answer
}

// storeNotFound records that a call did not find the principal.
func (c *cache) storeNotFound(key string, began, answered time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := notFound{answered, began, answered}
	if old := c.notFound(key); answered.Sub(old.firstAnswered) <= notFoundFor {
		a.firstAnswered = old.firstAnswered
	}
	c.notFounds.Add(key, a, notFoundFor)
	c.answers.Remove(key)
}

// clear removes everything.
func (c *cache) clear() {
	all := func(any) bool { return true }
	c.answers.RemoveAll(all)
	c.notFounds.RemoveAll(all)
}
