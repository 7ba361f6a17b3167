package live

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// leader is what is known to the replica that leads. Only its goroutine uses it.
type leader struct {
	inTerm    bool
	since     time.Time    // of the term
	log       *history.Log // nil until it was read in this term
	record    words
	readAt    time.Time // when the record was read
	wroteAt   time.Time // when the history was written
	droppedAt time.Time // when stale replicas were forgotten
	failing   told
	pause     pause
	rescue    rescuing
}

// idle is how long the leader waits where there is nothing to do: losing the lead is not announced.
const idle = 10 * time.Second

// lead does the leader's work until the context ends.
func (l *Live) lead(ctx context.Context) {
	for ctx.Err() == nil {
		wait, err := l.step(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			l.o.Recorder.HistoryFailed()
			wait = l.leader.pause.next()
		} else {
			l.leader.pause.reset()
		}
		if l.leader.failing.tell(l.now(), err) {
			l.log.Error("the history of aws-auth cannot be kept", "err", err.Error())
		}
		if err != nil {
			sleep(ctx, wait) // no event makes it sooner
			continue
		}
		timer := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-timer.C:
		case <-l.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step does what is due, and returns when to look again.
func (l *Live) step(ctx context.Context) (wait time.Duration, err error) {
	if !l.o.Election.IsLeader() {
		if l.leader.inTerm {
			l.leader = leader{failing: l.leader.failing}
		}
		l.o.Recorder.Leads(false)
		return idle, nil
	}
	l.o.Recorder.Leads(true)
	if !l.leader.inTerm {
		if !l.knows() {
			return idle, nil // the watch has shown nothing yet, and wakes us when it has
		}
		l.leader.inTerm, l.leader.since = true, l.now()
	}
	again := idle
	// What has bypassed the guard is told also where the history cannot be read or written.
	err = errors.Join(
		l.part(ctx, "begin", l.begin),
		l.part(ctx, "join", l.joinAll),
		l.part(ctx, "write", l.write),
		l.part(ctx, "restore", func(ctx context.Context) error {
			if l.leader.log != nil {
				again = l.restore(ctx)
			}
			return nil
		}),
		l.part(ctx, "drop", l.dropStale),
	)
	return min(again, l.nextRead(), idle), err
}

// part does a part of a step. Neither its error nor a fault in it keeps the others from being done.
func (l *Live) part(ctx context.Context, name string, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	return l.survive(name, func() error { return work(ctx) })
}

// joinAll joins what is due. Without the history it waits a while for it: the leader before may have told already.
func (l *Live) joinAll(ctx context.Context) error {
	l.joinOwn()
	if l.leader.log == nil && l.now().Sub(l.leader.since) < l.o.Timing.Patience || !l.readDue() {
		return nil
	}
	if err := l.readRecord(ctx); err != nil {
		return err
	}
	l.join()
	return nil
}

// dropStale forgets replicas that are gone.
func (l *Live) dropStale(ctx context.Context) error {
	now := l.now()
	if now.Sub(l.leader.droppedAt) < l.o.Timing.Renew {
		return nil
	}
	l.leader.droppedAt = now
	_, err := l.o.Record.DropStale(ctx, now.Add(-l.o.Timing.Forget))
	return err
}

// begin takes over from the leader before, once in a term.
func (l *Live) begin(ctx context.Context) error {
	if l.leader.log != nil {
		return nil
	}
	log, err := l.o.History.Read(ctx)
	if err != nil {
		return err
	}
	for _, damaged := range log.Damaged() {
		l.log.Warn("a part of the history of aws-auth cannot be read", "err", damaged.Error())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ledger.adopt(log)
	l.leader.log = log
	l.log.Info("this replica keeps the history of aws-auth", "versions", len(log.Versions()))
	return nil
}

// knows reports whether the watch has shown what is stored.
func (l *Live) knows() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ledger.known
}

// write brings the history up to date.
func (l *Live) write(ctx context.Context) error {
	if l.leader.log == nil {
		return nil
	}
	fresh, versions := l.unwritten()
	if len(fresh) == 0 {
		return nil
	}
	if wait := l.o.Timing.Flush - l.now().Sub(l.leader.wroteAt); wait > 0 { // many versions, few writes
		sleep(ctx, wait)
	}
	numbers := make([]int, len(fresh))
	log, err := l.o.History.Change(ctx, func(log *history.Log) error {
		for i, s := range fresh {
			numbers[i] = enter(log, s, &versions[i])
		}
		return nil
	})
	l.leader.wroteAt = l.now()
	if err != nil {
		return err
	}
	l.leader.log = log
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range fresh {
		entered(log, s, numbers[i], versions[i].How)
	}
	return nil
}

// unwritten are the sightings of which the history does not know all yet, and what it is to say of them.
func (l *Live) unwritten() (fresh []*sighting, versions []history.Version) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.ledger.list {
		if !s.stored && (s.number == 0 || s.decided()) {
			fresh, versions = append(fresh, s), append(versions, l.version(s))
		}
	}
	return fresh, versions
}

// enter puts a version into the log, or what is decided about it. It may be called again.
func enter(log *history.Log, s *sighting, v *history.Version) (number int) {
	number = s.number
	if number == 0 {
		if known, is := s.known(log); is {
			return known
		}
		number, _ = log.Append(*v)
	}
	if v.How != history.Pending {
		log.Complete(number, v.How, v.Requester)
	}
	return number
}

// entered takes in what the log has become. The lock is held.
func entered(log *history.Log, s *sighting, number int, how history.How) {
	s.number = number
	versions := log.Versions()
	i := slices.IndexFunc(versions, func(v history.Version) bool { return v.Number == number })
	switch {
	case number == 0: // an older leader had entered it, and it is gone
		s.stored = true
		if !s.decided() {
			s.how = history.Found
		}
	case i >= 0 && versions[i].How != history.Pending:
		if !s.decided() {
			s.how, s.requester = versions[i].How, versions[i].Requester
		}
		s.stored = true
	case how != history.Pending:
		s.stored = true // it has been pushed out by newer ones
	}
}

// version is what the history says of a sighting. The lock is held.
func (l *Live) version(s *sighting) history.Version {
	v := history.Version{
		Time: s.at, ResourceVersion: s.version, Hash: s.hash, Absent: s.hash == "", How: s.how,
		Requester: s.requester, Manager: s.manager, Truncated: s.dropped && s.hash != "",
	}
	if s.number > 0 {
		return v // only what is decided is needed
	}
	if s.object != nil {
		v.Data, v.BinaryData = maps.Clone(s.object.Data), maps.Clone(s.object.BinaryData)
		v.Immutable = s.object.Immutable != nil && *s.object.Immutable
	}
	p := picture{verdict: validate.Refuse, rules: []string{validate.InternalError}} // as a review would say
	_ = l.survive("version", func() error {
		p = look(v.Object(), l.o.Policy())
		return nil
	})
	v.Verdict, v.Rules, v.Summary = p.verdict, p.rules, p.summary
	return v
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
