package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Results of a restore, as metrics name them.
const (
	Restored = "restored"
	Limited  = "limited"
	Failed   = "failed"
)

const (
	// idle is the longest pause between two decisions: no event says that this process has lost the lead, or that an
	// hour is over.
	idle = 10 * time.Second
	// callTimeout bounds a call of the API server.
	callTimeout = 5 * time.Second
	// maxAttempts is how often a restore tries to write where other clients write at the same time.
	maxAttempts = 20
)

// ConfigMaps reads and writes the ConfigMaps of kube-system.
type ConfigMaps interface {
	List(ctx context.Context, options metav1.ListOptions) (*corev1.ConfigMapList, error)
	Create(ctx context.Context, cm *corev1.ConfigMap, options metav1.CreateOptions) (*corev1.ConfigMap, error)
	Update(ctx context.Context, cm *corev1.ConfigMap, options metav1.UpdateOptions) (*corev1.ConfigMap, error)
}

// History holds the times of earlier restores; a [history.Store].
type History interface {
	Read(ctx context.Context) (*history.Log, error)
	Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error)
}

// Election tells which replica is the leader.
type Election interface {
	IsLeader() bool
	OnWon(call func())
}

// Events writes Events on aws-auth.
type Events interface {
	Warn(reason kube.Reason, message string)
}

// Recorder counts. Its methods are called concurrently.
type Recorder interface {
	Restored(result string)
	// RestoreReady says whether a loss would be restored now by this replica. Where restores are off, it is not called.
	RestoreReady(is bool)
	// RestoreOff says that restores are off.
	RestoreOff()
	HistoryFailed()
}

// Options are what [New] needs.
type Options struct {
	ConfigMaps ConfigMaps
	History    History
	Election   Election
	Events     Events
	Policy     func() validate.Policy
	Settings   func() Settings
	Recorder   Recorder
	Logger     *slog.Logger
	Now        func() time.Time
}

// Observation is a version of aws-auth that this process has observed, in order.
type Observation struct {
	Stored  *corev1.ConfigMap // nil: there is none
	Version string            // the resourceVersion
	Manager string
	Time    time.Time
	// Good is the last good version before this one, and Comparison what became of it.
	Good       *corev1.ConfigMap
	Comparison Comparison
}

// Restorer restores the last good version while this process is the leader.
type Restorer struct {
	o    Options
	wake chan struct{}

	mu        sync.Mutex
	observed  bool
	loss      *Loss
	attempted time.Time
	done      bool
	restores  []time.Time
	writing   string // the hash of the content that is written, or was written last
	reason    string // why a loss would not be restored now

	// Used by Run alone.
	inTerm   bool
	reported string // the version and the reason that were reported last
	reading  kube.Throttle
}

// New returns a Restorer, which does nothing before it runs.
func New(o Options) *Restorer {
	r := &Restorer{o: o, wake: make(chan struct{}, 1), reason: "aws-auth has not been observed yet"}
	o.Election.OnWon(r.Wake)
	return r
}

// Wake decides again, after a change of the configuration.
func (r *Restorer) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Observe takes in a version. A loss counts from the first version in which something is lost until a version that has
// everything again, or whose loss is intended.
func (r *Restorer) Observe(o Observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.Wake()
	r.observed = true
	if len(o.Comparison.Lost) == 0 {
		r.loss = nil
		return
	}
	changed := r.loss == nil || r.loss.Version != o.Version
	if r.loss == nil || r.loss.Good != o.Good {
		r.loss = &Loss{Since: o.Time, Enforced: r.o.Settings().Enabled && r.o.Policy().Mode != validate.WarnMode}
	}
	r.loss.Good, r.loss.Stored, r.loss.Version, r.loss.Manager, r.loss.Changed = o.Good, o.Stored, o.Version, o.Manager, o.Time
	if changed {
		r.attempted, r.done = time.Time{}, false
	}
}

// Wrote reports whether this process has written a content to restore it.
func (r *Restorer) Wrote(hash string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.writing != "" && r.writing == hash
}

// String is the line of /readyz?verbose.
func (r *Restorer) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reason == "" {
		return "restore: ready"
	}
	return "restore: not ready: " + r.reason
}

// Run decides and restores until the context ends.
func (r *Restorer) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(r.step(ctx))
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
		timer.Stop()
	}
}

// step does what is due and returns the time to the next decision.
func (r *Restorer) step(ctx context.Context) time.Duration {
	if leader := r.o.Election.IsLeader(); leader != r.inTerm && r.o.Settings().Enabled {
		r.inTerm = leader
		if leader {
			r.readRestores(ctx)
		}
	}
	s := r.situation()
	d := Decide(s)
	switch d.Action {
	case Wait:
		r.tellReady(s)
		return d.After
	case Decline:
		result := ""
		if d.Limited {
			result = Limited
		}
		r.reportDeclined(s.Loss, d.Reason, result)
	case Restore:
		r.restore(ctx, s, d)
		s = r.situation()
	case Nothing:
	}
	r.tellReady(s)
	return idle
}

func (r *Restorer) situation() Situation {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Situation{
		Now: r.o.Now(), Settings: r.o.Settings(), Policy: r.o.Policy(), Leader: r.o.Election.IsLeader(),
		Restores: slices.Clone(r.restores), Attempted: r.attempted, AttemptDone: r.done,
	}
	if r.loss != nil {
		loss := *r.loss
		s.Loss = &loss
	}
	return s
}

// tellReady records whether a loss would be restored now.
func (r *Restorer) tellReady(s Situation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reason = NotReady(s, r.observed)
	if !s.Settings.Enabled {
		r.o.Recorder.RestoreOff()
		return
	}
	r.o.Recorder.RestoreReady(r.reason == "")
}

