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
	// absentFor is how long the cache keeps that IAM did not find a principal, for reviews whose budget is too
	// short for two calls.
	absentFor = time.Minute
	// maxCached limits the principals in each part of the cache: one takes about 400 bytes, with a long path at
	// most 1 KiB, so that both parts stay below 8 MiB.
	maxCached = 4096
)

// clock is the time that the cache goes by.
type clock func() time.Time

// Now makes a clock that of an LRUExpireCache.
func (c clock) Now() time.Time { return c() }

// cache holds what IAM said of principals. The keys are those of awsauth.PrincipalKey.
type cache struct {
	answers *lru.LRUExpireCache // a validate.Lookup that is certain

	mu       sync.Mutex          // held to change an absence
	absences *lru.LRUExpireCache // an absence
}

// absence tells of the recent calls by which IAM did not find a principal: when the first was answered, and when
// the last began.
type absence struct{ firstAnswered, lastBegan, lastAnswered time.Time }

func newCache(now func() time.Time, size int) *cache {
	return &cache{
		answers:  lru.NewLRUExpireCacheWithClock(size, clock(now)),
		absences: lru.NewLRUExpireCacheWithClock(size, clock(now)),
	}
}

// answer returns a principal's answer if it is certain.
func (c *cache) answer(key string) (validate.Lookup, bool) {
	value, _ := c.answers.Get(key)
	answer, ok := value.(validate.Lookup)
	return answer, ok
}

// absence returns the zero absence where IAM has not recently been asked or found the principal.
func (c *cache) absence(key string) absence {
	value, _ := c.absences.Get(key)
	a, _ := value.(absence)
	return a
}

func (c *cache) keepExisting(key string) validate.Lookup {
	answer := validate.Lookup{Existence: validate.Exists}
	c.answers.Add(key, answer, existsFor)
	c.absences.Remove(key)
	return answer
}

func (c *cache) keepMissing(key, instead string) validate.Lookup {
	answer := validate.Lookup{Existence: validate.Missing, Instead: instead}
	c.answers.Add(key, answer, missingFor)
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.absence(key); !a.lastAnswered.IsZero() {
		a.firstAnswered = a.lastAnswered // two new calls must not find a principal that is created after this answer
		c.absences.Add(key, a, absentFor)
	}
	return answer
}

// keepAbsent stores that a call did not find the principal.
func (c *cache) keepAbsent(key string, began, answered time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := absence{answered, began, answered}
	if old := c.absence(key); answered.Sub(old.firstAnswered) <= absentFor {
		a.firstAnswered = old.firstAnswered
	}
	c.absences.Add(key, a, absentFor)
	c.answers.Remove(key)
}

// clear forgets all answers.
func (c *cache) clear() {
	all := func(any) bool { return true }
	c.answers.RemoveAll(all)
	c.absences.RemoveAll(all)
}
