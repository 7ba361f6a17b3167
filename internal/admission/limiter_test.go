package admission_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// A source address that holds its full share waits for its own requests, and never delays another source address.
func TestLimiterSharesOutBySource(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := admission.NewLimiter(4, 2)
		one, err := l.Acquire(t.Context(), "a", 1)
		if err != nil {
			t.Fatal(err)
		}
		large, err := l.Acquire(t.Context(), "b", 9) // the limiter reduces 9 to the share
		if err != nil {
			t.Fatal(err)
		}
		two, err := l.Acquire(t.Context(), "a", 1)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Acquire(ctx, "a", 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("above the share: got %v", err)
		}
		waits := make(chan error)
		go func() {
			release, err := l.Acquire(t.Context(), "a", 1)
			if err == nil {
				release()
			}
			waits <- err
		}()
		synctest.Wait()
		large()
		third, err := l.Acquire(t.Context(), "c", 2)
		if err != nil {
			t.Errorf("a third source, while one waits for its share: %v", err)
		}
		one()
		if err := <-waits; err != nil {
			t.Errorf("after one of its weights was released: %v", err)
		}
		two()
		third()
		if n := l.Sources(); n != 0 {
			t.Errorf("%d sources are left", n)
		}
	})
}

// sendFrom sends a review from a source address. If length is positive, the request announces this length of the body.
func sendFrom(ctx context.Context, h http.Handler, source string, body io.Reader, length int64) (status int) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/?timeout=30s", body)
	r.RemoteAddr = source + ":1"
	r.Header.Set("Content-Type", jsonType)
	if length > 0 {
		r.ContentLength = length
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

// A request whose body doesn't arrive holds no slot. All such requests of a source address hold at most its share of the
// memory.
func TestBodiesThatDoNotArriveKeepNoReviewWaiting(t *testing.T) {
	t.Parallel()
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	for _, length := range []int64{100, 100_000, 7 << 20} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := admission.New(admission.Options{Concurrency: 1})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan int)
				const bodies = 300
				never, sender := io.Pipe()
				for range bodies {
					go func() { done <- sendFrom(ctx, h, "192.0.2.1", never, length) }()
				}
				synctest.Wait()
				start := time.Now()
				if status := sendFrom(t.Context(), h, "192.0.2.2", strings.NewReader(good), 0); status != http.StatusOK || time.Since(start) != 0 {
					t.Errorf("another source: got the status %d after %s", status, time.Since(start))
				}
				large := good + strings.Repeat(" ", 1<<20)
				if status := sendFrom(t.Context(), h, "192.0.2.2", strings.NewReader(large), 0); status != http.StatusOK || time.Since(start) != 0 {
					t.Errorf("a large body of another source: got the status %d after %s", status, time.Since(start))
				}
				cancel() // ends the waiting requests; the others end when their bodies break off
				sender.CloseWithError(io.ErrUnexpectedEOF)
				for range bodies {
					if status := <-done; status != http.StatusTooManyRequests && status != http.StatusBadRequest {
						t.Errorf("a body that does not arrive: got the status %d", status)
					}
				}
			})
		})
	}
}

// Half of all slots are for small reviews. Of these slots, one source address gets at most half.
func TestSourceLeavesSlotsToOthers(t *testing.T) {
	t.Parallel()
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	synctest.Test(t, func(t *testing.T) {
		evaluating := make(chan struct{})
		var hold atomic.Bool // each review that begins now keeps its slot until evaluating is closed
		hold.Store(true)
		h := admission.New(admission.Options{Concurrency: 4, Policy: func() validate.Policy {
			if hold.Load() {
				<-evaluating
			}
			return validate.Policy{}
		}})
		done := make(chan int)
		for range 10 {
			go func() { done <- sendFrom(t.Context(), h, "192.0.2.1", strings.NewReader(good), 0) }()
		}
		synctest.Wait()
		hold.Store(false)
		start := time.Now()
		if status := sendFrom(t.Context(), h, "192.0.2.2", strings.NewReader(good), 0); status != http.StatusOK || time.Since(start) != 0 {
			t.Errorf("another source: got the status %d after %s", status, time.Since(start))
		}
		close(evaluating)
		for range 10 {
			if status := <-done; status != http.StatusOK {
				t.Errorf("the first source: got the status %d", status)
			}
		}
	})
}
