// Package election tells which replica is the leader. A process has one election, by one Lease, whatever
// it does as the leader.
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

// Options are what [New] needs; only Timing may be left out.
type Options struct {
	// Config is how the API server is reached.
	Config *rest.Config
	// Namespace and Name are those of the Lease. It is made where it is not there.
	Namespace, Name string
	// Logger is told what client-go logs.
	Logger *slog.Logger
	// Timing is for tests; the zero Timing is [DefaultTiming].
	Timing Timing
}

// Timing is how long things last.
type Timing struct {
	// LeaseDuration is how long the others wait for a leader that is silent, RenewDeadline how long a
	// leader tries to renew before it gives up, and RetryPeriod how often the others look.
	LeaseDuration, RenewDeadline, RetryPeriod time.Duration
	// RenewEvery is how often the leader writes the Lease. With RenewDeadline it is less than LeaseDuration,
	// so that nobody else leads while the leader still tries.
	RenewEvery time.Duration
}

// DefaultTiming is the Timing of a webhook in use: the leader writes the Lease every 10 s, and another replica reads
// it 4 to 9 s after it has read it last (client-go waits up to 2.2 times the RetryPeriod). A leader that ends hands over within
// these 9 s; one that vanishes is replaced within 34 s.
func DefaultTiming() Timing {
	return Timing{LeaseDuration: 25 * time.Second, RenewDeadline: 12 * time.Second, RetryPeriod: 4 * time.Second, RenewEvery: 10 * time.Second}
}

// Election tells whether this process is the leader.
type Election struct {
	config leaderelection.LeaderElectionConfig
	log    *slog.Logger
	term   atomic.Pointer[term]

	mu  sync.Mutex
	won []func()
}

// term is one attempt to become and to stay the leader.
type term struct {
	done atomic.Pointer[<-chan struct{}] // closed when it is over; nil before it has begun
}

// New returns an Election in which this process takes part once it runs.
func New(o Options) (*Election, error) {
	if o.Timing == (Timing{}) {
		o.Timing = DefaultTiming()
	}
	if o.Timing.RenewEvery+o.Timing.RenewDeadline >= o.Timing.LeaseDuration {
		return nil, fmt.Errorf("preparing the leader's election: renewing every %s and for %s takes as long as the Lease lasts, %s", o.Timing.RenewEvery, o.Timing.RenewDeadline, o.Timing.LeaseDuration)
	}
	client, err := coordinationv1.NewForConfig(o.Config)
	if err != nil {
		return nil, fmt.Errorf("making a client for the Lease: %w", err)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this process for the leader's election: %w", err)
	}
	// The name of a pod is not enough: a container that was restarted is another process.
	suffix := make([]byte, 4)
	_, _ = rand.Read(suffix) // never fails
	e := &Election{log: o.Logger, config: leaderelection.LeaderElectionConfig{
		Lock: &rarely{
			Interface: &resourcelock.LeaseLock{
				LeaseMeta:  metav1.ObjectMeta{Namespace: o.Namespace, Name: o.Name},
				Client:     client,
				LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + hex.EncodeToString(suffix)},
			},
			every: o.Timing.RenewEvery, now: time.Now, //nolint:forbidigo // client-go has the real clock, too
		},
		LeaseDuration: o.Timing.LeaseDuration, RenewDeadline: o.Timing.RenewDeadline, RetryPeriod: o.Timing.RetryPeriod,
		// Nothing is lost where the last write of this process comes after the first one of the next
		// leader: both have read what they change, and the API server refuses the later one.
		ReleaseOnCancel: true,
		Name:            o.Namespace + "/" + o.Name,
	}}
	if _, err := e.elector(new(term)); err != nil {
		return nil, fmt.Errorf("preparing the leader's election: %w", err)
	}
	return e, nil
}

// elector takes part in the election of one term.
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

// OnWon has a function called whenever this process has become the leader. It must not block.
func (e *Election) OnWon(call func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.won = append(e.won, call)
}

// IsLeader reports whether this process is the leader, as far as it knows. Another one may have become
// the leader meanwhile: what a leader writes, it writes to the version that it has read.
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

// Run takes part until the context ends, and hands over then.
func (e *Election) Run(ctx context.Context) error {
	ctx = logr.NewContext(ctx, logr.FromSlogHandler(e.log.Handler()))
	for ctx.Err() == nil {
		t := new(term)
		e.term.Store(t)
		elector, err := e.elector(t)
		if err != nil {
			return fmt.Errorf("taking part in the leader's election: %w", err) // New has tried it
		}
		elector.Run(ctx)
	}
	return nil
}
