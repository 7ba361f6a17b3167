package live

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

// joinOwn joins versions to what this replica itself has admitted or put back. Where the same change was stored
// before, what is older than that was it, and another replica may have admitted this one: the record tells.
func (l *Live) joinOwn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.ledger.undecided() {
		if a, ok := l.scribe.own(s); ok && a.How != refused && a.Time.After(l.ledger.same(s)) {
			s.how, s.requester = a.How, a.Requester
		}
	}
}

// readDue reports whether the record is to be read for a version.
func (l *Live) readDue() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	return slices.ContainsFunc(l.ledger.undecided(), func(s *sighting) bool {
		return !now.Before(l.readAt(s))
	})
}

// readAt is when the record is to be read for a version; never twice for one of the times.
func (l *Live) readAt(s *sighting) time.Time {
	reads := l.o.Timing.Reads
	if s.reads >= len(reads) {
		return s.again
	}
	return s.at.Add(reads[s.reads])
}

func (l *Live) nextRead() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, wait := l.now(), idle
	for _, s := range l.ledger.undecided() {
		wait = min(wait, l.readAt(s).Sub(now))
	}
	return max(wait, l.o.Timing.Flush)
}

// readRecord reads what the replicas say. What this one says is known better here.
func (l *Live) readRecord(ctx context.Context) error {
	at := l.now()
	read, err := l.o.Record.Read(ctx)
	if err != nil {
		return err
	}
	read.Replicas[l.o.Replica] = l.scribe.replica()
	l.leader.record, l.leader.readAt = words(read), at
	return nil
}

// words are what the replicas have said when it was read.
type words history.Record

// silent are the replicas that have neither written since a version was stored nor said that they were not
// asked about it: busy, cut off, or gone without a word; and those that have lost count of what they admitted.
func (r words) silent(self string, s *sighting) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(r.Replicas)) {
		other := r.Replicas[name]
		if other.Lost.After(s.since()) || name != self && !other.Renewed.After(s.at.Add(clocksDiffer)) && !hasEnded(&other, s) && !doubts(&other, s) && !asked(&other, s) {
			names = append(names, name)
		}
	}
	return names
}

// hasEnded reports whether a replica had said that it ends before a version was stored.
func hasEnded(r *history.Replica, s *sighting) bool {
	return r.Watching.IsZero() && r.Renewed.Add(clocksDiffer).Before(s.at)
}

func asked(r *history.Replica, s *sighting) bool {
	return slices.ContainsFunc(r.Admissions, func(a history.Admission) bool {
		return a.New == s.hash && a.Old == s.before && !a.Time.Before(s.since())
	})
}

func doubts(r *history.Replica, s *sighting) bool {
	return slices.ContainsFunc(r.Doubts, func(d history.Doubt) bool { return d.ResourceVersion == s.version })
}

// join joins versions to what all replicas have admitted, and decides about those for which it is certain
// that nobody has.
func (l *Live) join() {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := l.leader.readAt
	for _, s := range l.ledger.undecided() {
		for s.reads < len(l.o.Timing.Reads) && !at.Before(s.at.Add(l.o.Timing.Reads[s.reads])) {
			s.reads++
		}
		a, ok := matchIn(l.leader.record.Replicas, s)
		silent := l.leader.record.silent(l.o.Replica, s)
		age := at.Sub(s.at)
		switch {
		case ok && a.How != refused:
			s.how, s.requester = a.How, a.Requester
		case age < l.o.Timing.certain():
		case age < l.o.Timing.certain()+l.o.Timing.Patience && !s.gap && !s.inherit && len(silent) > 0:
			s.again = at.Add(askAgain)
		case s.gap, s.inherit, age > sightingsKept-time.Minute:
			s.how = history.Found // nobody who knows has watched, or remembers
		default:
			s.how, s.requester = history.Bypassed, a.Requester
			l.bypassed(s, ok, silent)
		}
	}
}

// bypassed tells of a version that nobody has admitted. A refused one was stored although a replica said no.
// One that is silent may have admitted it all the same: whoever reads this must know.
func (l *Live) bypassed(s *sighting, refused bool, silent []string) {
	l.o.Recorder.Bypassed()
	what := "a change of aws-auth was stored that no replica of the guard was asked about"
	switch {
	case refused:
		what = "a change of aws-auth was stored that the guard had refused"
	case len(silent) > 0:
		what = "a change of aws-auth was stored that no replica of the guard says it was asked about; whether they were is not known of " +
			shorten(strings.Join(silent, ", "), maxRequester)
	}
	l.log.Error("a change of aws-auth has bypassed the guard", "resource_version", s.version, "manager", s.manager, "refused", refused, "silent", silent, "seen", s.at, "absent", s.hash == "")
	l.o.Events.Warn(Bypassed, fmt.Sprintf("%s: resourceVersion %s, field manager %q", what, s.version, shorten(s.manager, 100)))
}
