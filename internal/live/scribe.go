package live

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// Record is where the replicas tell each other what they have admitted; a [history.RecordStore].
type Record interface {
	Write(ctx context.Context, replica string, r *history.Replica) error
	Read(ctx context.Context) (history.Record, error)
	Remove(ctx context.Context, replica string) error
	DropStale(ctx context.Context, before time.Time) (dropped []string, err error)
}

// refused is the way of a change that a webhook has refused and that is stored all the same: it was asked,
// and the API server went on without its answer.
const refused = history.Refused

const (
	// maxWaiting bounds the reviews of which the record has not heard yet.
	maxWaiting = 4096
	// maxRefusals bounds the refused changes that are remembered.
	maxRefusals = 1000
	// refusalsKept is how long they are: the API server does not wait longer for a webhook than 30 s.
	refusalsKept = time.Minute
	// callTimeout bounds one look at the API server.
	callTimeout = 5 * time.Second
	// leaveTimeout bounds what is written at the end.
	leaveTimeout = 3 * time.Second
	// recent is how old an admission may be for others still to look for it: the API server gives a request up
	// after a minute (kube-apiserver, --request-timeout).
	recent = time.Minute
)

// scribe writes what this replica has admitted where the others can read it.
type scribe struct {
	name    string
	record  Record
	timing  Timing
	log     *slog.Logger
	now     func() time.Time
	failure func() // counts

	admissions chan history.Admission
	refusals   chan history.Admission
	lost       atomic.Int64 // when one found no room, in nanoseconds since 1970; 0 is never
	wake       chan struct{}

	mu       sync.Mutex
	self     history.Replica
	refused  []history.Admission
	dirty    time.Time // when it is to be written; zero is that there is nothing new
	restored []history.Admission
}

func newScribe(o *Options, failure func()) *scribe {
	return &scribe{
		name: o.Replica, record: o.Record, timing: o.Timing, log: o.Logger, now: o.Now, failure: failure,
		admissions: make(chan history.Admission, maxWaiting), refusals: make(chan history.Admission, maxWaiting),
		wake: make(chan struct{}, 1), self: history.Replica{Started: o.Now()},
	}
}

// admitted takes in a review without ever waiting. What finds no room voids the word of this replica.
func (s *scribe) admitted(a history.Admission) {
	select {
	case s.admissions <- a:
		poke(s.wake)
	default:
		s.lost.Store(a.Time.UnixNano())
	}
}

// refusal takes in a change that was refused.
func (s *scribe) refusal(a history.Admission) {
	select {
	case s.refusals <- a:
	default:
		s.lost.Store(a.Time.UnixNano())
	}
}

func poke(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// take moves what was taken in to where it is looked for. The lock is held.
func (s *scribe) take() {
	for {
		select {
		case a := <-s.admissions:
			s.self.Add(a)
			s.soon(s.timing.Flush - s.now().Sub(s.self.Renewed)) // at once, unless it has just written
			continue
		case a := <-s.refusals:
			s.refused = append(s.refused, a)
			s.refused = s.refused[max(0, len(s.refused)-maxRefusals):]
			continue
		default:
		}
		break
	}
	if lost := time.Unix(0, s.lost.Swap(0)); lost.After(s.self.Lost) && lost.UnixNano() != 0 {
		s.self.Lost = lost
		s.soon(s.timing.Flush)
	}
}

// soon says that there is something to write after a time. The lock is held.
func (s *scribe) soon(after time.Duration) {
	if at := s.now().Add(after); s.dirty.IsZero() || at.Before(s.dirty) {
		s.dirty = at
	}
}

// saw compares a stored version with what this replica has been asked. A review ends before its change is
// stored, so that whatever there was has been taken in.
func (s *scribe) saw(v *sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take()
	if v.gap {
		return
	}
	if _, ok := s.match(v); ok {
		return
	}
	now := s.now()
	s.refused = slices.DeleteFunc(s.refused, func(a history.Admission) bool { return now.Sub(a.Time) > refusalsKept })
	for _, a := range s.refused {
		if a.Old == v.before && a.New == v.hash && !a.Time.Before(v.since()) {
			s.self.Add(a)
			s.soon(s.timing.Flush)
			poke(s.wake)
			return
		}
	}
	s.self.AddDoubt(history.Doubt{Time: now, ResourceVersion: v.version})
	s.soon(s.timing.Doubt)
	poke(s.wake)
}

// match finds what this replica has admitted. The lock is held.
func (s *scribe) match(v *sighting) (history.Admission, bool) {
	if a, ok := matchIn(map[string]history.Replica{"": {Admissions: s.restored}}, v); ok {
		return a, true
	}
	return matchIn(map[string]history.Replica{s.name: s.self}, v)
}

func matchIn(replicas map[string]history.Replica, v *sighting) (history.Admission, bool) {
	return history.Match(replicas, v.before, v.hash, v.gap, v.since())
}

// own finds what this replica has admitted or put back.
func (s *scribe) own(v *sighting) (history.Admission, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take()
	return s.match(v)
}

// watching says since when the watch is unbroken.
func (s *scribe) watching(since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.self.Watching.Equal(since) {
		return
	}
	if s.self.Watching = since; since.IsZero() {
		return // it could not be written
	}
	s.soon(s.timing.Flush)
	poke(s.wake)
}

// replica is what this replica says of itself now.
func (s *scribe) replica() history.Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.take()
	return s.clone()
}

