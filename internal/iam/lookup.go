package iam

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxWaiting limits the number of principals that one Lookup looks up concurrently. It is more than maxCalls, because the lookup
	// of a missing principal spends most of its time waiting for the second call.
	maxWaiting = 64
	// minSecondCallTime is the minimum time that must be left for the second call.
	minSecondCallTime = 100 * time.Millisecond
)

// Lookup returns whether roles and users exist. The deadline of ctx is the time budget. A principal that has no result at the deadline
// is Unknown. A principal beyond the Limits is Unknown, too. The result does not contain STS sessions and federated users, because AWS
// has no call to look them up. A call that Lookup started can continue after Lookup has returned, for at most 15 s.
func (c *Client) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	l := lookup{client: c, answers: make(map[string]validate.Lookup, len(principals))}
	for _, p := range principals {
		if p.Service == "iam" {
			l.principals = append(l.principals, keyedPrincipal{p, awsauth.PrincipalKey(p.String())})
		}
	}
	if len(l.principals) > 0 {
		l.run(ctx)
	}
	known := validate.IAM{Principals: make(map[string]validate.Lookup, len(l.principals))}
	if self := c.self.Load(); self != nil {
		known.Partition = self.Partition
	}
	for _, p := range l.principals {
		known.Principals[p.String()] = l.answers[p.key]
	}
	return known
}

// keyedPrincipal is a principal with its key. The key is the result of awsauth.PrincipalKey.
type keyedPrincipal struct {
	awsauth.ARN

	key string
}

// lookup is one call of [Client.Lookup].
type lookup struct {
	client     *Client
	principals []keyedPrincipal

	mu      sync.Mutex
	answers map[string]validate.Lookup // by key
}

func (l *lookup) run(ctx context.Context) {
	c, start := l.client, l.client.now()
	self, problem := c.identity(ctx)
	if problem != nil {
		c.logProblem(ctx, "", problem)
	}
	var remaining []keyedPrincipal
	for _, p := range l.principals {
		if _, ok := l.answers[p.key]; ok {
			continue
		}
		answer, ok := l.answerWithoutCall(ctx, p, self, problem == nil)
		switch {
		case !ok && problem != nil:
			l.answer(p, unknown(problem.Public()), start)
		case !ok:
			l.answers[p.key] = answer // a placeholder, so that a duplicate in the list is skipped
			remaining = append(remaining, p)
		default:
			l.answers[p.key] = answer
		}
	}
	l.lookUpAll(ctx, self, l.limit(remaining))
}

// limit returns the principals that the limits allow. It sets the answers for all other principals to Unknown.
func (l *lookup) limit(principals []keyedPrincipal) (allowed []keyedPrincipal) {
	limits, unasked := l.client.limits, 0
	for i, p := range principals {
		switch {
		case limits.PerLookup > 0 && i >= limits.PerLookup:
			l.set(p, unknown(reasonTooMany))
			unasked++
		case !l.client.limiter.AllowN(l.client.now(), 1):
			l.set(p, unknown(reasonRateLimited))
			unasked++
		default:
			allowed = append(allowed, p)
		}
	}
	if unasked > 0 {
		l.client.recorder.Unasked(unasked)
	}
	return allowed
}

// answerWithoutCall returns the answer for a principal that needs no call, or false if the principal needs a call. known reports
// whether self is the guard's identity. If known is false, self is not valid.
func (l *lookup) answerWithoutCall(ctx context.Context, p keyedPrincipal, self Identity, known bool) (validate.Lookup, bool) {
	c := l.client
	switch {
	case known && p.Partition != self.Partition:
		return unknown(reasonOtherPartition), true
	case p.Resource == "root":
		return validate.Lookup{Existence: validate.Exists}, true
	case !known:
		return validate.Lookup{}, false
	case c.service(self, p.Account) == nil:
		if c.accounts.Allow(p.Account) {
			c.log.LogAttrs(ctx, slog.LevelInfo, "cannot look up principals of an account: iam.accounts has no role for it", slog.String("account", p.Account))
		}
		return unknown(noAccess(p.Account)), true
	}
	answer, ok := c.cache.answer(p.key)
	if ok {
		c.recorder.CacheHit()
	}
	return answer, ok
}

// lookUpAll looks up the principals concurrently, at most maxWaiting at a time. When ctx ends, the remaining principals become Unknown.
func (l *lookup) lookUpAll(ctx context.Context, self Identity, principals []keyedPrincipal) {
	start := l.client.now()
	next := make(chan keyedPrincipal)
	var workers sync.WaitGroup
	for range min(len(principals), maxWaiting) {
		workers.Go(func() {
			for p := range next {
				l.lookUpOne(ctx, self, p)
			}
		})
	}
	for _, p := range principals {
		select {
		case next <- p:
		case <-ctx.Done():
			l.answer(p, unknown(awsapi.ReasonTimeout), start)
		}
	}
	close(next)
	workers.Wait()
}

