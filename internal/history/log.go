package history

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Log is the history: versions with ascending numbers, the oldest first, and what else the leader has
// to remember. The zero Log is empty.
type Log struct {
	// Restores are the times at which the guard has put a version back, the oldest first.
	Restores []time.Time
	// IAM holds the unique ids that IAM has for principals, by ARN.
	IAM map[string]string

	entries []entry
	next    int      // the number of the next version; 0 stands for 1
	seen    []string // the identities of the newest versions that were ever appended, see identity
	damaged []*EntryError
}

// EntryError is a part of a ConfigMap that cannot be read.
type EntryError struct {
	Key string // under data or binaryData
	Err error
}

func (e *EntryError) Error() string { return fmt.Sprintf("reading the key %s: %v", e.Key, e.Err) }
func (e *EntryError) Unwrap() error { return e.Err }

// Number is that of the version under the key, or 0 where the key is none of a version.
func (e *EntryError) Number() int {
	n, _ := numberOf(e.Key)
	return n
}

// Damaged are the parts that could not be read. A version among them keeps its number and its place until
// it is the oldest.
func (l *Log) Damaged() []*EntryError { return l.damaged }

// Versions returns the versions that could be read, the oldest first.
func (l *Log) Versions() []Version {
	var list []Version
	for i := range l.entries {
		if l.entries[i].ok {
			list = append(list, l.entries[i].Version)
		}
	}
	return list
}

// Newest returns the newest version that could be read.
func (l *Log) Newest() (Version, bool) {
	for _, e := range slices.Backward(l.entries) {
		if e.ok {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Append adds a version behind the others and gives it a number. A version that was appended before, by
// whomever, is not added again, also if it has been dropped since: then added is false, and number is
// that of the version, or 0 where it is gone. Who appends several appends them in the order in which
// they were stored.
func (l *Log) Append(v Version) (number int, added bool) {
	v.Manager, v.ResourceVersion = cut(v.Manager), cut(v.ResourceVersion)
	id := identity(&v)
	if newest, ok := l.Newest(); id == "" && ok && newest.Absent == v.Absent && newest.Hash == v.Hash {
		return newest.Number, false
	}
	if id != "" && slices.Contains(l.seen, id) {
		i := slices.IndexFunc(l.entries, func(e entry) bool { return e.ok && identity(&e.Version) == id })
		if i < 0 {
			return 0, false
		}
		return l.entries[i].Number, false
	}
	l.next = max(l.next, 1)
	v.Number, v.Time = l.next, v.Time.UTC()
	l.next++
	l.entries = append(l.entries, entry{Version: v, ok: true})
	l.remember(id)
	return v.Number, true
}

// NewestGood returns the newest version that could be read and is [Version.Good].
func (l *Log) NewestGood() (Version, bool) {
	for i := range slices.Backward(l.entries) {
		if e := &l.entries[i]; e.ok && e.Good() {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Has reports whether a version was appended before, also where it has been dropped since.
func (l *Log) Has(v *Version) bool {
	id := identity(v)
	return id != "" && slices.Contains(l.seen, id)
}

// maxText bounds a text that a client has chosen, in bytes.
const maxText = 512

func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "…"
}
