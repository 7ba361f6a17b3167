// Package monitor watches the stored aws-auth. It evaluates each version, records metrics, writes Events, and appends the versions to
// the history. Package admission receives the changes that clients request. Package monitor receives the versions that the API server
// stored, so it also finds the changes that bypassed the webhook.
//
// Every replica observes every version. Only the leader writes the history, counts bypasses and writes Events. The other replicas
// keep the versions and bypasses for some minutes, because one of these replicas may become the leader.
package monitor

import (
	"context"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
)

const (
	// checkEvery is the period in which the monitor checks whether the watch works.
	checkEvery = 10 * time.Second
	// UnknownAfter is how long the watch must be interrupted until the stored version counts as unknown.
	UnknownAfter = 10 * time.Minute
)

// Monitor observes the stored aws-auth in one replica.
type Monitor struct {
	o     Options
	log   *slog.Logger
	watch *kube.Watch[corev1.ConfigMap]
	wake  chan struct{}

	mu         sync.Mutex
	resumed    []kube.Change[corev1.ConfigMap] // the versions that resume read; nil after the first change from the watch
	observed   bool                            // the monitor has observed a version
	stored     *corev1.ConfigMap               // the last observed version; nil if aws-auth does not exist
	hash       string                          // the hash of stored; empty if aws-auth does not exist
	good       *corev1.ConfigMap               // the last good version; see compare
	unknown    bool                            // the watch has been interrupted for UnknownAfter
	last       *baseline                       // of the last evaluation
	known      *baseline                       // of the last evaluation with known access entries; nil before the first such evaluation
	unreported []bypass                        // bypasses that this process observed while it was not the leader

	panicLogsMu sync.Mutex
	panicLogs   map[string]*kube.Throttle // by the name of the task
	onlyAWSAuth kube.Throttle             // throttles the log line about principals without an access entry
}

// New returns a Monitor. It observes nothing until it runs.
func New(o Options) (*Monitor, error) {
	m := &Monitor{o: o, log: o.Logger, wake: make(chan struct{}, 1), last: new(baseline), panicLogs: make(map[string]*kube.Throttle)}
	var err error
	if m.watch, err = kube.NewWatch(o.ListerWatcher, "kube-system/aws-auth", m.changed, o.Logger, o.Now); err != nil {
		return nil, err
	}
	o.Election.OnWon(m.wakeUp)
	return m, nil
}

func (m *Monitor) wakeUp() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Run watches aws-auth and looks up its principals until the context ends. It always returns nil.
func (m *Monitor) Run(ctx context.Context) error {
	m.resume(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { _ = m.watch.Run(ctx) }) // Run always returns nil
	running.Go(func() { m.lookUp(ctx) })
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			m.checkWatch()
		case <-m.wake:
			m.reportEarlier(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

// Reconfigured evaluates the stored version again, with the present configuration. The caller calls it after a change of the
// configuration.
func (m *Monitor) Reconfigured() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record("")
	}
}

// AccessEntriesRead evaluates the stored version again, and reports access that was lost by a change of access entries. The caller calls
// it after each read of the cluster's access entries.
func (m *Monitor) AccessEntriesRead() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed {
		m.record(kube.AccessEntryLost)
	}
}

// checkWatch updates the metrics if the stored version has become unknown, or has become known again.
func (m *Monitor) checkWatch() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.observed && m.unknown != m.isUnknown() {
		m.record("")
	}
}

// isUnknown reports whether the watch has been interrupted for UnknownAfter.
func (m *Monitor) isUnknown() bool {
	lost := m.watch.Lost()
	return !lost.IsZero() && m.o.Now().Sub(lost) >= UnknownAfter
}

// changed handles a change from the watch. The first change may be the version with which the resumed versions end. In this case changed
// observes all resumed versions in their order. Otherwise it observes only the change.
func (m *Monitor) changed(c kube.Change[corev1.ConfigMap]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.observed && m.follows(c) {
		for _, earlier := range m.resumed {
			m.observe(earlier)
		}
	} else {
		m.observe(c)
	}
	m.resumed = nil
}

// observe handles one version: it compares the version with the last good one, passes it to the other components, adds it to the history
// and records metrics. The caller holds the lock.
func (m *Monitor) observe(c kube.Change[corev1.ConfigMap]) {
	before, first, now := m.stored, !m.observed, m.o.Now()
	hash := ""
	if c.Object != nil {
		hash = history.Hash(c.Object.Data, c.Object.BinaryData)
		m.o.Events.SetUID(c.Object.UID)
	}
	same := !first && hash == m.hash
	m.observed, m.stored, m.hash = true, c.Object, hash
	o := restore.Observation{Stored: c.Object, Version: c.Version, Manager: kube.Manager(before, c.Object), Time: now}
	_ = m.recoverPanic("compare", func() error {
		m.compare(&o, c.Gap)
		return nil
	})
	m.o.Restorer.Observe(o)
	m.o.Enforcement.Stored(c.Object)
	m.o.Replaced.Observe(kube.Object(c.Object), now)
	if !same {
		m.addVersion(c, before, &o)
	}
	var loss kube.Reason
	if !first && !same {
		loss = kube.ProtectedPrincipalLost
	}
	m.record(loss)
}

// compare compares a version with the last good version, and stores the result in o. If the version takes no access away, it becomes the
// last good version. The same is true if the guard treats the loss as intended.
//
// gap means that the monitor may have missed versions before this one. Such a version always becomes the last good version.
func (m *Monitor) compare(o *restore.Observation, gap bool) {
	if o.Good = m.good; gap {
		o.Good = nil
	}
	o.Comparison = restore.Compare(o.Good, o.Stored, o.Manager, m.o.Policy(), o.Time)
	if o.Comparison.Intended != "" {
		m.log.Warn("a change of aws-auth took access away, and the guard treats this as intended", "reason", o.Comparison.Intended, "lost", o.Comparison.Lost, "resource_version", o.Version)
		o.Comparison.Lost = nil
	}
	if len(o.Comparison.Lost) == 0 {
		m.good = o.Stored
	}
}
