package eks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// staleAfter is the age after which the result of a read is too old, in refresh periods.
const staleAfter = 3

// retryAfter is the longest time between a failed read and the next one.
const retryAfter = time.Minute

// Settings say which cluster the snapshot reads, and how often.
type Settings struct {
	Enabled bool
	Cluster string
	Region  string // empty means the region of the AWS configuration
	Refresh time.Duration
}

// Recorder records metrics.
type Recorder interface {
	// EKSRead counts a read of the cluster. err is nil if the read succeeded.
	EKSRead(err error, now time.Time)
	// EKSKnown records whether Snapshot.Cluster currently returns the access of the cluster.
	EKSKnown(known bool)
	// EKSUnused records that the settings don't enable the snapshot.
	EKSUnused()
}

// SnapshotOptions configure [NewSnapshot]. All fields are required.
type SnapshotOptions struct {
	// Settings returns the current settings. They may change between calls.
	Settings func() Settings
	// OwnCA returns the certificates with which the guard trusts its API server, in PEM. The snapshot doesn't read a cluster with another
	// CA. If OwnCA returns an error, the snapshot reads no cluster, because it can't recognize a wrong one.
	OwnCA func() ([]byte, error)
	// Read receives the cluster after each successful read.
	Read     func(*access.Cluster)
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Snapshot keeps the authentication mode and the access entries of the cluster. Only its method Run calls EKS.
type Snapshot struct {
	o      SnapshotOptions
	wake   chan struct{}
	errors kube.Throttle

	mu       sync.Mutex
	settings Settings
	cluster  *access.Cluster // the result of the last successful read; nil before the first one
	read     time.Time       // when the last successful read began
	reason   error           // the error of the last read; nil if it succeeded
}

// NewSnapshot returns a Snapshot that is empty until Run has read the cluster.
func NewSnapshot(o SnapshotOptions) *Snapshot {
	return &Snapshot{o: o, wake: make(chan struct{}, 1), settings: o.Settings()}
}

var errNotRead = errors.New("the guard has just started and has not read them yet")

// Cluster returns the mode and the access entries of the last successful read. It returns an error if there was no such
// read, or if the read began more than three refresh periods ago. If the error has a method Public, this method returns
// a text for users who can't see the log. If the settings don't enable the snapshot, Cluster returns nil and no error.
func (s *Snapshot) Cluster() (*access.Cluster, error) {
	settings, now := s.o.Settings(), s.o.Now()
	if !settings.Enabled {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil && sameCluster(s.settings, settings) && now.Sub(s.read) <= staleAfter*settings.Refresh {
		return s.cluster, nil
	}
	if s.reason != nil {
		return nil, s.reason
	}
	return nil, errNotRead
}

func sameCluster(a, b Settings) bool { return a.Cluster == b.Cluster && a.Region == b.Region }

// Reload makes Run read the cluster immediately with the current settings. It doesn't block.
func (s *Snapshot) Reload() {
	select {
	case s.wake <- struct{}{}:
	default: // Run has not yet noticed an earlier call
	}
}

// Run reads the cluster immediately, and then once in each refresh period until the context ends.
func (s *Snapshot) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(s.refresh(ctx))
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// refresh reads the cluster and returns the time until the next read.
func (s *Snapshot) refresh(ctx context.Context) time.Duration {
	settings := s.o.Settings()
	if !settings.Enabled {
		s.store(settings, nil, s.o.Now(), nil)
		s.o.Recorder.EKSUnused()
		return time.Hour // a change of the settings calls Reload, which ends this wait
	}
	s.recordKnown()
	began := s.o.Now()
	cluster, err := s.readWithin(ctx, settings)
	if ctx.Err() != nil {
		return 0
	}
	s.store(settings, cluster, began, err)
	s.recordKnown()
	if err != nil {
		s.o.Recorder.EKSRead(err, s.o.Now())
		if s.errors.ShouldLog(s.o.Now(), err) {
			s.o.Logger.Warn("cannot read the access entries of the cluster", "cluster", settings.Cluster, "err", err.Error())
		}
		return min(settings.Refresh, retryAfter)
	}
	s.errors.ShouldLog(s.o.Now(), nil)
	s.o.Read(cluster)
	s.o.Recorder.EKSRead(nil, s.o.Now())
	return settings.Refresh
}

// recordKnown records whether Cluster returns the access of the cluster. Run calls it before and after each read. While
// reads fail, Run reads at least once a minute, so the metric is late by at most a minute and the time of one read.
func (s *Snapshot) recordKnown() {
	cluster, _ := s.Cluster()
	s.o.Recorder.EKSKnown(cluster != nil)
}

// readWithin reads the cluster. It returns an error after one refresh period.
func (s *Snapshot) readWithin(ctx context.Context, settings Settings) (*access.Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, settings.Refresh)
	defer cancel()
	ca, err := s.o.OwnCA()
	if err != nil {
		return nil, ownCAError{err}
	}
	if len(ca) == 0 {
		return nil, ownCAError{errNoOwnCA}
	}
	client, err := New(ctx, settings.Cluster, settings.Region, ca)
	if err != nil {
		return nil, err
	}
	return client.Read(ctx)
}

// store stores the result of a read that began at the time began. After a failed read it keeps the last result if the
// settings still enable the snapshot and name the same cluster.
func (s *Snapshot) store(settings Settings, cluster *access.Cluster, began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cluster != nil || !sameCluster(s.settings, settings) || !settings.Enabled {
		s.cluster, s.read = cluster, began
	}
	s.settings, s.reason = settings, err
}
