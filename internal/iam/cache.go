package iam

import (
	"sync"
	"time"

	lru "k8s.io/apimachinery/pkg/util/cache"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// existsFor and missingFor are how long the cache keeps the answers Exists and Missing.
	existsFor  = 10 * time.Minute
	missingFor = 5 * time.Second
	// notFoundFor is how long the cache remembers a call that did not find a principal. A principal is Missing only after two such
	// calls. The time budget of a review can be too short for both calls. A later review then needs only the second call.
	notFoundFor = time.Minute
	// maxCached limits the number of principals in answers and in notFounds. A principal takes about 400 bytes, and at most 1 KiB
	// with a long path, so the cache stays below 8 MiB.
	maxCached = 4096
)

// clock is a clock for an LRUExpireCache.
type clock func() time.Time

// Now returns the current time.
func (c clock) Now() time.Time { return c() }

// cache holds IAM's answers about principals. The keys are results of awsauth.PrincipalKey.
type cache struct {
	answers *lru.LRUExpireCache // validate.Lookup values that say Exists or Missing

	mu        sync.Mutex          // guards changes of notFounds
	notFounds *lru.LRUExpireCache // notFound values
}

// notFound describes the calls within notFoundFor in which IAM did not find a principal. IAM answered the first of
// these calls at firstAnswered. The last of them began at lastBegan, and IAM answered it at lastAnswered.
type notFound struct{ firstAnswered, lastBegan, lastAnswered time.Time }

func newCache(now func() time.Time, size int) *cache {
	return &cache{
		answers:   lru.NewLRUExpireCacheWithClock(size, clock(now)),
		notFounds: lru.NewLRUExpireCacheWithClock(size, clock(now)),
	}
}

// answer returns the cached answer about a principal: Exists or Missing. It returns false if the cache has no answer.
func (c *cache) answer(key string) (validate.Lookup, bool) {
	value, _ := c.answers.Get(key)
	answer, ok := value.(validate.Lookup)
	return answer, ok
}

// notFound describes the recent calls that did not find the principal. The result is zero if there was no such call.
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
		a.firstAnswered = a.lastAnswered // so that the principal is Missing again only after two new calls
		c.notFounds.Add(key, a, notFoundFor)
	}
	return answer
}

// storeNotFound records that a call did not find the principal. The call began at the time began, and IAM answered at answered.
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

// clear removes all answers and all recorded calls.
func (c *cache) clear() {
	all := func(any) bool { return true }
	c.answers.RemoveAll(all)
	c.notFounds.RemoveAll(all)
}
