// Package history keeps the versions of aws-auth that were stored, in a ConfigMap of the guard's own namespace.
//
// The package decides nothing: it holds, bounds and encodes. Another program may have written what it reads, so
// that it reads each part within bounds, and a damaged part doesn't hide the others.
package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// How says how a version came to be stored, as far as the leader could tell.
type How string

// The ways.
const (
	Found      How = "found"      // it was stored when the guard began to watch, or after a gap in the watch
	Changed    How = "changed"    // the guard observed the change, and the rules admit it
	Overridden How = "overridden" // the change set the break-glass annotation
	Bypassed   How = "bypassed"   // the rules refuse the change: the guard was not asked
	Restored   How = "restored"   // the guard restored it
)

// Version is one content of aws-auth that was stored.
type Version struct {
	// Number counts from 1. A number is never used again.
	Number int `json:"number"`
	// Time is when it was observed; it may have been stored earlier.
	Time            time.Time `json:"time"`
	ResourceVersion string    `json:"resourceVersion"`
	// Hash is that of the content, see [Hash]; empty where Absent.
	Hash string `json:"hash"`
	// Absent: aws-auth was deleted.
	Absent bool `json:"absent,omitempty"`
	How    How  `json:"how"`
	// Manager is the field manager that made the change, as managedFields name it.
	Manager string `json:"manager,omitempty"`
	// Lost are the rules that refuse the change from the last good version to this one because it locks people or
	// all nodes out.
	Lost []string `json:"lost,omitempty"`
	// Verdict is what the rules said of this version by itself when it was observed, and Rules are those
	// that had findings.
	Verdict validate.Action `json:"verdict"`
	Rules   []string        `json:"rules,omitempty"`
	Summary Summary         `json:"summary"`
	// Data, BinaryData and Immutable are the content.
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	// RawData holds, in the stored form alone, the values of Data that are not UTF-8: JSON would change them.
	RawData map[string][]byte `json:"rawData,omitempty"`
	// Truncated: the content was too large to keep.
	Truncated bool `json:"truncated,omitempty"`
}

// Summary is what a version comes to, by what the authenticator loads from it.
type Summary struct {
	// Unknown: a section is past a limit of evaluation, so that the numbers are not known and are all 0.
	Unknown bool `json:"unknown,omitempty"`
	// Admins is how many principals get an admin group, and Nodes how many log in as nodes.
	Admins int `json:"admins"`
	Nodes  int `json:"nodes"`
	// Roles, Users and Accounts are the entries of each section that are in force.
	Roles    int `json:"roles"`
	Users    int `json:"users"`
	Accounts int `json:"accounts"`
	// ProtectedMissing is how many protected principals do not get all their groups.
	ProtectedMissing int `json:"protectedMissing,omitempty"`
}

// Entries is how many entries of all sections are in force.
func (s Summary) Entries() int { return s.Roles + s.Users + s.Accounts }

// Object is the version's content as the rules see it; nil where aws-auth was absent.
func (v *Version) Object() *awsauth.Object {
	if v.Absent {
		return nil
	}
	return &awsauth.Object{Data: v.Data, BinaryData: slices.Sorted(maps.Keys(v.BinaryData)), Immutable: v.Immutable}
}

// Restorable reports whether the version has a content that can be put back.
func (v *Version) Restorable() bool { return !v.Absent && !v.Truncated }

// Good reports whether a rollback may choose the version by itself: it has a content, its change did not bypass the
// guard, and nothing was lost with it.
func (v *Version) Good() bool { return v.Restorable() && v.How != Bypassed && len(v.Lost) == 0 }

// Hash identifies the content of a ConfigMap: SHA-256 over its keys in their order and their values, in
// hexadecimal. Lengths are hashed with them, so that no two contents are written alike; that there is
// no data and that there is no binaryData is the same as that they are empty. A byte of data that is not
// UTF-8 is hashed as U+FFFD, which the webhook is shown in its place and the history keeps.
func Hash(data map[string]string, binaryData map[string][]byte) string {
	h := sha256.New()
	hashLength(h, len(data))
	for _, key := range slices.Sorted(maps.Keys(data)) {
		hashText(h, key)
		hashText(h, awsauth.ReplaceBytes(data[key]))
	}
	hashLength(h, len(binaryData))
	for _, key := range slices.Sorted(maps.Keys(binaryData)) {
		hashText(h, key)
		hashText(h, binaryData[key])
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hashLength(h hash.Hash, n int) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(n)) //nolint:gosec // a length is not negative
	h.Write(b[:])
}

func hashText[T string | []byte](h hash.Hash, text T) {
	hashLength(h, len(text))
	h.Write([]byte(text))
}
