package fleet_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/fleet"
)

// sleep waits for a time, or until the context ends.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Run returns the results in the order of the clusters, whatever the order in which they arrive.
func TestRunKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results, err := fleet.Run(t.Context(), 5, fleet.Options{Concurrency: 5, Timeout: time.Minute}, func(ctx context.Context, i int) (int, error) {
			return i, sleep(ctx, time.Duration(5-i)*time.Second)
		})
		want := []fleet.Result[int]{{Value: 0}, {Value: 1}, {Value: 2}, {Value: 3}, {Value: 4}}
		if diff := cmp.Diff(want, results); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// Run reads Concurrency clusters at the same time, and never more.
func TestRunReadsAtMostConcurrencyClustersAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int64
		_, err := fleet.Run(t.Context(), 40, fleet.Options{Concurrency: 7, Timeout: time.Minute}, func(ctx context.Context, _ int) (int, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				old := most.Load()
				if n <= old || most.CompareAndSwap(old, n) {
					break
				}
			}
			return 0, sleep(ctx, time.Second)
		})
		if err != nil || most.Load() != 7 {
			t.Errorf("%v, %d clusters at a time, want 7", err, most.Load())
		}
	})
}

// A run over 200 clusters, of which 20 hang, takes no longer than the documented limit. Each cluster that hangs gets a
// TimeoutError, and Run reads all other clusters.
func TestRunEndsInTime(t *testing.T) {
	for name, ignoresContext := range map[string]bool{"the reader ends with its context": false, "the reader ignores its context": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				released := make(chan struct{})
				defer close(released)
				start := time.Now()
				results, err := fleet.Run(t.Context(), 200, fleet.Options{Concurrency: 10, Timeout: 30 * time.Second}, func(ctx context.Context, i int) (int, error) {
					switch {
					case i%10 != 0:
						return i, sleep(ctx, 100*time.Millisecond)
					case ignoresContext:
						<-released
						return 0, nil
					}
					<-ctx.Done()
					return 0, fmt.Errorf("reading: %w", ctx.Err())
				})
				if err != nil {
					t.Fatal(err)
				}
				for i, r := range results {
					timeout, ok := errors.AsType[*fleet.TimeoutError](r.Err)
					if hangs := i%10 == 0; hangs != ok || !hangs && r.Value != i {
						t.Errorf("cluster %d: %v", i, r)
					} else if hangs && timeout.Limit != 30*time.Second {
						t.Errorf("cluster %d: the limit is %s", i, timeout.Limit)
					}
				}
				// A cluster that hangs takes 31 s: the time limit and one second in which the reader may return an error. All
				// clusters together take 20 times 31 s and 180 times 100 ms, and Run reads 10 at a time. The last cluster may hang.
				work := 20*31*time.Second + 180*100*time.Millisecond
				if took, limit := time.Since(start), work/10+31*time.Second; took > limit {
					t.Errorf("the run took %s, more than %s", took, limit)
				}
			})
		})
	}
}

// If the reader of one cluster panics, Run still returns the results of the others. The error doesn't contain the value of
// the panic, which can be a secret.
func TestRunContinuesAfterAPanic(t *testing.T) {
	results, err := fleet.Run(t.Context(), 2, fleet.Options{Concurrency: 2, Timeout: time.Minute}, func(_ context.Context, i int) (int, error) {
		if i == 0 {
			panic("secret")
		}
		return i, nil
	})
	if err != nil || results[0].Err == nil || strings.Contains(results[0].Err.Error(), "secret") || results[1] != (fleet.Result[int]{Value: 1}) {
		t.Errorf("%v, %v", results, err)
	}
}

// If the user interrupts the run, Run returns at once.
func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := fleet.Run(ctx, 100, fleet.Options{Concurrency: 3, Timeout: time.Hour}, func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

// Run reports the progress in each interval.
func TestRunReportsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reports []fleet.Progress
		o := fleet.Options{Concurrency: 1, Timeout: time.Minute, Interval: 5 * time.Second, Report: func(p fleet.Progress) { reports = append(reports, p) }}
		_, err := fleet.Run(t.Context(), 4, o, func(ctx context.Context, i int) (int, error) {
			if i == 1 {
				return 0, errors.New("refused")
			}
			return 0, sleep(ctx, 4*time.Second)
		})
		want := []fleet.Progress{{Total: 4, Done: 2, Failed: 1}, {Total: 4, Done: 3, Failed: 1}}
		if diff := cmp.Diff(want, reports); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

// Only the time limit of the cluster gives a TimeoutError, which wraps the error of the action that took too long. A shorter
// time limit of a request, or a connection that can't be opened in time, keeps its own error.
func TestTimeoutKeepsTheCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shorter := fmt.Errorf("opening a connection: %w", context.DeadlineExceeded)
		results, err := fleet.Run(t.Context(), 4, fleet.Options{Concurrency: 4, Timeout: 30 * time.Second}, func(ctx context.Context, i int) (int, error) {
			switch i {
			case 0:
				return 0, shorter
			case 1:
				<-ctx.Done()
				return 0, fmt.Errorf("reading clusterroles: %w", ctx.Err())
			case 2:
				<-ctx.Done()
				return 0, errors.New("eks:DescribeCluster: no answer in time") // this error doesn't wrap the error of the context
			}
			return 0, ctx.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
		const limit = "no answer within the time limit of 30s for a cluster"
		for i, want := range []string{"opening a connection: context deadline exceeded", limit + ": reading clusterroles: context deadline exceeded", limit + ": eks:DescribeCluster: no answer in time"} {
			timeout, ok := errors.AsType[*fleet.TimeoutError](results[i].Err)
			if results[i].Err.Error() != want || ok != (i > 0) || ok && timeout.Err == nil {
				t.Errorf("cluster %d: %v, want %s", i, results[i].Err, want)
			}
		}
		if results[3].Err != nil {
			t.Error(results[3].Err)
		}
	})
}
