package election_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/election"
)

// leases imitates an API server with one Lease. It refuses a write that is not based on the present version.
type leases struct {
	mu      sync.Mutex
	lease   *coordinationv1.Lease
	version int
}

// RoundTrip answers a request in this process, because the fake clock of a test stops while the test waits for a
// network.
func (l *leases) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	l.ServeHTTP(w, r)
	return w.Result(), nil
}

func (l *leases) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var sent coordinationv1.Lease
	if r.Method != http.MethodGet {
		_ = json.NewDecoder(r.Body).Decode(&sent)
	}
	switch {
	case r.Method == http.MethodPost && l.lease == nil,
		r.Method == http.MethodPut && l.lease != nil && sent.ResourceVersion == l.lease.ResourceVersion:
		l.version++
		sent.ResourceVersion = strconv.Itoa(l.version)
		l.lease = &sent
	case r.Method == http.MethodGet && l.lease != nil:
	case r.Method == http.MethodGet:
		answer(w, http.StatusNotFound, metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonNotFound, Code: http.StatusNotFound})
		return
	default:
		answer(w, http.StatusConflict, metav1.Status{Status: metav1.StatusFailure, Reason: metav1.StatusReasonConflict, Code: http.StatusConflict})
		return
	}
	answer(w, http.StatusOK, l.lease)
}

func answer(w http.ResponseWriter, code int, object any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(object) //nolint:errchkjson // the client notices
}

func (l *leases) holder() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lease == nil || l.lease.Spec.HolderIdentity == nil {
		return ""
	}
	return *l.lease.Spec.HolderIdentity
}

func (l *leases) writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version
}

// candidate is one process that takes part in the election.
type candidate struct {
	*election.Election

	won  chan struct{}
	stop func()
}

func join(t *testing.T, server *leases) *candidate {
	t.Helper()
	e, err := election.New(election.Options{
		Config:    &rest.Config{Host: "http://server", Transport: server, QPS: -1, ContentConfig: rest.ContentConfig{ContentType: "application/json"}},
		Namespace: "guard", Name: "lease", Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &candidate{Election: e, won: make(chan struct{}, 10)}
	e.OnWon(func() { c.won <- struct{}{} })
	if e.IsLeader() {
		t.Error("the process leads before it runs")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	c.stop = func() { cancel(); running.Wait() }
	t.Cleanup(c.stop)
	return c
}

// One of two replicas leads. When it stops, it releases the Lease, so the other replica leads within 9 s.
func TestExactlyOneReplicaLeads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &leases{}
		first := join(t, server)
		<-first.won
		second := join(t, server)
		synctest.Wait()
		if !first.IsLeader() || second.IsLeader() {
			t.Fatal("the first process is not the only leader")
		}
		holder := server.holder()
		first.stop()
		if first.IsLeader() {
			t.Error("the first process leads after it has stopped")
		}
		begun := time.Now()
		<-second.won
		if !second.IsLeader() || server.holder() == holder {
			t.Error("the second process does not lead under its own name")
		}
		if took := time.Since(begun); took > 9*time.Second {
			t.Errorf("the Lease was not released: the takeover took %s", took)
		}
	})
}

// The leader writes the Lease once in each period RenewEvery, and stays the leader between the writes.
func TestLeaderRenewsEveryRenewEvery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &leases{}
		first := join(t, server)
		<-first.won
		second := join(t, server)
		acquired := server.writes()
		const minutes = 10
		for range minutes * 60 {
			time.Sleep(time.Second)
			if !first.IsLeader() || second.IsLeader() {
				t.Fatal("the first process is not the only leader")
			}
		}
		// The leader checks every RetryPeriod whether RenewEvery has passed.
		timing := election.DefaultTiming()
		most, least := int(minutes*time.Minute/timing.RenewEvery), int(minutes*time.Minute/(timing.RenewEvery+timing.RetryPeriod))
		if renewed := server.writes() - acquired; renewed < least || renewed > most {
			t.Errorf("renewed %d times in %d minutes, want %d to %d", renewed, minutes, least, most)
		}
	})
}

func TestNewRefusesInvalidTiming(t *testing.T) {
	t.Parallel()
	late, often := election.DefaultTiming(), election.DefaultTiming()
	late.RenewEvery = late.LeaseDuration - late.RenewDeadline
	often.RetryPeriod = often.RenewDeadline
	for _, wrong := range []election.Timing{late, often} {
		_, err := election.New(election.Options{Config: &rest.Config{}, Timing: wrong, Logger: slog.New(slog.DiscardHandler)})
		if err == nil || !strings.Contains(err.Error(), "leader election") {
			t.Errorf("%+v: got %v", wrong, err)
		}
	}
}
