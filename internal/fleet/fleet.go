// Package fleet reads many clusters at the same time, within limits, and compares the results.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Limits of a run. The derivation of the defaults is in docs/reference/limits.md.
const (
	// MaxClusters limits the number of clusters of one run, to limit memory.
	MaxClusters = 2000
	// MaxRegions limits the number of pairs of account and region whose clusters one run lists. A region that can't be listed counts as a
	// cluster.
	MaxRegions = MaxClusters
	// DefaultConcurrency is the number of clusters that are read at the same time, and MaxConcurrency is the highest number that a user
	// can set. terraform apply also makes 10 operations at the same time.
	DefaultConcurrency = 10
	MaxConcurrency     = 100
	// DefaultTimeout limits the time for one cluster.
	DefaultTimeout = 30 * time.Second
)

// grace is the time that a function has after its time limit to return an error, which may say for what the function waited.
const grace = time.Second

// Options limit a run and report its progress. Concurrency and Timeout must be positive.
type Options struct {
	Concurrency int           // the number of clusters that are read at the same time
	Timeout     time.Duration // the time for one cluster
	// Report receives the progress once in each Interval. If Report is nil, Run reports no progress.
	Report   func(Progress)
	Interval time.Duration
}

// Progress counts the clusters of a run.
type Progress struct {
	Total, Done int
	// Failed is the number of clusters in Done that can't be read.
	Failed int
}

// Result is the result of one cluster. Err says why it can't be read.
type Result[T any] struct {
	Value T
	Err   error
}

// TimeoutError means that a cluster gave no result within the time limit. Err names the request that the program waited for. It is nil if the
// request is not known.
type TimeoutError struct {
	Limit time.Duration
	Err   error
}

// Error implements error.
func (e *TimeoutError) Error() string {
	if e.Err == nil {
		return e.Summary()
	}
	return e.Summary() + ": " + e.Err.Error()
}

// Summary returns the text of the error without Err.
func (e *TimeoutError) Summary() string {
	return fmt.Sprintf("no answer within the time limit of %s for a cluster", e.Limit)
}

// Unwrap returns the reason.
func (e *TimeoutError) Unwrap() error { return e.Err }

// Run calls read for the clusters 0 to n-1 and returns the results in this order. The context of each call ends after o.Timeout. If read
// doesn't return within a second after that, Run goes on to the next cluster without its result, so that a program which ignores the
// context can't stop the run. A panic in read is the error of this cluster. If ctx ends, Run returns no results, and the cause.
func Run[T any](ctx context.Context, n int, o Options, read func(ctx context.Context, i int) (T, error)) ([]Result[T], error) {
	type indexed struct {
		i int
		Result[T]
	}
	next, finished := make(chan int), make(chan indexed)
	for range min(o.Concurrency, n) {
		go func() {
			for i := range next {
				value, err := within(ctx, o.Timeout, func(ctx context.Context) (T, error) { return read(ctx, i) })
				select {
				case finished <- indexed{i, Result[T]{value, err}}:
				case <-ctx.Done():
				}
			}
		}()
	}
	go func() {
		defer close(next)
		for i := range n {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	}()

	results, progress := make([]Result[T], n), Progress{Total: n}
	var tick <-chan time.Time
	if o.Report != nil {
		ticker := time.NewTicker(o.Interval)
		defer ticker.Stop()
		tick = ticker.C
	}
	for progress.Done < n {
		select {
		case r := <-finished:
			results[r.i] = r.Result
			progress.Done++
			if r.Err != nil {
				progress.Failed++
			}
		case <-tick:
			o.Report(progress)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	return results, nil
}

// within calls read with a context that ends after limit. It returns a [TimeoutError] if read returns no result in time, or if it returns an
// error after its context has ended.
func within[T any](ctx context.Context, limit time.Duration, read func(context.Context) (T, error)) (T, error) {
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan Result[T], 1) // so that a late result doesn't block
	go func() {
		var r Result[T]
		defer func() {
			if v := recover(); v != nil { // a panic in a goroutine would end the process
				r.Err = fmt.Errorf("the program failed while it read the cluster: panic of %T", v)
			}
			done <- r
		}()
		r.Value, r.Err = read(timed)
	}()
	var r Result[T]
	select {
	case r = <-done:
	case <-timed.Done():
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case r = <-done:
		case <-late.C:
			r.Err = &TimeoutError{Limit: limit}
		}
	}
	// The errors of some libraries don't say that the context has ended.
	if _, is := errors.AsType[*TimeoutError](r.Err); r.Err != nil && !is && ctx.Err() == nil && timed.Err() != nil {
		r.Err = &TimeoutError{limit, r.Err}
	}
	return r.Value, r.Err
}
