package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Log is the history: versions with ascending numbers, the oldest first, and the other state that survives a change of the
// leader. The zero Log is empty.
type Log struct {
	// Restores are the times at which the guard has restored a version, the oldest first.
	Restores []time.Time
	// IAM holds the unique ids of principals in IAM, by ARN.
	IAM map[string]string

	entries    []entry
	next       int      // number of the next version; 0 means 1
	identities []string // of the newest appended versions, even if dropped since; see identity
	damaged    []*EntryError
}

// EntryError describes a part of a ConfigMap that can't be decoded.
type EntryError struct {
	Key string // a key of data or binaryData
	Err error
}

func (e *EntryError) Error() string { return fmt.Sprintf("reading the key %s: %v", e.Key, e.Err) }
func (e *EntryError) Unwrap() error { return e.Err }

// Number returns the number of the version that the key belongs to, or 0 if the key doesn't belong to a version.
func (e *EntryError) Number() int {
	n, _ := versionNumber(e.Key)
	return n
}

// Damaged returns the parts that could not be decoded. A damaged version keeps its number and its place in the log until it is
// dropped as the oldest version.
func (l *Log) Damaged() []*EntryError { return l.damaged }

// Versions returns the versions that could be decoded, the oldest first.
func (l *Log) Versions() []Version {
	var list []Version
	for i := range l.entries {
		if l.entries[i].ok {
			list = append(list, l.entries[i].Version)
		}
	}
	return list
}

// Newest returns the newest version that could be decoded.
func (l *Log) Newest() (Version, bool) {
	for _, e := range slices.Backward(l.entries) {
		if e.ok {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Append adds v as the newest version and gives it the next number. If this or another process has appended the same version
// before, Append doesn't add it again, even if it was dropped since. Then added is false, and number is the number of the earlier
// version, or 0 if that was dropped. Callers append versions in the order in which they were stored.
func (l *Log) Append(v Version) (number int, added bool) {
	v.Manager, v.ResourceVersion = truncate(v.Manager), truncate(v.ResourceVersion)
	if text, err := json.Marshal(v.Cluster); err != nil || len(text) > maxCluster {
		v.Cluster = nil
	}
	id := identity(&v)
	if newest, ok := l.Newest(); id == "" && ok && newest.Deleted == v.Deleted && newest.Hash == v.Hash {
		return newest.Number, false
	}
	if id != "" && slices.Contains(l.identities, id) {
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
	l.addIdentity(id)
	return v.Number, true
}

// NewestGood returns the newest version that could be decoded and is [Version.Good].
func (l *Log) NewestGood() (Version, bool) {
	for i := range slices.Backward(l.entries) {
		if e := &l.entries[i]; e.ok && e.Good() {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Has reports whether a version was appended before, even if it was dropped since.
func (l *Log) Has(v *Version) bool {
	id := identity(v)
	return id != "" && slices.Contains(l.identities, id)
}

// maxTextBytes limits a text that a client has chosen.
const maxTextBytes = 512

func truncate(s string) string {
	if len(s) <= maxTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxTextBytes], "") + "…"
}
