// Package election elects one replica as the leader. A process takes part in one election, with one Lease, and the leader does
// all work that only one replica may do.
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
	// Namespace and Name are those of the Lease. It is created if it is missing.
	Namespace, Name string
	// Logger receives the log of client-go.
	Logger *slog.Logger
	// Timing is set by tests. The zero Timing means [DefaultTiming].
	Timing Timing
}

// Timing holds the periods of the election.
type Timing struct {
	// LeaseDuration is how long the other replicas wait after the last renewal before one of them takes over.
	// RenewDeadline is how long a leader tries to renew before it gives up. RetryPeriod is how often a replica tries to
	// acquire or to renew the Lease.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// RenewEvery is how often the leader writes the Lease. RenewEvery and RenewDeadline together must be less than
	// LeaseDuration, so that no other replica leads while the leader is still trying to renew.
	RenewEvery time.Duration
}

// DefaultTiming returns the Timing for production. The leader writes the Lease every 10 s. Another replica reads it 4 to 9 s
// after its last read, because client-go waits up to 2.2 times the RetryPeriod. A leader that stops releases the Lease and is
// replaced within these 9 s. A leader that is killed is replaced within 34 s.
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

// term is one attempt to become and to stay the leader.
type term struct {
	done atomic.Pointer[<-chan struct{}] // closed when the term ends; nil until this process leads
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
	// The name of a pod is not unique: a restarted container is another process.
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails
	e := &Election{log: o.Logger, config: leaderelection.LeaderElectionConfig{
		Lock: &throttledLock{
			Interface: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + hex.EncodeToString(suffix)},
			},
			every: o.Timing.RenewEvery, now: time.Now, //nolint:forbidigo // client-go uses the real clock too
		},
		LeaseDuration: o.Timing.LeaseDuration, RenewDeadline: o.Timing.RenewDeadline, RetryPeriod: o.Timing.RetryPeriod,
		// The last write of this process may reach the API server after the first write of the next leader. That is safe:
		// each write names the version of the object that it changes, and the API server refuses the later write.
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

// OnWon registers a function that is called each time this process becomes the leader. It must not block.
func (e *Election) OnWon(call func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.won = append(e.won, call)
}

// IsLeader reports whether this process is the leader, as far as it knows. Another process may have become the leader
// meanwhile. Therefore a leader writes only to the version of an object that it has read.
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
