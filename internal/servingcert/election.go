package servingcert

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// election tells whether this process is the leader.
type election struct {
	config leaderelection.LeaderElectionConfig
	won    func() // is called at the begin of a term
	term   atomic.Pointer[term]
}

// term is one attempt to become and to stay the leader.
type term struct {
	done atomic.Pointer[<-chan struct{}] // closed when it is over; nil before it has begun
}

func newElection(o *Options, won func()) (*election, error) {
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
	e := &election{won: won, config: leaderelection.LeaderElectionConfig{
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: o.Secret.Namespace, Name: o.Secret.Name},
			Client:     client,
			LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + hex.EncodeToString(suffix)},
		},
		LeaseDuration: o.Timing.LeaseDuration, RenewDeadline: o.Timing.RenewDeadline, RetryPeriod: o.Timing.RetryPeriod,
		// Nothing is lost where the last write of this process comes after the first one of the next
		// leader: both have read what they change, and the API server refuses the later one.
		ReleaseOnCancel: true,
		Name:            o.Secret.String(),
	}}
	if _, err := e.elector(new(term)); err != nil {
		return nil, fmt.Errorf("preparing the leader's election: %w", err)
	}
	return e, nil
}

// elector takes part in the election of one term.
func (e *election) elector(t *term) (*leaderelection.LeaderElector, error) {
	config := e.config
	config.Callbacks = leaderelection.LeaderCallbacks{
		OnStartedLeading: func(leading context.Context) {
			done := leading.Done()
			t.done.Store(&done)
			e.won()
		},
		OnStoppedLeading: func() {},
	}
	return leaderelection.NewLeaderElector(config)
}

// isLeader reports whether this process is the leader, as far as it knows.
func (e *election) isLeader() bool {
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

// run takes part until the context ends.
func (e *election) run(ctx context.Context) {
	for ctx.Err() == nil {
		t := new(term)
		e.term.Store(t)
		elector, err := e.elector(t)
		if err != nil {
			return // it is nil: newElection has tried it
		}
		elector.Run(ctx)
	}
}
