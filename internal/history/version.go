// Package history is what the guard remembers of aws-auth: the versions that were stored, and what each
// replica of the webhook has admitted. Both are kept in ConfigMaps of the guard's own namespace.
//
// The package decides nothing: it holds, bounds, encodes and finds. What it reads may have been written
// by somebody else, so that each part is read within bounds, and a damaged part does not hide the others.
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

// How says how a version came to be stored.
type How string

// The ways. Admitted, Overridden and Observed are what a webhook has said: overridden are changes that
// were admitted because of an annotation, observed those by somebody who is never refused.
const (
	Found      How = "found"      // it was there when somebody began to watch, or after a gap in the watch
	Pending    How = "pending"    // nobody has said yet that it was admitted
	Admitted   How = "admitted"   // by the rules
	Overridden How = "overridden" // against the rules
	Observed   How = "observed"   // by the webhook that refuses nothing
	Bypassed   How = "bypassed"   // no webhook has seen it
	Restored   How = "restored"   // by the guard itself
	Refused    How = "refused"    // of an admission only: a webhook has refused what is stored all the same
)

// Version is one content of aws-auth that was stored.
type Version struct {
	// Number counts from 1. A number is never used again.
	Number int `json:"number"`
	// Time is when it was seen; it may have been stored earlier.
	Time            time.Time `json:"time"`
	ResourceVersion string    `json:"resourceVersion"`
	// Hash is that of the content, see [Hash]; empty where Absent.
	Hash string `json:"hash"`
	// Absent: aws-auth was deleted.
	Absent bool `json:"absent,omitempty"`
	How    How  `json:"how"`
	// Requester is the user's name as the webhook was told it; empty where it is not known.
	Requester string `json:"requester,omitempty"`
	// Manager is the field manager that has written the data last, as managedFields name it.
	Manager string `json:"manager,omitempty"`
	// Verdict is what the rules said of this version by itself when it was seen, and Rules are those
	// that had findings.
	Verdict validate.Action `json:"verdict"`
	Rules   []string        `json:"rules,omitempty"`
	Summary Summary         `json:"summary"`
	// Data, BinaryData and Immutable are the content.
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	// Truncated: the content was too large to keep.
	Truncated bool `json:"truncated,omitempty"`
}

// Summary is what a version comes to, by what the authenticator loads from it.
type Summary struct {
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