// readRestores takes over the times of the leader before. Without them the limit counts this process alone.
func (r *Restorer) readRestores(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	log, err := r.o.History.Read(ctx)
	if r.reading.ShouldLog(r.o.Now(), err) {
		r.o.Logger.Warn("cannot read earlier restores", "err", err.Error())
	}
	if err != nil {
		r.o.Recorder.HistoryFailed()
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range log.Restores {
		if !slices.ContainsFunc(r.restores, at.Equal) {
			r.restores = append(r.restores, at)
		}
	}
}

// reportDeclined reports why a loss stands, once for each version and reason.
func (r *Restorer) reportDeclined(l *Loss, reason, result string) {
	key := l.Version + " " + reason
	if key == r.reported {
		return
	}
	r.reported = key
	if result != "" {
		r.o.Recorder.Restored(result)
	}
	r.o.Logger.Error("aws-auth is not restored", "reason", reason, "resource_version", l.Version, "manager", l.Manager)
	r.o.Events.Warn(kube.NotRestored, "the last good aws-auth is not restored: "+reason)
}

// restore writes the content of the last good version in the place of the stored one.
func (r *Restorer) restore(ctx context.Context, s Situation, d Decision) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	good := s.Loss.Good
	r.mu.Lock()
	r.attempted, r.writing = s.Now, history.Hash(good.Data, good.BinaryData)
	r.mu.Unlock()
	err := r.write(ctx, s.Loss)
	if !refused(err) { // also where it isn't known whether the API server stored it
		r.mu.Lock()
		r.restores, r.done = append(r.restores, s.Now), err == nil
		r.mu.Unlock()
		defer r.note(ctx, s.Now)
	}
	switch {
	case err == nil:
	case changedMeanwhile(err), errors.Is(err, errNothingLost): // the watch shows what was written meanwhile
		r.o.Logger.Info("aws-auth was changed before it could be restored", "err", err.Error())
		return
	default:
		r.reportDeclined(s.Loss, err.Error(), Failed)
		return
	}
	r.o.Recorder.Restored(Restored)
	r.o.Logger.Error("aws-auth is restored", "lost", d.Lost, "restored_version", good.ResourceVersion, "replaced_version", s.Loss.Version, "replaced_manager", s.Loss.Manager)
	r.o.Events.Warn(kube.Restored, "the last good aws-auth is stored again: the change that the guard was not asked about is refused by "+describe(d.Lost))
}

// note keeps the time of a restore in the history, so that the next leader counts it.
func (r *Restorer) note(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := r.o.History.Change(ctx, func(log *history.Log) error {
		log.Restores = append(log.Restores, at)
		return nil
	})
	if err != nil {
		r.o.Recorder.HistoryFailed()
	}
	if r.reading.ShouldLog(r.o.Now(), err) {
		r.o.Logger.Warn("cannot note a restore in the history", "err", err.Error())
	}
}

// refused reports whether the API server has certainly stored nothing.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || changedMeanwhile(err) || errors.Is(err, errNothingLost)
}

// changedMeanwhile reports whether the API server refused to write because another version is stored.
func changedMeanwhile(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// errNothingLost says that a version was stored during the restore that isn't to be replaced.
var errNothingLost = errors.New("nothing is lost any more, or the loss is intended")

// write stores the content of the last good version. Where another version was stored meanwhile, it reads that version
// and replaces it if the loss is still there: a client that writes all the time must not hold the restore back.
func (r *Restorer) write(ctx context.Context, l *Loss) error {
	for attempt := 1; ; attempt++ {
		err := r.writeOnce(ctx, l)
		if !changedMeanwhile(err) || attempt == maxAttempts {
			return err
		}
		if err := r.readAgain(ctx, l); err != nil {
			return err
		}
	}
}

// writeOnce fails where another version than the lost one is stored. It leaves labels, annotations and everything else
// alone.
func (r *Restorer) writeOnce(ctx context.Context, l *Loss) error {
	if l.Stored == nil {
		cm := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: awsauth.Namespace, Name: awsauth.Name},
			Data:       l.Good.Data, BinaryData: l.Good.BinaryData,
		}
		if _, err := r.o.ConfigMaps.Create(ctx, cm, metav1.CreateOptions{FieldManager: kube.FieldManager}); err != nil {
			return fmt.Errorf("creating aws-auth: %w", err)
		}
		return nil
	}
	cm := l.Stored.DeepCopy() // with its resourceVersion
	cm.Data, cm.BinaryData = maps.Clone(l.Good.Data), maps.Clone(l.Good.BinaryData)
	if _, err := r.o.ConfigMaps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: kube.FieldManager}); err != nil {
		return fmt.Errorf("updating aws-auth: %w", err)
	}
	return nil
}

// readAgain replaces the stored version of a loss by the one that is stored now. It fails with errNothingLost where
// that one isn't to be replaced.
func (r *Restorer) readAgain(ctx context.Context, l *Loss) error {
	list, err := r.o.ConfigMaps.List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + awsauth.Name})
	if err != nil {
		return fmt.Errorf("reading aws-auth: %w", err)
	}
	before := l.Stored
	l.Stored, l.Version = nil, list.ResourceVersion
	if len(list.Items) > 0 {
		l.Stored = &list.Items[0]
		l.Version = l.Stored.ResourceVersion
	}
	l.Manager = kube.Manager(before, l.Stored)
	if !Compare(l.Good, l.Stored, l.Manager, r.o.Policy(), r.o.Now()).Unintended() {
		return errNothingLost
	}
	return nil
}
