// Package history stores the versions of aws-auth in a ConfigMap in the guard's own namespace.
//
// Other programs can write the ConfigMap. Therefore the package limits the size of each part that it decodes, and it reads the other
// parts even if a part is damaged.
package history

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Origin is the kind of write that stored a version, as far as the leader knows.
type Origin string

// The origins.
const (
	Found      Origin = "found"      // the watch received the version at its beginning or after a gap, so the change is not known
	Changed    Origin = "changed"    // the rules admit the change, or EKS made it
	Overridden Origin = "overridden" // the change set the break-glass annotation
	Bypassed   Origin = "bypassed"   // the rules refuse the change, so it bypassed the guard
	Restored   Origin = "restored"   // the guard restored the version
)

// Version is a stored content of aws-auth, or its deletion.
type Version struct {
	// Number counts from 1. A number is never reused.
	Number int `json:"number"`
	// Time is when the guard observed the version. The API server may have stored the version earlier.
	Time            time.Time `json:"time"`
	ResourceVersion string    `json:"resourceVersion"`
	// Hash is the result of [Hash] for the content. It is empty for a deletion.
	Hash string `json:"hash"`
	// Deleted reports that aws-auth was deleted.
	Deleted bool   `json:"absent,omitempty"`
	Origin  Origin `json:"how"`
	// Manager is the field manager of the change according to managedFields.
	Manager string `json:"manager,omitempty"`
	// Lost lists the rules that refuse the change from the last good version to this version because the change locks out
	// people or all nodes.
	Lost []string `json:"lost,omitempty"`
	// Verdict is the result of evaluating this version by itself when the guard observed it. Rules lists the rules that then
	// had findings.
	Verdict validate.Action `json:"verdict"`
	Rules   []string        `json:"rules,omitempty"`
	Summary Summary         `json:"summary"`
	// Data, BinaryData and Immutable are the content.
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
	Immutable  bool              `json:"immutable,omitempty"`
	// RawData holds the values of Data that are not UTF-8, because JSON would change them. Only the JSON of a version has it.
	RawData map[string][]byte `json:"rawData,omitempty"`
	// Cluster holds the authentication mode and the access entries of the cluster when the guard observed the version. It is nil
	// if the guard didn't know them, or if they were larger than 64 KiB in JSON.
	Cluster *access.Cluster `json:"cluster,omitempty"`
	// Truncated reports that the content is missing because it was too large to store.
	Truncated bool `json:"truncated,omitempty"`
}

// Summary holds counts of a version's effective access.
type Summary struct {
	// Unknown reports that a section exceeds a limit of the evaluation. All counts are then 0.
	Unknown bool `json:"unknown,omitempty"`
	// Admins is the number of principals with an admin group. Nodes is the number of principals that log in as nodes.
	Admins int `json:"admins"`
	Nodes  int `json:"nodes"`
	// Roles, Users and Accounts are the numbers of entries in mapRoles, mapUsers and mapAccounts that are in force.
	Roles    int `json:"roles"`
	Users    int `json:"users"`
	Accounts int `json:"accounts"`
	// ProtectedMissing is the number of protected principals that lack a group or the rights of an admin.
	ProtectedMissing int `json:"protectedMissing,omitempty"`
}

// Entries returns the number of entries in force in all sections together.
func (s Summary) Entries() int { return s.Roles + s.Users + s.Accounts }

// Object returns the content in the form that the rules evaluate, or nil for a deletion.
func (v *Version) Object() *awsauth.Object {
	if v.Deleted {
		return nil
	}
	return &awsauth.Object{Data: v.Data, BinaryData: slices.Sorted(maps.Keys(v.BinaryData)), Immutable: v.Immutable}
}

// Restorable reports whether the version has a content that can be restored.
func (v *Version) Restorable() bool { return !v.Deleted && !v.Truncated }

// Good reports whether a rollback may choose the version automatically. The content of such a version is stored, its change didn't
// bypass the guard, and the change locked out no people and not all nodes.
func (v *Version) Good() bool { return v.Restorable() && v.Origin != Bypassed && len(v.Lost) == 0 }

// Hash returns the SHA-256 of the content of a ConfigMap, in hexadecimal. The input of the hash is the sorted keys with
// their values. The length of each key and value comes before it, so that different contents have different inputs.
// Missing data and empty data have the same hash.
//
// Hash treats a byte of data that is not UTF-8 as U+FFFD. The watch receives such a byte, and the webhook receives
// U+FFFD for it. So the content has the same hash in the watch and in the webhook.
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
