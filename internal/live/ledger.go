package live

import (
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

const (
	// maxSightings bounds the versions that are remembered: fewer than the history remembers to have seen,
	// so that none of them is appended twice.
	maxSightings = 200
	// maxContent bounds the contents of remembered versions together, in bytes.
	maxContent = 4 << 20
	// sightingsKept is how long a version is remembered, longer than it takes to elect another leader.
	sightingsKept = 10 * time.Minute
	// maxSeen bounds the contents that are known to have been stored, of which one may be put back.
	maxSeen = 200
)

// sighting is a content of aws-auth that the watch has shown, different from the one before.
type sighting struct {
	at      time.Time
	version string // the resourceVersion
	gap     bool   // versions before it may have been missed
	late    bool   // it may have been stored long before it was shown
	inherit bool   // seen by another process, which left it pending in the history

	before, hash string // hashes of the content before and of this one; empty: there was no object
	object       *corev1.ConfigMap
	dropped      bool // the content was too much to keep
	glass        bool // while it was stored, it had the annotation that breaks the glass
	manager      string

	// How is Pending until it is decided.
	how       history.How
	requester string
	number    int  // in the history; 0 is that it is not there
	stored    bool // what is decided is in the history, too, or it is no longer there
	reads     int  // how many of the times are over at which the record is read for it
	again     time.Time
}

func (s *sighting) decided() bool { return s.how != history.Pending }

// since is when it may have been admitted at the earliest; zero where nobody knows.
func (s *sighting) since() time.Time {
	if s.gap || s.late || s.inherit {
		return time.Time{}
	}
	return s.at.Add(-recent - clocksDiffer)
}

// ledger is the sequence of contents that this process has seen. It has no clock and does no I/O; it is not
// safe for concurrent use.
type ledger struct {
	list   []*sighting // oldest first; the last one is what is stored
	latest event       // as it was shown last
	known  bool        // the watch has shown whether there is one
	// seen are the hashes of the newest contents that the watch has shown, the newest last.
	seen []string
}

// see takes in an event and returns the content that is new with it, if one is.
func (l *ledger) see(e event, now time.Time) *sighting {
	hash := hashOf(e.object)
	last := l.last()
	manager := writer(l.latest.object, e.object)
	first := !l.known
	l.latest, l.known = e, true
	glass := breaksGlass(e.object) || breaksGlass(e.gone)
	if !first && last != nil && last.hash == hash {
		last.object = e.object // its annotations may be others
		last.glass = last.glass || glass
		return nil
	}
	if hash != "" && !slices.Contains(l.seen, hash) {
		l.seen = append(l.seen, hash)
		l.seen = l.seen[max(0, len(l.seen)-maxSeen):]
	}
	s := &sighting{
		at: now, version: e.version, gap: e.gap || first, hash: hash, object: e.object,
		manager: manager, how: history.Pending, glass: glass,
	}
	if last != nil {
		s.before = last.hash
	}
	l.list = append(l.list, s)
	l.forget(now)
	return s
}

func (l *ledger) last() *sighting {
	if len(l.list) == 0 {
		return nil
	}
	return l.list[len(l.list)-1]
}

// forget drops what is too old or too much, but never the last one, nor the newest that somebody has admitted:
// that is what would be put back, also where many changes around the guard have driven it out of the history.
func (l *ledger) forget(now time.Time) {
	last := len(l.list) - 1
	for i, s := range slices.Backward(l.list) {
		if s.decided() && s.how != history.Bypassed {
			last = min(last, i)
			break
		}
	}
	first := max(0, len(l.list)-maxSightings)
	for first < last && now.Sub(l.list[first].at) > sightingsKept && (l.list[first].stored || now.Sub(l.list[first].at) > 6*sightingsKept) {
		first++
	}
	l.list = slices.Delete(l.list, 0, first)
	size := 0
	for i, s := range slices.Backward(l.list) {
		if s.object == nil {
			continue
		}
		size += sizeOf(s.object)
		if size > maxContent && i < len(l.list)-1 && i > last {
			s.object, s.dropped = nil, true
		}
	}
}

// undecided are the sightings of which nobody knows yet how they came about.
func (l *ledger) undecided() (list []*sighting) {
	for _, s := range l.list {
		if !s.decided() {
			list = append(list, s)
		}
	}
	return list
}

// same is when the same change was stored before, as far as it is remembered; zero: it was not.
func (l *ledger) same(s *sighting) (at time.Time) {
	for _, other := range l.list {
		if other == s {
			break
		}
		if other.before == s.before && other.hash == s.hash {
			at = other.at
		}
	}
	return at
}

// run are the newest contents that nobody has admitted as far as is known, the oldest first: each followed
// the one before, which this process has seen.
func (l *ledger) run() []*sighting {
	for i, s := range slices.Backward(l.list) {
		if s.gap || s.inherit || s.how != history.Bypassed && s.how != history.Pending {
			return l.list[i+1:]
		}
	}
	return l.list
}

// kept are the versions whose content this process has in memory, the oldest first.
func (l *ledger) kept() (list []history.Version) {
	for _, s := range l.list {
		if s.object != nil && s.number > 0 {
			list = append(list, history.Version{
				Number: s.number, Time: s.at, ResourceVersion: s.version, Hash: s.hash, How: s.how,
				Data: s.object.Data, BinaryData: s.object.BinaryData,
			})
		}
	}
	return list
}

// witnessed are the versions of a history whose content this process has seen stored itself. Whoever may write
// ConfigMaps in the guard's namespace can write a history; what is put back is not theirs to choose. That a
// content is that of its hash is seen to where the history is read.
func (l *ledger) witnessed(versions []history.Version) (list []history.Version) {
	for _, v := range versions {
		if v.Restorable() && slices.Contains(l.seen, v.Hash) {
			list = append(list, v)
		}
	}
	return list
}

// adopt takes over what the history says about versions that this process has seen, too. It is called
// when this process has become the leader, whose decisions those of the one before are.
func (l *ledger) adopt(log *history.Log) {
	versions := log.Versions()
	for _, s := range l.list {
		i := slices.IndexFunc(versions, func(v history.Version) bool { return s.is(&v) })
		if i < 0 {
			continue
		}
		s.number = versions[i].Number
		if how := versions[i].How; how != history.Pending {
			s.how, s.requester, s.stored = how, versions[i].Requester, true
		}
	}
	var inherited []*sighting
	for i := range versions {
		v := &versions[i]
		if v.How != history.Pending || slices.ContainsFunc(l.list, func(s *sighting) bool { return s.number == v.Number }) {
			continue
		}
		s := &sighting{at: v.Time, version: v.ResourceVersion, inherit: true, hash: v.Hash, how: history.Pending, number: v.Number, manager: v.Manager, dropped: true}
		if i > 0 {
			s.before = versions[i-1].Hash
		}
		inherited = append(inherited, s)
	}
	l.list = append(inherited, l.list...)
}

// is reports whether a version of the history is this one.
func (s *sighting) is(v *history.Version) bool {
	return v.Hash == s.hash && v.Absent == (s.hash == "") && (v.ResourceVersion == s.version || s.version == "")
}

// known reports whether the history already has what this process found when it began to watch: the
// same content under another resourceVersion, because annotations have changed since.
func (s *sighting) known(log *history.Log) (number int, is bool) {
	newest, ok := log.Newest()
	switch {
	case !ok:
		return 0, s.hash == "" // a history does not begin with nothing
	case !s.gap:
		return 0, false
	case newest.Hash == s.hash && newest.Absent == (s.hash == ""):
		return newest.Number, true
	case !older(s.version, newest.ResourceVersion):
		return 0, false
	}
	for _, v := range log.Versions() {
		if v.Hash == s.hash {
			return v.Number, true
		}
	}
	return 0, false
}

// older compares resource versions, which are numbers (kubernetes KEP-5504, "Comparable Resource Version").
func older(a, b string) bool {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	return errX == nil && errY == nil && x < y
}

// hashOf is the hash of a content; empty where there is no object.
func hashOf(cm *corev1.ConfigMap) string {
	if cm == nil {
		return ""
	}
	return history.Hash(cm.Data, cm.BinaryData)
}

func sizeOf(cm *corev1.ConfigMap) (size int) {
	for key, value := range cm.Data {
		size += len(key) + len(value)
	}
	for key, value := range cm.BinaryData {
		size += len(key) + len(value)
	}
	return size
}

// writer is the field manager that has made the difference between two versions of an object; where the
// object does not tell, as when a key was only removed, the one that has written last.
func writer(before, after *corev1.ConfigMap) string {
	if after == nil {
		return ""
	}
	var old []metav1.ManagedFieldsEntry
	if before != nil && before.UID == after.UID {
		old = before.ManagedFields
	}
	changed := newestEntry(after.ManagedFields, func(e *metav1.ManagedFieldsEntry) bool {
		return !slices.ContainsFunc(old, func(o metav1.ManagedFieldsEntry) bool {
			return o.Manager == e.Manager && o.Operation == e.Operation && o.Time.Equal(e.Time)
		})
	})
	if changed != "" {
		return changed
	}
	return newestEntry(after.ManagedFields, func(*metav1.ManagedFieldsEntry) bool { return true })
}

func newestEntry(entries []metav1.ManagedFieldsEntry, wanted func(*metav1.ManagedFieldsEntry) bool) string {
	name, at := "", time.Time{}
	for i := range entries {
		if e := &entries[i]; wanted(e) && e.Time != nil && !e.Time.Time.Before(at) {
			name, at = e.Manager, e.Time.Time
		}
	}
	return name
}