func (s *scribe) clone() history.Replica {
	r := s.self
	r.Admissions, r.Doubts = slices.Clone(r.Admissions), slices.Clone(r.Doubts)
	return r
}

// restores takes in what this process is about to put back: nobody else admits it where the webhook is not asked.
func (s *scribe) restores(a history.Admission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restored = append(s.restored, a)
	s.restored = s.restored[max(0, len(s.restored)-maxRefusals):]
	s.self.Add(a)
	s.soon(0)
	poke(s.wake)
}

// run writes until the context ends.
func (s *scribe) run(ctx context.Context) {
	var failing told
	var pause pause
	remembered := false
	for ctx.Err() == nil {
		var err error
		if !remembered {
			err = s.remember(ctx)
			remembered = err == nil
		}
		wait := s.timing.Renew
		if remembered {
			wait, err = s.flush(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.failure()
			wait = pause.next()
		} else {
			pause.reset()
		}
		if failing.tell(s.now(), err) {
			s.log.Error("what this replica admits cannot be written down", "err", err.Error())
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.wake:
			if err != nil { // no sooner for that
				sleep(ctx, wait)
			}
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// remember takes over what a process under the same name has written: a container may have been restarted.
func (s *scribe) remember(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	record, err := s.record.Read(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	before, newer := record.Replicas[s.name], s.self.Admissions
	lost := []time.Time{s.self.Lost, before.Lost}
	if !before.Watching.IsZero() { // it was killed, maybe before it could write what it admitted last
		lost = append(lost, s.self.Started)
	}
	s.self.Admissions, s.self.Lost = nil, slices.MaxFunc(lost, time.Time.Compare)
	for _, a := range slices.Concat(before.Admissions, newer) {
		if now.Sub(a.Time) < sightingsKept {
			s.self.Add(a)
		}
	}
	return nil
}

// flush writes what is new, or what was written long ago, and returns when to look again.
func (s *scribe) flush(ctx context.Context) (again time.Duration, err error) {
	s.mu.Lock()
	s.take()
	now := s.now()
	due := s.self.Renewed.Add(s.timing.Renew)
	if !s.dirty.IsZero() && s.dirty.Before(due) {
		due = s.dirty
	}
	if wait := due.Sub(now); wait > 0 {
		s.mu.Unlock()
		return wait, nil
	}
	// Before the watch shows anything this replica is none that others should wait for.
	if s.self.Watching.IsZero() && s.self.Renewed.IsZero() && len(s.self.Admissions) == 0 {
		s.mu.Unlock()
		return s.timing.Renew, nil
	}
	before := s.self.Renewed
	s.self.Renewed, s.dirty = now, time.Time{}
	r := s.clone()
	s.mu.Unlock()
	if r.Watching.IsZero() {
		r.Watching = now // only a replica that has ended does not watch: see leave
	}
	limited, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err = s.record.Write(limited, s.name, &r)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.self.Renewed = before
		s.soon(0)
		return 0, err
	}
	if r.Lost.After(s.self.Lost) {
		s.self.Lost = r.Lost // there was no room for everything
	}
	return s.timing.Flush, nil
}

// leave writes the last word. What others may still look for stays, and says that nobody watches any more.
func (s *scribe) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	s.mu.Lock()
	s.take()
	now := s.now()
	s.self.Renewed, s.self.Watching = now, time.Time{}
	r := s.clone()
	s.mu.Unlock()
	var err error
	if slices.ContainsFunc(r.Admissions, func(a history.Admission) bool { return now.Sub(a.Time) < recent }) {
		err = s.record.Write(ctx, s.name, &r)
	} else {
		err = s.record.Remove(ctx, s.name)
	}
	if err != nil && !apierrors.IsNotFound(err) {
		s.failure()
		s.log.Error("what this replica has admitted cannot be written down", "err", err.Error())
	}
}
