// Package election elects one replica as the leader. A process takes part in one election, with one Lease. The leader does all
// work that only one replica may do.
package election

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// Options configures [New]. Timing is optional.
type Options struct {
	// Config is the client configuration for the API server.
	Config *rest.Config
	// Namespace and Name are the namespace and the name of the Lease. The first leader creates a missing Lease.
	Namespace, Name string
	// Logger receives the log of client-go.
	Logger *slog.Logger
	// Timing holds the periods. The zero Timing means [DefaultTiming]. Only tests set it.
	Timing Timing
}

// Timing holds the periods of the election.
type Timing struct {
	// LeaseDuration is how long the other replicas wait after the last renewal before one of them becomes the leader.
	// RenewDeadline is how long a leader tries to renew the Lease before its term ends. RetryPeriod is the time between two
	// attempts to acquire or to renew the Lease.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// RenewEvery is the time between two writes of the Lease by the leader. RenewEvery and RenewDeadline together must be less
	// than LeaseDuration, so that no other replica becomes the leader while the leader is still trying to renew.
	RenewEvery time.Duration
}

// DefaultTiming returns the Timing for production. The leader writes the Lease every 10 s. Another replica reads the Lease
// every 4 to 9 s, because client-go waits up to 2.2 times the RetryPeriod. A leader that stops releases the Lease, and another
// replica becomes the leader within 9 s. After a leader was killed, another replica becomes the leader within 34 s.
func DefaultTiming() Timing {
	return Timing{LeaseDuration: 25 * time.Second, RenewDeadline: 12 * time.Second, RetryPeriod: 4 * time.Second, RenewEvery: 10 * time.Second}
}

// Election reports whether this process is the leader.
type Election struct {
	config leaderelection.LeaderElectionConfig
	log    *slog.Logger
	term   atomic.Pointer[term]

	mu  sync.Mutex
	won []func()
}

// term is one attempt to become the leader. If the attempt succeeds, the term lasts as long as this process is the leader.
type term struct {
	done atomic.Pointer[<-chan struct{}] // a channel that closes when the term ends; nil until this process is the leader
}

// New returns an Election. This process is a candidate only while [Election.Run] runs.
func New(o Options) (*Election, error) {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming()
	}
	if o.Timing.RenewEvery+o.Timing.RenewDeadline >= o.Timing.LeaseDuration {
		return nil, fmt.Errorf("preparing the leader election: RenewEvery %s and RenewDeadline %s together must be less than LeaseDuration %s", o.Timing.RenewEvery, o.Timing.RenewDeadline, o.Timing.LeaseDuration)
	}
	client, err := coordinationv1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the Lease: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this process for the leader election: %w", err)
	}
	// The host name doesn't identify this process, because a restarted container of the pod has the same name.
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // Read returns no error
	e := &Election{log: o.Logger, config: leaderelection.LeaderElectionConfig{
		Lock: &throttledLock{
			Interface: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + hex.EncodeToString(suffix)},
			},
			every: o.Timing.RenewEvery, now: time.Now, //nolint:forbidigo // client-go uses the real clock, too
		},
		LeaseDuration: o.Timing.LeaseDuration, RenewDeadline: o.Timing.RenewDeadline, RetryPeriod: o.Timing.RetryPeriod,
		// The Lease is released while a write of this process may still be under way. This is safe: each write names the
		// version of the object that it changes. If the next leader has written first, the API server refuses the write of
		// this process.
		ReleaseOnCancel: true,
		Name:            o.Namespace + "/" + o.Name,
	}}
	if _, err := e.elector(new(term)); err != nil {
		return nil, fmt.Errorf("preparing the leader election: %w", err)
	}
	return e, nil
}

// elector returns an elector for one term.
func (e *Election) elector(t *term) (*leaderelection.LeaderElector, error) {
	config := e.config
	config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(leading context.Context) {
			done := leading.Done()
			t.done.Store(&done)
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, call := range e.won {
				call()
			}
		},
		OnStoppedLeading: func() {},
	}
	return leaderelection.NewLeaderElector(config)
}

// OnWon registers a function. The Election calls it each time this process becomes the leader. The function must not block.
func (e *Election) OnWon(call func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.won = append(e.won, call)
}

// IsLeader reports whether this process is the leader, as far as it knows. Another process may already be the leader.
// Therefore each write of a leader names the version of the object that the leader has read.
func (e *Election) IsLeader() bool {
	t := e.term.Load()
	if t == nil {
		return false
	}
	done := t.done.Load()
	if done == nil {
		return false
	}
	select {
	case <-*done:
		return false
	default:
		return true
	}
}

// Run takes part in the election until the context ends. Then it releases the Lease.
func (e *Election) Run(ctx context.Context) error {
	ctx = logr.NewContext(ctx, logr.FromSlogHandler(e.log.Handler()))
	for ctx.Err() == nil {
		t := new(term)
		e.term.Store(t)
		elector, err := e.elector(t)
		if err != nil {
			return fmt.Errorf("taking part in the leader election: %w", err) // New has checked the configuration
		}
		elector.Run(ctx)
	}
	return nil
}
