package restore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
)

// maxAttempts limits how often a restore tries to write while other clients write at the same time.
const maxAttempts = 20

// restore replaces the content of the stored version by the content of the last good version, and reports the result.
func (r *Restorer) restore(ctx context.Context, s Input, d Decision) {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	good := s.Loss.Good
	r.mu.Lock()
	r.attempted, r.writing = s.Now, history.Hash(good.Data, good.BinaryData)
	r.mu.Unlock()
	version := s.Loss.Version
	err := r.write(ctx, s)
	r.mu.Lock()
	if notStored(err) {
		r.writing = ""
	} else { // the API server stored the content, or it is unknown whether it did
		r.restores = append(r.restores, s.Now)
		// If this process observed another loss during the write, that loss is not restored.
		r.restored = err == nil && r.loss != nil && (r.loss.Version == version || r.loss.Version == s.Loss.Version)
		defer r.recordRestore(context.WithoutCancel(ctx), s.Now)
	}
	r.mu.Unlock()
	switch {
	case err == nil:
	case isConflict(err), errors.Is(err, errNothingLost): // the watch will receive the other change
		r.o.Logger.Info("aws-auth was changed before it could be restored", "err", err.Error())
		return
	default:
		r.reportDeclined(s.Loss, err.Error(), Failed)
		return
	}
	r.o.Recorder.Restored(Restored)
	r.o.Logger.Error("restored aws-auth", "lost", d.Lost, "restored_version", good.ResourceVersion, "replaced_version", s.Loss.Version, "replaced_manager", s.Loss.Manager)
	r.o.Events.Warn(kube.Restored, "restored the last good aws-auth, because the stored change bypassed the guard; rules that refuse it: "+joinRules(d.Lost))
}

// recordRestore stores the time of a restore in the history, so that the next leader counts it.
func (r *Restorer) recordRestore(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := r.o.History.Change(ctx, func(log *history.Log) error {
		log.Restores = append(log.Restores, at)
		return nil
	})
	if err != nil {
		r.o.Recorder.HistoryFailed()
	}
	if r.historyErrors.ShouldLog(r.o.Now(), err) {
		r.o.Logger.Warn("cannot record a restore in the history", "err", err.Error())
	}
}

// notStored reports whether the error proves that the API server has not stored the write.
func notStored(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsInvalid(err) || isConflict(err) || errors.Is(err, errNothingLost) || errors.Is(err, errImmutable)
}

// isConflict reports whether the API server refused the write because another version is stored.
func isConflict(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// errNothingLost means that another client stored a version during the restore, and that this version has no unintended loss.
var errNothingLost = errors.New("no access is lost any more, or the loss is intended")

// errImmutable means that the stored version is immutable. The API server refuses to change its data, and refuses to make it mutable
// (kubernetes v1.36.3, pkg/apis/core/validation/validation.go, ValidateConfigMapUpdate).
var errImmutable = errors.New("the stored aws-auth is immutable, so no client can change it; delete it, and the guard creates the last good version")

// write stores the content of the last good version.
//
// If another client has stored a newer version in the meantime, write returns a conflict. The watch then receives the newer version,
// and the Restorer waits settleTime again. If the loss is older than maxSettleTime, write replaces the newer version at once, so that
// a client that keeps writing can't prevent the restore.
func (r *Restorer) write(ctx context.Context, s Input) error {
	for attempt := 1; ; attempt++ {
		err := r.writeOnce(ctx, s.Loss)
		if !isConflict(err) || attempt == maxAttempts || s.Now.Sub(s.Loss.Since) < maxSettleTime || !r.o.Election.IsLeader() {
			return err
		}
		if err := r.readAgain(ctx, s.Loss); err != nil {
			return err
		}
	}
}

// writeOnce tries once to store the content of the last good version. The error is a conflict if the stored version is not l.Stored.
// writeOnce keeps the labels and annotations of the stored version. It never makes aws-auth immutable, even if the last good version was,
// because then neither EKS nor the guard could change aws-auth any more.
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
	if kube.IsImmutable(l.Stored) {
		return errImmutable
	}
	cm := l.Stored.DeepCopy() // includes the resourceVersion
	cm.Data, cm.BinaryData = maps.Clone(l.Good.Data), maps.Clone(l.Good.BinaryData)
	if _, err := r.o.ConfigMaps.Update(ctx, cm, metav1.UpdateOptions{FieldManager: kube.FieldManager}); err != nil {
		return fmt.Errorf("updating aws-auth: %w", err)
	}
	return nil
}

// readAgain reads aws-auth from the API server and stores the result in l. It returns errNothingLost if the version that it read has no
// unintended loss.
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