// lookUpOne looks up a principal and stores the answer. After a panic the answer is Unknown. lookUpOne recovers the panic, because it
// runs in a goroutine in which a panic would end the process.
func (l *lookup) lookUpOne(ctx context.Context, self Identity, p keyedPrincipal) {
	defer func() {
		if v := recover(); v != nil {
			problem := awsapi.NewPanicError(v)
			l.set(p, unknown(problem.Public()))
			l.client.logProblem(ctx, p.Account, problem)
		}
	}()
	start := l.client.now()
	l.answer(p, l.client.lookUp(ctx, self, p), start)
}

func (l *lookup) answer(p keyedPrincipal, answer validate.Lookup, start time.Time) {
	l.client.recorder.LookedUp(string(answer.Existence), l.client.now().Sub(start))
	l.set(p, answer)
}

func (l *lookup) set(p keyedPrincipal, answer validate.Lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[p.key] = answer
}

// lookUp looks up a principal. A principal is Missing only after two calls that did not find it.
func (c *Client) lookUp(ctx context.Context, self Identity, p keyedPrincipal) validate.Lookup {
	key := p.key
	first := c.getShared(ctx, self, p, time.Time{})
	if answer, ok := c.answerOf(ctx, self, p, first); ok {
		return answer
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < c.delay+minSecondCallTime {
		// There is no time for a second call. But an earlier lookup may have made the first call.
		if before := c.cache.notFound(key).firstAnswered; before.IsZero() || first.began.Sub(before) < c.delay {
			return unknown(reasonNotFoundOnce)
		}
		if problem := c.confirmAccount(ctx, self, p.ARN, first.began); problem != nil {
			return c.unknown(ctx, p, problem)
		}
		return c.cache.storeMissing(key, first.arn)
	}
	between, cancel := context.WithTimeout(ctx, c.delay)
	defer cancel()
	if problem := c.confirmAccount(ctx, self, p.ARN, first.began); problem != nil {
		return c.unknown(ctx, p, problem)
	}
	exists, replacement := c.searchList(between, self, p.ARN, first)
	if exists {
		return c.cache.storeExists(key)
	}
	<-between.Done()
	if ctx.Err() != nil {
		return unknown(reasonNotFoundOnce)
	}
	second := c.getShared(ctx, self, p, first.ended.Add(c.delay))
	if answer, ok := c.answerOf(ctx, self, p, second); ok {
		return answer
	}
	if second.arn != "" {
		replacement = second.arn
	}
	return c.cache.storeMissing(key, replacement)
}

// answerOf returns the answer that follows from the result s of one call. It returns false if the call did not find the
// principal.
func (c *Client) answerOf(ctx context.Context, self Identity, p keyedPrincipal, s getResult) (validate.Lookup, bool) {
	switch {
	case s.problem != nil && s.problem.Reason == awsapi.ReasonInvalidResponse: // IAM may have returned the role with this name in another account
		if failed := c.confirmAccount(ctx, self, p.ARN, s.began); failed != nil && failed.Reason == reasonAccountChanged {
			return c.unknown(ctx, p, failed), true
		}
		return c.unknown(ctx, p, s.problem), true
	case s.problem != nil:
		return c.unknown(ctx, p, s.problem), true
	case s.matches(p.ARN):
		return c.cache.storeExists(p.key), true
	}
	return validate.Lookup{}, false
}

func (c *Client) unknown(ctx context.Context, p keyedPrincipal, problem *awsapi.Error) validate.Lookup {
	c.logProblem(ctx, p.Account, problem)
	return unknown(problem.Public())
}

func unknown(reason string) validate.Lookup {
	return validate.Lookup{Existence: validate.Unknown, Reason: reason}
}

// getShared returns the result of a call of IAM for a principal. The result may come from the call of a concurrent lookup or from the
// cache. notBefore excludes older results: a call that did not find the principal counts only if it began at notBefore or later.
func (c *Client) getShared(ctx context.Context, self Identity, p keyedPrincipal, notBefore time.Time) getResult {
	key := p.key
	cached := func() (getResult, bool) {
		if answer, ok := c.cache.answer(key); ok && answer.Existence == validate.Exists {
			return getResult{arn: p.String()}, true
		}
		last := c.cache.notFound(key).lastBegan
		return getResult{began: last}, !notBefore.IsZero() && !last.IsZero() && !last.Before(notBefore)
	}
	fetch := func(ctx context.Context) getResult {
		// Another lookup may have stored its result meanwhile.
		if s, ok := cached(); ok {
			return s
		}
		s := c.get(ctx, c.service(self, p.Account), p.ARN)
		switch {
		case s.problem != nil:
		case s.matches(p.ARN):
			c.cache.storeExists(key)
		default:
			c.cache.storeNotFound(key, s.began, s.ended)
		}
		return s
	}
	if ctx.Err() != nil {
		return getResult{problem: &awsapi.Error{Reason: awsapi.ReasonTimeout}}
	}
	s, problem := c.gets.do(ctx, key, fetch)
	if problem == nil && s.problem == nil && !s.matches(p.ARN) && s.began.Before(notBefore) {
		s, problem = c.gets.do(ctx, key, fetch) // the shared call was the first call of another lookup
	}
	if problem != nil {
		return getResult{problem: problem}
	}
	return s
}
