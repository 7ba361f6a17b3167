package iam

import (
	"context"

	"golang.org/x/sync/singleflight"
)

// sharedTimeout ends a shared call, because callers that give up don't end it: the time that the SDK needs at
// most for all of its attempts.
const sharedTimeout = maxAttempts * requestTimeout

// shared lets concurrent callers with the same key share one call. The zero value is ready for use.
type shared[T any] struct{ group singleflight.Group }

// do joins the call in progress for key, or starts it. It returns when the call or ctx ends, whichever is first.
// A caller that gives up doesn't cancel the call for the others. The problem says that ctx ended or that the call
// panicked.
func (s *shared[T]) do(ctx context.Context, key string, call func(context.Context) T) (T, *problem) {
	results := s.group.DoChan(key, func() (value any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedTimeout)
		defer cancel()
		defer func() { // singleflight would end the process
			if v := recover(); v != nil {
				err = panicked(v)
			}
		}()
		return call(ctx), nil
	})
	var none T
	select {
	case result := <-results:
		value, ok := result.Val.(T)
		if result.Err != nil || !ok {
			return none, problemOf(result.Err)
		}
		return value, nil
	case <-ctx.Done():
		s.group.Forget(key) // the next caller asks anew instead of joining a call that may hang
		return none, &problem{reason: reasonTimeout}
	}
}
