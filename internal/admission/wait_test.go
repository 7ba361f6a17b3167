package admission_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const jsonType = "application/json"

// shared is a Recorder whose method Reviewed several goroutines can call.
type shared struct {
	mu sync.Mutex
	counts
}

func (s *shared) Reviewed(operation, verdict string, dryRun bool, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Reviewed(operation, verdict, dryRun, took)
}

// A review waits if no slot is free. The guard refuses it after four fifths of its timeout, and after 5 s at the latest. The
// limit of 5 s exists because the caller chooses the timeout.
func TestReviewWithoutFreeSlotIsRefused(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[string]time.Duration{
		"timeout=5s": 4 * time.Second, "timeout=0s": 5 * time.Second, "timeout=x": 5 * time.Second, "": 5 * time.Second,
		"timeout=-1s": 5 * time.Second, "timeout=1h": 5 * time.Second,
	} {
		t.Run(timeout, func(t *testing.T) {
			t.Parallel()
			good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
			synctest.Test(t, func(t *testing.T) {
				recorded := &shared{}
				evaluating := make(chan struct{})
				var reviews atomic.Int32
				h := admission.New(admission.Options{Recorder: recorded, Concurrency: 1, Policy: func() validate.Policy {
					if reviews.Add(1) == 1 {
						<-evaluating
					}
					return validate.Policy{}
				}})
				first := make(chan int)
				go func() {
					_, status := send(t, h, "/", jsonType, strings.NewReader(good))
					first <- status
				}()
				synctest.Wait() // the first review holds the slot

				start := time.Now()
				answer, status := send(t, h, "/?"+timeout, jsonType, strings.NewReader(good))
				if status != 429 || answer.Response.Allowed || answer.Response.Result.Code != 429 || time.Since(start) != want {
					t.Errorf("got the status %d after %s, want 429 after %s: %+v", status, time.Since(start), want, answer.Response)
				}
				// The guard evaluates a third review after the first review ends.
				go func() { close(evaluating) }()
				if _, status := send(t, h, "/", jsonType, strings.NewReader(good)); status != 200 {
					t.Errorf("the third: got the status %d", status)
				}
				if status := <-first; status != 200 {
					t.Errorf("the first: got the status %d", status)
				}
				if !slices.Contains(recorded.events, "reviewed  error dry=false "+want.String()) || len(recorded.events) != 3 {
					t.Errorf("metrics: %q", recorded.events)
				}
			})
		})
	}
}

// The guard stops reading a body that arrives slowly, and answers the next review.
func TestSlowBodyIsRefused(t *testing.T) {
	t.Parallel()
	recorded := &shared{}
	server := httptest.NewServer(admission.New(admission.Options{Recorder: recorded, Concurrency: 1}))
	defer server.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "POST /?timeout=100ms HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000\r\n\r\n{", jsonType); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !bytes.HasPrefix(text, []byte("HTTP/1.1 408 ")) || !bytes.Contains(text, []byte(`"allowed":false`)) {
		t.Errorf("the slow sender gets %q, %v", text, err)
	}
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	// The same connection serves the second review, because readBody has removed the read deadline.
	for range 2 {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/?timeout=10s", strings.NewReader(good))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", jsonType)
		response, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("the next review: got the status %d, %v", response.StatusCode, err)
		}
		response.Body.Close()
	}
}

// The guard refuses a request whose body breaks off, and frees its slot.
func TestIncompleteBodyFreesItsSlot(t *testing.T) {
	t.Parallel()
	h := admission.New(admission.Options{Concurrency: 1})
	broken := io.MultiReader(strings.NewReader(`{"kind":`), iotestErr{})
	if _, status := send(t, h, "/", jsonType, broken); status != 400 {
		t.Errorf("got the status %d", status)
	}
	good := asReview(t, request("UPDATE", configMap(admin), configMap(admin+team)))
	if _, status := send(t, h, "/", jsonType, io.MultiReader(strings.NewReader(good[:10]), strings.NewReader(good[10:]))); status != 200 {
		t.Errorf("the next review: got the status %d", status)
	}
}

type iotestErr struct{}

func (iotestErr) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// The default number of reviews that the guard evaluates at the same time depends on the number of CPUs. It is at least two and
// at most eight.
func TestDefaultConcurrency(t *testing.T) {
	t.Parallel()
	if n := admission.DefaultConcurrency(); n < 2 || n > 8 {
		t.Errorf("got %d", n)
	}
}
