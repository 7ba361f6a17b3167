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

// staleAfter is the number of refresh periods after which a snapshot is too old.
const staleAfter = 3

// retryAfter is the longest time until a failed read is repeated.
const retryAfter = time.Minute

// Settings say which cluster is read, and how often.
type Settings struct {
	Enabled bool
	Cluster string
	Region  string // empty: that of the AWS configuration
	Refresh time.Duration
}

// Recorder records metrics.
type Recorder interface {
	// EKSRead counts a read of the cluster.
	EKSRead(err error, now time.Time)
	// EKSKnown records whether Cluster returns the access of the cluster.
	EKSKnown(known bool)
	// EKSUnused is called when the cluster is no longer read.
	EKSUnused()
}

// SnapshotOptions configure [NewSnapshot]. All fields are required.
type SnapshotOptions struct {
	// Settings returns the settings in use. They may change.
	Settings func() Settings
	// OwnCA returns the certificates, as PEM, by which the guard trusts the API server. A cluster with another CA is not read. If OwnCA
	// fails, no cluster is read, because any cluster could be another one.
	OwnCA func() ([]byte, error)
	// Read is called after each successful read.
	Read     func(*access.Cluster)
	Recorder Recorder
	Logger   *slog.Logger
	Now      func() time.Time
}

// Snapshot keeps the access that EKS shows for the cluster. Only its Run calls EKS.
type Snapshot struct {
	o      SnapshotOptions
	wake   chan struct{}
	errors kube.Throttle

	mu       sync.Mutex
	settings Settings
	cluster  *access.Cluster // nil until the first read
	read     time.Time       // when the last successful read began
	reason   error           // of the last read, if it failed
}

// NewSnapshot returns a Snapshot that is empty until Run has read the cluster.
func NewSnapshot(o SnapshotOptions) *Snapshot {
	return &Snapshot{o: o, wake: make(chan struct{}, 1), settings: o.Settings()}
}

var errNotRead = errors.New("the guard has just started and has not read them yet")

// Cluster returns the access of the cluster. It returns an error if the last successful read began more than three refresh periods ago.
// An error with a method Public has a shorter text for users who can't see the log. Cluster returns neither if the settings don't enable the snapshot.
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

// Reload makes Run use changed settings at once.
func (s *Snapshot) Reload() {
	select {
	case s.wake <- struct{}{}:
	default: // Run has not yet noticed an earlier call
	}
}

// Run reads the cluster at once and in each refresh period, until the context ends.
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
		return time.Hour // Reload comes earlier
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

// recordKnown records whether the snapshot counts. It is called before and after each read. A snapshot expires only while reads fail,
// so the metric is late by the time of one read and at most a minute.
func (s *Snapshot) recordKnown() {
	cluster, _ := s.Cluster()
	s.o.Recorder.EKSKnown(cluster != nil)
}

// readWithin reads the cluster within one refresh period.
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

// store stores the result of a read that began at a time. After a failed read the last snapshot of the same cluster stays.
func (s *Snapshot) store(settings Settings, cluster *access.Cluster, began time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cluster != nil || !sameCluster(s.settings, settings) || !settings.Enabled {
		s.cluster, s.read = cluster, began
	}
	s.settings, s.reason = settings, err
}
