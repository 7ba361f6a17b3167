package iam

import (
	"context"

	"golang.org/x/sync/singleflight"

	"github.com/awsauth-guard/awsauth-guard/internal/awsapi"
)

// sharedTimeout limits the duration of a shared call, because the end of a caller's context doesn't cancel such a call. It
// is the sum of the time limits of all attempts.
const sharedTimeout = awsapi.MaxAttempts * awsapi.RequestTimeout

// singleFlight shares one call between concurrent callers with the same key. The zero value is ready for use.
type singleFlight[T any] struct{ group singleflight.Group }

// do joins the running call for key. If no call is running, it starts one. It returns when the call or ctx ends. The end of ctx doesn't
// cancel the call, because other callers may wait for it. The error says that ctx ended or that the call panicked.
func (s *singleFlight[T]) do(ctx context.Context, key string, call func(context.Context) T) (T, *awsapi.Error) {
	results := s.group.DoChan(key, func() (value any, err error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), sharedTimeout)
		defer cancel()
		defer func() { // a panic in singleflight would end the process
			if v := recover(); v != nil {
				err = awsapi.NewPanicError(v)
			}
		}()
		return call(ctx), nil
	})
	var none T
	select {
	case result := <-results:
		value, ok := result.Val.(T)
		if result.Err != nil || !ok {
			return none, awsapi.NewError(result.Err)
		}
		return value, nil
	case <-ctx.Done():
		s.group.Forget(key) // the next caller starts a new call instead of joining one that may hang
		return none, &awsapi.Error{Reason: awsapi.ReasonTimeout}
	}
}
