package iam

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const (
	// maxWaiting bounds the principals of one lookup that are in work at a time. It is more than
	// maxCalls, because each that is missing waits a second for its second look.
	maxWaiting = 64
	// secondCall is the time that must be left for the second call.
	secondCall = 100 * time.Millisecond
)

// Lookup says of roles and users whether they exist. The context's deadline is the whole budget: what
// is not known by then is Unknown, and so are principals beyond the Limits. It does not fail. Its calls end within
// 15 s, also when it has returned. STS sessions and federated users are not in the answer: nothing can be asked
// about them.
func (c *Client) Lookup(ctx context.Context, principals []awsauth.ARN) validate.IAM {
	l := lookup{client: c, answers: make(map[string]validate.Lookup, len(principals))}
	for _, p := range principals {
		if p.Service == "iam" {
			l.principals = append(l.principals, named{p, awsauth.PrincipalKey(p.String())})
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

// named is a principal with its awsauth.PrincipalKey.
type named struct {
	awsauth.ARN

	key string
}

// lookup is one call of [Client.Lookup].
type lookup struct {
	client     *Client
	principals []named

	mu      sync.Mutex
	answers map[string]validate.Lookup // by key
}

func (l *lookup) run(ctx context.Context) {
	c, start := l.client, l.client.now()
	self, problem := c.identity(ctx)
	if problem != nil {
		c.logProblem(ctx, "", problem)
	}
	var ask []named
	for _, p := range l.principals {
		if _, ok := l.answers[p.key]; ok {
			continue
		}
		answer, ok := l.settle(ctx, p, self, problem == nil)
		switch {
		case !ok && problem != nil:
			l.answer(p, unknown(problem.why()), start)
		case !ok:
			l.answers[p.key] = answer // so that it is asked once
			ask = append(ask, p)
		default:
			l.answers[p.key] = answer
		}
	}
	l.ask(ctx, self, l.limit(ask))
}

// limit returns the principals that the limits allow to ask for, and answers Unknown for the others.
func (l *lookup) limit(principals []named) (allowed []named) {
	limits, unasked := l.client.limits, 0
	for i, p := range principals {
		switch {
		case limits.PerLookup > 0 && i >= limits.PerLookup:
			l.set(p, unknown(reasonTooMany))
			unasked++
		case !l.client.limiter.AllowN(l.client.now(), 1):
			l.set(p, unknown(reasonTooOften))
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

// settle answers what needs no call. self is what it is known to be.
func (l *lookup) settle(ctx context.Context, p named, self Identity, known bool) (validate.Lookup, bool) {
	c := l.client
	switch {
	case known && p.Partition != self.Partition:
		return unknown(reasonForeign), true
	case p.Resource == "root":
		return validate.Lookup{Existence: validate.Exists}, true
	case !known:
		return validate.Lookup{}, false
	case c.service(self, p.Account) == nil:
		if c.accounts.Allow(p.Account) {
			c.log.LogAttrs(ctx, slog.LevelInfo, "an account cannot be asked for its principals: iam.accounts has no role for it", slog.String("account", p.Account))
		}
		return unknown(noAccess(p.Account)), true
	}
	answer, ok := c.cache.answer(p.key)
	if ok {
		c.recorder.CacheHit()
	}
	return answer, ok
}

// ask asks for the principals, some at a time.
func (l *lookup) ask(ctx context.Context, self Identity, principals []named) {
	start := l.client.now()
	next := make(chan named)
	var workers sync.WaitGroup
	for range min(len(principals), maxWaiting) {
		workers.Go(func() {
			for p := range next {
				l.askOne(ctx, self, p)
			}
		})
	}
	for _, p := range principals {
		select {
		case next <- p:
		case <-ctx.Done():
			l.answer(p, unknown(reasonTimeout), start)
		}
	}
	close(next)
	workers.Wait()
}

// askOne asks for a principal. Nobody else would catch a panic there.
func (l *lookup) askOne(ctx context.Context, self Identity, p named) {
	defer func() {
		if v := recover(); v != nil {
			problem := panicked(v)
			l.set(p, unknown(problem.why()))
			l.client.logProblem(ctx, p.Account, problem)
		}
	}()
	start := l.client.now()
	l.answer(p, l.client.ask(ctx, self, p), start)
}

func (l *lookup) answer(p named, answer validate.Lookup, start time.Time) {
	l.client.recorder.LookedUp(string(answer.Existence), l.client.now().Sub(start))
	l.set(p, answer)
}

func (l *lookup) set(p named, answer validate.Lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers[p.key] = answer
}

// ask looks for the principal, and where it is not found for a second time: Missing is certain.
func (c *Client) ask(ctx context.Context, self Identity, p named) validate.Lookup {
	key := p.key
	first := c.look(ctx, self, p, time.Time{})
	if answer, ok := c.judge(ctx, self, p, first); ok {
		return answer
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < c.delay+secondCall {
		// An earlier review may have looked first.
		if before := c.cache.absence(key).firstAnswered; before.IsZero() || first.began.Sub(before) < c.delay {
			return unknown(reasonOnce)
		}
		if problem := c.confirm(ctx, self, p.ARN, first.began); problem != nil {
			return c.unknown(ctx, p, problem)
		}
		return c.cache.keepMissing(key, first.arn)
	}
	between, cancel := context.WithTimeout(ctx, c.delay)
	defer cancel()
	if problem := c.confirm(ctx, self, p.ARN, first.began); problem != nil {
		return c.unknown(ctx, p, problem)
	}
	same, instead := c.searchList(between, self, p.ARN, first)
	if same {
		return c.cache.keepExisting(key)
	}
	<-between.Done()
	if ctx.Err() != nil {
		return unknown(reasonOnce)
	}
	second := c.look(ctx, self, p, first.ended.Add(c.delay))
	if answer, ok := c.judge(ctx, self, p, second); ok {
		return answer
	}
	if second.arn != "" {
		instead = second.arn
	}
	return c.cache.keepMissing(key, instead)
}

// judge answers what one look is enough for.
func (c *Client) judge(ctx context.Context, self Identity, p named, s sighting) (validate.Lookup, bool) {
	switch {
	case s.problem != nil && s.problem.reason == reasonGarbage: // also the role of this name in another account
		if failed := c.confirm(ctx, self, p.ARN, s.began); failed != nil && failed.reason == reasonChanged {
			return c.unknown(ctx, p, failed), true
		}
		return c.unknown(ctx, p, s.problem), true
	case s.problem != nil:
		return c.unknown(ctx, p, s.problem), true
	case s.is(p.ARN):
		return c.cache.keepExisting(p.key), true
	}
	return validate.Lookup{}, false
}

func (c *Client) unknown(ctx context.Context, p named, problem *problem) validate.Lookup {
	c.logProblem(ctx, p.Account, problem)
	return unknown(problem.why())
}

func unknown(reason string) validate.Lookup {
	return validate.Lookup{Existence: validate.Unknown, Reason: reason}
}

// look calls for a principal, or takes part in the call of somebody else. Where notBefore is given, a
// look that did not find it and began earlier does not count.
func (c *Client) look(ctx context.Context, self Identity, p named, notBefore time.Time) sighting {
	key := p.key
	remembered := func() (sighting, bool) {
		if answer, ok := c.cache.answer(key); ok && answer.Existence == validate.Exists {
			return sighting{arn: p.String()}, true
		}
		last := c.cache.absence(key).lastBegan
		return sighting{began: last}, !notBefore.IsZero() && !last.IsZero() && !last.Before(notBefore)
	}
	fetch := func(ctx context.Context) sighting {
		// Another caller's call may have ended since this one read the cache.
		if s, ok := remembered(); ok {
			return s
		}
		s := c.find(ctx, c.service(self, p.Account), p.ARN)
		switch {
		case s.problem != nil:
		case s.is(p.ARN):
			c.cache.keepExisting(key)
		default:
			c.cache.keepAbsent(key, s.began, s.ended)
		}
		return s
	}
	if ctx.Err() != nil {
		return sighting{problem: &problem{reason: reasonTimeout}}
	}
	s, problem := c.looks.do(ctx, key, fetch)
	if problem == nil && s.problem == nil && !s.is(p.ARN) && s.began.Before(notBefore) {
		s, problem = c.looks.do(ctx, key, fetch) // that was the first look of somebody else
	}
	if problem != nil {
		return sighting{problem: problem}
	}
	return s
}
