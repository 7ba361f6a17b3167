package live_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// failing fails every update, and counts them.
type failing struct {
	*world

	err      error
	attempts *atomic.Int32
}

func (f failing) Update(context.Context, *corev1.ConfigMap, metav1.UpdateOptions) (*corev1.ConfigMap, error) {
	f.attempts.Add(1)
	return nil, f.err
}

// An attempt that fails is made again after a minute. One that has certainly stored nothing does not count
// towards the limit, and those that have been made before still do.
func TestAttempts(t *testing.T) {
	t.Parallel()
	resource := schema.GroupResource{Resource: "configmaps"}
	for _, test := range []struct {
		name     string
		err      error
		attempts int32 // within five minutes
		restores int   // that count then
	}{
		{"forbidden", apierrors.NewForbidden(resource, "aws-auth", nil), 5, 1},
		{"conflict", apierrors.NewConflict(resource, "aws-auth", nil), 5, 1},
		{"invalid", apierrors.NewInvalid(schema.GroupKind{Kind: "ConfigMap"}, "aws-auth", nil), 5, 1},
		{"already there", apierrors.NewAlreadyExists(resource, "aws-auth"), 5, 1},
		{"not there", apierrors.NewNotFound(resource, "aws-auth"), 5, 1},
		{"no answer", errors.New("no"), 2, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				var attempts atomic.Int32
				r := w.join(rescues, func(_ *replica, o *live.Options) { o.Writer = failing{w, test.err, &attempts} })
				after(time.Minute)
				w.changeLog(func(log *history.Log) { log.Restores = append(log.Restores, time.Now()) })
				w.write("kubectl-edit", roles(node))
				after(85 * time.Second)
				want(t, "attempts within a minute", attempts.Load(), int32(1))
				after(4 * time.Minute)
				want(t, "attempts", attempts.Load(), test.attempts)
				w.changeLog(func(log *history.Log) { want(t, "restores", len(log.Restores), test.restores) })
				want(t, "restored", r.count("restored"), 0)
			})
		})
	}
}

// What was put back is not put back again while the watch does not show it.
func TestRestoredNotShown(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		r := w.join(rescues)
		after(time.Minute)
		w.write("kubectl-edit", roles(node))
		after(20 * time.Second)
		w.change(func() { w.watches = nil })
		after(4 * time.Minute)
		want(t, "stored", w.object().Data, roles(admin+node))
		want(t, "results", []int{r.count("restored"), r.count("failed"), r.event(live.NotRestored)}, []int{1, 0, 0})
	})
}

// meanwhile is a record; when the leader reads it before it puts something back, something else is done.
type meanwhile struct {
	live.Record

	do func()
}

func (m meanwhile) Read(ctx context.Context) (history.Record, error) {
	m.do()
	return m.Record.Read(ctx)
}

// before has something done when a replica is about to put something back.
func before(do func()) func(*replica, *live.Options) {
	return func(r *replica, o *live.Options) {
		done := false
		o.Record = meanwhile{o.Record, func() {
			if !done && r.count("bypassed") > 0 {
				done = true
				do()
			}
		}}
	}
}

// What another leader has put back meanwhile counts, also by a clock that is a little ahead; a time that is far
// ahead, and would count for ever, does not.
func TestLimitedByAnother(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		ahead time.Duration
		want  []int
	}{
		{"now", 0, []int{0, 1}},
		{"a little ahead", 4 * time.Second, []int{0, 1}},
		{"far ahead", 24 * time.Hour, []int{1, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				r := w.join(rescues, before(func() {
					at := time.Now().Add(test.ahead)
					w.changeLog(func(log *history.Log) { log.Restores = []time.Time{at, at, at} })
				}))
				after(time.Minute)
				w.write("kubectl-edit", roles(node))
				after(31 * time.Second)
				want(t, "restored and limited", []int{r.count("restored"), r.count("limited")}, test.want)
			})
		})
	}
}

// While too many were put back, or tried to be, the record is not read for one more.
func TestLimitedReadsNothing(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]int{"by another": 3, "without an answer": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, roles(admin+node), func(w *world) {
				var attempts atomic.Int32
				r := w.join(rescues, func(_ *replica, o *live.Options) { o.Writer = failing{w, errors.New("no"), &attempts} })
				after(time.Minute)
				w.changeLog(func(log *history.Log) { log.Restores = slices.Repeat([]time.Time{time.Now()}, before) })
				w.write("kubectl-edit", roles(node))
				after(4 * time.Minute)
				want(t, "limited, and attempts", []int{r.count("limited"), int(attempts.Load())}, []int{1, 3 - before})
				reads, _ := w.did()
				after(10 * time.Minute)
				again, _ := w.did()
				want(t, "reads", again, reads)
			})
		})
	}
}

// broken is a history that cannot be written until it is repaired.
type broken struct {
	live.History

	repaired *atomic.Bool
}

func (b broken) Change(ctx context.Context, change func(*history.Log) error) (*history.Log, error) {
	if !b.repaired.Load() {
		return nil, errors.New("down")
	}
	return b.History.Change(ctx, change)
}

// A loss that is not in the history yet is put back all the same.
func TestLossNotEntered(t *testing.T) {
	t.Parallel()
	run(t, roles(admin+node), func(w *world) {
		var repaired atomic.Bool
		repaired.Store(true)
		r := w.join(rescues, before(func() { repaired.Store(true) }), func(_ *replica, o *live.Options) { o.History = broken{o.History, &repaired} })
		after(time.Minute)
		repaired.Store(false)
		w.write("kubectl-edit", roles(node))
		after(5 * time.Minute)
		want(t, "results", []int{r.count("restored"), r.count("failed"), r.event(live.NotRestored)}, []int{1, 0, 0})
	})
}
