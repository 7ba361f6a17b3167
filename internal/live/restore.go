package live

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

const (
	// fieldManager is who writes, as managedFields name it.
	fieldManager = "awsauth-guard"
	// askAgain is how soon the record is read again for a replica that has not said its word yet.
	askAgain = 2 * time.Second
)

// Results of putting a version back, as metrics name them.
const (
	restored = "restored"
	limited  = "limited"
	failed   = "failed"
)

// tryAgain is how long after an attempt that failed the next one is made at the same version.
const tryAgain = time.Minute

// rescuing is what was done about a stored version.
type rescuing struct {
	version, reason string // what was told of which resourceVersion
	tried           string // the resourceVersion in whose place another was put last
	triedAt         time.Time
	done            bool // and that has worked, so that the watch will show it
}

// busy reports whether there is nothing to do about a version for now.
func (r *rescuing) busy(version string, now time.Time) bool {
	return r.tried == version && (r.done || now.Sub(r.triedAt) < tryAgain)
}

// restore puts a version back where the configuration wants it and the last change has bypassed the guard.
// It returns when to look again.
func (l *Live) restore(ctx context.Context) time.Duration {
	settings := l.o.Settings()
	if !settings.Restore {
		return idle
	}
	s := l.scene(settings)
	if s == nil || l.leader.rescue.busy(s.last().version, s.now) {
		return idle
	}
	_, err := s.decide()
	switch {
	case errors.Is(err, errNoLoss), errors.Is(err, errPending), errors.Is(err, errTooOld):
		return idle
	case err == nil || errors.Is(err, errNotCertain):
		// What the replicas say may be older than what they have seen.
		if readErr := l.readRecord(ctx); readErr != nil {
			err = readErr
			break
		}
		if s = l.scene(settings); s == nil {
			return idle
		}
		var r *rescue
		if r, err = s.decide(); err == nil {
			err = l.putBack(ctx, s, r)
			l.leader.rescue.tried, l.leader.rescue.triedAt, l.leader.rescue.done = s.last().version, s.now, err == nil
		}
	}
	l.tellRescue(s, err)
	if errors.Is(err, errNotCertain) {
		return askAgain
	}
	return idle
}

// scene is what is known now; nil where every change was admitted.
func (l *Live) scene(settings Settings) *scene {
	l.mu.Lock()
	defer l.mu.Unlock()
	run := l.ledger.run()
	if len(run) == 0 {
		return nil
	}
	s := &scene{
		now: l.now(), policy: l.o.Policy(), own: l.identity.name(), stored: l.ledger.latest,
		contents: make(map[string]*awsauth.Object), versions: l.ledger.witnessed(l.leader.log.Versions()), restores: l.leader.log.Restores,
		limit: settings.MaxPerHour, interrupted: l.steady.IsZero(), replicas: l.leader.record.Replicas,
		damaged: len(l.leader.record.Damaged) > 0, patience: l.o.Timing.certain() + l.o.Timing.Patience,
	}
	for _, v := range l.ledger.kept() {
		if !slices.ContainsFunc(s.versions, func(other history.Version) bool { return other.Number == v.Number }) {
			s.versions = append(s.versions, v)
		}
	}
	slices.SortStableFunc(s.versions, func(a, b history.Version) int { return cmp.Compare(a.Number, b.Number) })
	for _, v := range run {
		copied := *v // it is decided under the lock
		s.run = append(s.run, &copied)
	}
	for i := range s.versions {
		v := &s.versions[i]
		s.contents[v.Hash] = v.Object()
	}
	for _, v := range l.ledger.list {
		if v.object != nil {
			s.contents[v.hash] = objectOf(v.object)
		}
	}
	return s
}

// last is what is stored.
func (s *scene) last() *sighting { return s.run[len(s.run)-1] }

// tellRescue says what has become of it: once for each stored version and reason.
func (l *Live) tellRescue(s *scene, err error) {
	if err == nil || errors.Is(err, errNoLoss) || errors.Is(err, errPending) || errors.Is(err, errTooOld) || errors.Is(err, errNotCertain) {
		return
	}
	r, version := &l.leader.rescue, s.last().version
	if r.version == version && r.reason == err.Error() {
		return
	}
	r.version, r.reason = version, err.Error()
	switch {
	case errors.Is(err, errLimited):
		l.o.Recorder.Restored(limited)
	case errors.Is(err, errNoCandidate):
		l.o.Recorder.Restored(failed)
	default:
		if _, tried := errors.AsType[*failure](err); tried {
			l.o.Recorder.Restored(failed)
		}
	}
	l.log.Error("what aws-auth has lost is not put back", "err", err.Error(), "resource_version", version)
	l.o.Events.Warn(NotRestored, "what aws-auth has lost on a way around the guard is not put back: "+err.Error())
}

// failure is an attempt that came to nothing.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// putBack makes a version what is stored, if nobody has changed it meanwhile. That it does so is
// written down before, so that whoever leads next counts it.
func (l *Live) putBack(ctx context.Context, s *scene, r *rescue) error {
	log, err := l.o.History.Change(ctx, func(log *history.Log) error {
		counting := *s
		if counting.restores = log.Restores; counting.recent() >= s.limit {
			return errLimited
		}
		log.Restores = append(log.Restores, s.now)
		return nil
	})
	if errors.Is(err, errLimited) {
		return errLimited
	}
	if err != nil {
		return &failure{err}
	}
	l.leader.log = log
	last := s.last()
	l.scribe.restores(history.Admission{Time: s.now, Old: last.hash, New: r.version.Hash, Requester: s.own, How: history.Restored})
	if err := l.store(ctx, s.stored.object, &r.version); err != nil {
		if certainlyRefused(err) { // it does not count
			if log, forgetErr := l.o.History.Change(ctx, func(log *history.Log) error {
				log.Restores = slices.DeleteFunc(log.Restores, s.now.Equal)
				return nil
			}); forgetErr != nil {
				err = errors.Join(err, forgetErr)
			} else {
				l.leader.log = log
			}
		}
		return &failure{err}
	}
	l.o.Recorder.Restored(restored)
	text := fmt.Sprintf("a change around the guard had taken away %s; version %d of the history is stored again", r.loss, r.version.Number)
	l.log.Error("aws-auth is put back", "lost", r.loss, "version", r.version.Number, "instead_of", last.version, "manager", last.manager)
	l.o.Events.Warn(Restored, text)
	return nil
}

// certainlyRefused reports whether the API server has stored nothing.
func certainlyRefused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsConflict(err) || apierrors.IsInvalid(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// store writes the content of a version, and leaves what else the object has alone.
func (l *Live) store(ctx context.Context, stored *corev1.ConfigMap, v *history.Version) error {
	if stored == nil {
		cm := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: awsAuth},
			Data:       v.Data, BinaryData: v.BinaryData,
		}
		if _, err := l.o.Writer.Create(ctx, cm, metav1.CreateOptions{FieldManager: fieldManager}); err != nil {
			return fmt.Errorf("creating aws-auth: %w", err)
		}
		return nil
	}
	cm := stored.DeepCopy() // with the resourceVersion, so that nobody's later change is lost
	cm.Data, cm.BinaryData = maps.Clone(v.Data), maps.Clone(v.BinaryData)
	if _, err := l.o.Writer.Update(ctx, cm, metav1.UpdateOptions{FieldManager: fieldManager}); err != nil {
		return fmt.Errorf("updating aws-auth: %w", err)
	}
	return nil
}
