package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// leader is what is known to the replica that leads. Only its goroutine uses it.
type leader struct {
	inTerm    bool
	log       *history.Log
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
	ctx, cancel := context.WithTimeout(ctx, 2*callTimeout)
	defer cancel()
	if !l.leader.inTerm {
		if err := l.begin(ctx); err != nil {
			return 0, err
		}
	}
	l.joinOwn()
	if l.readDue() {
		if err := l.readRecord(ctx); err != nil {
			return 0, err
		}
		l.join()
	}
	if err := l.write(ctx); err != nil {
		return 0, err
	}
	again := l.restore(ctx)
	if now := l.now(); now.Sub(l.leader.droppedAt) >= l.o.Timing.Renew {
		l.leader.droppedAt = now
		if _, err := l.o.Record.DropStale(ctx, now.Add(-l.o.Timing.Forget)); err != nil {
			return 0, err
		}
	}
	return min(again, l.nextRead(), idle), nil
}

// begin takes over from the leader before.
func (l *Live) begin(ctx context.Context) error {
	if !l.knows() {
		return nil // the watch has shown nothing yet, and wakes us when it has
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
	l.leader.log, l.leader.inTerm = log, true
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
	if !l.leader.inTerm {
		return nil
	}
	l.mu.Lock()
	var fresh []*sighting
	for _, s := range l.ledger.list {
		if !s.stored && (s.number == 0 || s.decided()) {
			fresh = append(fresh, s)
		}
	}
	versions := make([]history.Version, len(fresh))
	for i, s := range fresh {
		versions[i] = l.version(s)
	}
	l.mu.Unlock()
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
	p := look(v.Object(), l.o.Policy())
	v.Verdict, v.Rules, v.Summary = p.verdict, p.rules, p.summary
	return v
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
