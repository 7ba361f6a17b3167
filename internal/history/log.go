package history

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Log is the history. It holds the versions, sorted from the oldest to the newest, and further state for the next leader. The zero
// Log is empty.
type Log struct {
	// Restores are the times at which the guard has restored a version, sorted from the oldest to the newest.
	Restores []time.Time
	// IAM holds the unique ids of principals in IAM, by ARN.
	IAM map[string]string

	entries    []entry
	next       int      // number of the next version; 0 means 1
	identities []string // the identities of the last appended versions, even if Write has removed a version since
	damaged    []*EntryError
}

// EntryError describes a part of a ConfigMap that can't be decoded.
type EntryError struct {
	Key string // a key of data or binaryData
	Err error
}

func (e *EntryError) Error() string { return fmt.Sprintf("reading the key %s: %v", e.Key, e.Err) }
func (e *EntryError) Unwrap() error { return e.Err }

// Number returns the number of the version that has this key. It returns 0 if the key doesn't belong to a version.
func (e *EntryError) Number() int {
	n, _ := versionNumber(e.Key)
	return n
}

// Damaged returns the parts that could not be decoded. A damaged version keeps its number and its place in the log until Write
// removes it as the oldest version.
func (l *Log) Damaged() []*EntryError { return l.damaged }

// Versions returns the versions that could be decoded, sorted from the oldest to the newest.
func (l *Log) Versions() []Version {
	var list []Version
	for i := range l.entries {
		if l.entries[i].ok {
			list = append(list, l.entries[i].Version)
		}
	}
	return list
}

// Newest returns the newest version that could be decoded, or false if there is none.
func (l *Log) Newest() (Version, bool) {
	for _, e := range slices.Backward(l.entries) {
		if e.ok {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Append adds v as the newest version, gives it the next number, and returns this number. Callers must append versions in the
// order in which the API server stored them.
//
// If this or another process has appended the same version before, Append doesn't add it again, and added is false. number is
// then the number of the earlier version, or 0 if Write has removed that version. Without a resourceVersion, v is the same
// version if the newest one has the same content.
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

// NewestGood returns the newest version for which [Version.Good] returns true, or false if there is none.
func (l *Log) NewestGood() (Version, bool) {
	for i := range slices.Backward(l.entries) {
		if e := &l.entries[i]; e.ok && e.Good() {
			return e.Version, true
		}
	}
	return Version{}, false
}

// Has reports whether a process has appended this version, even if Write has removed it since.
func (l *Log) Has(v *Version) bool {
	id := identity(v)
	return id != "" && slices.Contains(l.identities, id)
}

// maxTextBytes limits the length of a text that a client has chosen, in bytes.
const maxTextBytes = 512

func truncate(s string) string {
	if len(s) <= maxTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxTextBytes], "") + "…"
}
