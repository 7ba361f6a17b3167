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
	// maxWaiting limits the principals that one Lookup looks up concurrently. It is more than maxCalls, because the lookup of a
	// missing principal makes no call while it waits a second for the second call.
	maxWaiting = 64
	// minSecondCallTime is the minimum time that must be left for the second call.
	minSecondCallTime = 100 * time.Millisecond
)

// Lookup returns whether roles and users exist. The context's deadline is the budget: a principal without a result by then is Unknown,
// and so are principals beyond the Limits. Lookup never fails. A call that Lookup started can continue after Lookup has returned, but
// ends within 15 s. The result does not contain STS sessions and federated users, because AWS has no call to look them up.
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

// keyedPrincipal is a principal with its awsauth.PrincipalKey.
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
			l.answers[p.key] = answer // so that a duplicate is not looked up again
			remaining = append(remaining, p)
		default:
			l.answers[p.key] = answer
		}
	}
	l.lookUpAll(ctx, self, l.limit(remaining))
}

// limit returns the principals that the limits allow, and sets the others to Unknown.
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

// answerWithoutCall answers for principals that need no call. self is valid only if known is true.
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

// lookUpAll looks up the principals, at most maxWaiting at a time.
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

// lookUpOne looks up a principal. It recovers panics, because it runs in its own goroutine.
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
	if answer, ok := c.firstAnswer(ctx, self, p, first); ok {
		return answer
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < c.delay+minSecondCallTime {
		// An earlier review may have made the first call.
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
	if answer, ok := c.firstAnswer(ctx, self, p, second); ok {
		return answer
	}
	if second.arn != "" {
		replacement = second.arn
	}
	return c.cache.storeMissing(key, replacement)
}

// firstAnswer returns the final answer if the result s of the first call determines it, and otherwise false.
func (c *Client) firstAnswer(ctx context.Context, self Identity, p keyedPrincipal, s getResult) (validate.Lookup, bool) {
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

// getShared calls IAM for a principal, or shares the call of a concurrent lookup, or returns a cached result. If notBefore is set, the
// result is not that of a call which began earlier and did not find the principal.
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
