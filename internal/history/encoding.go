package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
)

const (
	// maxStoredBytes limits all values of a ConfigMap together. The API server refuses more than 1 MiB (kubernetes v1.36.3,
	// pkg/apis/core/validation, ValidateConfigMap).
	maxStoredBytes = 900 << 10
	// maxIdentities limits the number of stored identities of versions. A replica queues fewer versions until it becomes the
	// leader. So the log recognizes each queued version that an earlier leader has appended.
	maxIdentities = 256
	// maxRestores limits the number of stored times of restores. Only the restores of the last hour count.
	maxRestores = 100
	// maxCluster limits the size of Version.Cluster as JSON, in bytes. This is enough for about 250 access entries.
	maxCluster = 64 << 10
	// maxIAM limits the size of the unique ids with their ARNs, in bytes. This is enough for about 500 principals.
	maxIAM = 64 << 10
	// maxNumber is the highest number of a version that fits into a key.
	maxNumber = 999_999_999_999
)

// Keys in data.
const (
	keyNext     = "next"
	keySeen     = "seen"
	keyRestores = "restores"
	keyIAM      = "iam"
)

// entry is a version with its compressed JSON.
type entry struct {
	Version // if ok is false, only Number is set

	ok   bool   // the version could be decoded
	raw  []byte // the compressed JSON; nil if the version is not encoded yet
	size int    // the decompressed size of raw
}

// versionKey returns the key of a version in binaryData. The keys sort in the order of the numbers.
func versionKey(number int) string { return fmt.Sprintf("v%012d", number) }

func versionNumber(key string) (int, bool) {
	digits, ok := strings.CutPrefix(key, "v")
	if !ok || len(digits) != len(strconv.Itoa(maxNumber)) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int(n), err == nil && n > 0
}

// identity returns a text that identifies a version in every process. It contains the resourceVersion and a part of the hash. A
// resourceVersion alone is not unique, because the numbers start again when an operator restores etcd from a backup. If the
// resourceVersion is unknown, identity returns "".
func identity(v *Version) string {
	switch {
	case v.ResourceVersion == "":
		return ""
	case v.Deleted:
		return v.ResourceVersion + "/deleted"
	}
	return v.ResourceVersion + "/" + v.Hash[:min(len(v.Hash), 8)]
}

func (l *Log) addIdentity(id string) {
	if id == "" {
		return
	}
	l.identities = append(l.identities, id)
	l.identities = l.identities[max(len(l.identities)-maxIdentities, 0):]
}

// Read decodes the log in a ConfigMap. If it can't decode a part, it continues, and [Log.Damaged] returns this part.
func Read(cm *corev1.ConfigMap) *Log {
	l := new(Log)
	budget := maxTotalBytes
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(cm.BinaryData))) { // begin with the newest, so that maxTotalBytes excludes old versions
		number, ok := versionNumber(key)
		if !ok {
			l.addDamaged(key, errors.New("the key does not belong to a version"))
			continue
		}
		e := entry{raw: cm.BinaryData[key]}
		var err error
		if e.size, err = readVersion(e.raw, &e.Version, min(maxPartBytes, budget)); err != nil {
			e.Version = Version{}
			l.addDamaged(key, err)
		}
		e.ok, e.Number = err == nil, number
		budget -= e.size
		l.entries = append(l.entries, e)
		l.next = max(l.next, number+1)
	}
	slices.Reverse(l.entries)
	slices.Reverse(l.damaged)
	l.readData(cm.Data)
	return l
}

func (l *Log) addDamaged(key string, err error) { l.damaged = append(l.damaged, &EntryError{key, err}) }

func readVersion(raw []byte, v *Version, limit int) (size int, err error) {
	if size, err = decode(raw, v, limit); err != nil {
		return size, err
	}
	for key, value := range v.RawData {
		if v.Data == nil {
			v.Data = make(map[string]string)
		}
		v.Data[key] = string(value)
	}
	v.RawData = nil
	switch {
	case v.Truncated:
		v.Data, v.BinaryData = nil, nil
	case v.Deleted:
		if len(v.Data)+len(v.BinaryData) > 0 {
			return size, errors.New("the version is a deletion, but has content")
		}
	case Hash(v.Data, v.BinaryData) != v.Hash:
		return size, errors.New("the content does not match its hash")
	}
	return size, nil
}

func (l *Log) readData(data map[string]string) {
	read := func(key string, into any) {
		text, ok := data[key]
		if !ok {
			return
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			l.addDamaged(key, fmt.Errorf("decoding: %w", err))
		}
	}
	next := 0
	read(keyNext, &next)
	if next > l.next {
		l.next = next
	}
	read(keySeen, &l.identities)
	read(keyRestores, &l.Restores)
	l.Restores = slices.DeleteFunc(l.Restores, func(at time.Time) bool { return at.UTC().Year() < 0 || at.UTC().Year() > 9999 }) // JSON can't encode these
	read(keyIAM, &l.IAM)
	for i := range l.entries { // add missing identities, because the part with the identities may be damaged
		if id := identity(&l.entries[i].Version); l.entries[i].ok && !slices.Contains(l.identities, id) {
			l.addIdentity(id)
		}
	}
}

// Write replaces the content of a ConfigMap by the log. The same log gives the same bytes. Write removes the oldest versions from
// the log until at most the given number of versions is left and their size is within the limits. There are two exceptions:
//
//   - Write always keeps the newest good version, so that a rollback has a version to restore.
//   - Write keeps a version that is too large by itself, but without its content.
func (l *Log) Write(cm *corev1.ConfigMap, versions int) error {
	data, size, err := l.writeData()
	if err != nil {
		return err
	}
	binaryData := make(map[string][]byte)
	room, unfolded := maxStoredBytes-size, maxTotalBytes
	store := func(e *entry) (ok bool, err error) {
		if err := e.encode(maxStoredBytes - size); err != nil {
			return false, fmt.Errorf("writing version %d: %w", e.Number, err)
		}
		if room, unfolded = room-len(e.raw), unfolded-e.size; room < 0 || unfolded < 0 {
			room, unfolded = room+len(e.raw), unfolded+e.size
			return false, nil
		}
		binaryData[versionKey(e.Number)] = e.raw
		return true, nil
	}
	good := -1 // index of the newest good version
	for i := range slices.Backward(l.entries) {
		if e := &l.entries[i]; e.ok && e.Good() {
			good = i
			if _, err := store(e); err != nil {
				return err
			}
			break
		}
	}
	first := len(l.entries) // index of the oldest version that Write keeps
	for first > 0 && len(l.entries)-first < max(versions, 1) {
		if first-1 != good {
			if ok, err := store(&l.entries[first-1]); err != nil {
				return err
			} else if !ok {
				break
			}
		}
		first--
	}
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return binaryData[versionKey(e.Number)] == nil })
	cm.Data, cm.BinaryData = data, binaryData
	return nil
}

// encode sets raw and size if raw is nil. If the compressed version has more than limit bytes, or more than maxPartBytes before
// compression, encode removes the content of the version.
func (e *entry) encode(limit int) (err error) {
	if e.raw != nil {
		return nil
	}
	if e.Number > maxNumber {
		return errors.New("all version numbers are used; empty data and binaryData of the history's ConfigMap to start again")
	}
	if e.raw, e.size, err = encode(storedForm(&e.Version)); err != nil || len(e.raw) <= limit && e.size <= maxPartBytes {
		return err
	}
	e.Data, e.BinaryData, e.Truncated = nil, nil, true
	e.raw, e.size, err = encode(&e.Version)
	return err
}

// storedForm returns the version in the form that encode can store as JSON. In this form, the values of Data that are not UTF-8
// are in RawData, because JSON would change them.
func storedForm(v *Version) *Version {
	if !slices.ContainsFunc(slices.Collect(maps.Values(v.Data)), func(text string) bool { return !utf8.ValidString(text) }) {
		return v
	}
	form := *v
	form.Data, form.RawData = make(map[string]string), make(map[string][]byte)
	for key, text := range v.Data {
		if utf8.ValidString(text) {
			form.Data[key] = text
		} else {
			form.RawData[key] = []byte(text)
		}
	}
	return &form
}

// writeData returns the data of the ConfigMap, and the size of its values in bytes.
func (l *Log) writeData() (data map[string]string, size int, err error) {
	data = make(map[string]string)
	write := func(key string, v any) {
		text, e := json.Marshal(v)
		if e != nil && err == nil {
			err = fmt.Errorf("encoding %s: %w", key, e)
		}
		data[key] = string(text)
		size += len(text)
	}
	write(keyNext, max(l.next, 1))
	if len(l.identities) > 0 {
		write(keySeen, l.identities[max(len(l.identities)-maxIdentities, 0):])
	}
	if len(l.Restores) > 0 {
		restores := make([]time.Time, 0, len(l.Restores))
		for _, at := range l.Restores[max(len(l.Restores)-maxRestores, 0):] {
			restores = append(restores, at.UTC())
		}
		write(keyRestores, restores)
	}
	if len(l.IAM) > 0 {
		write(keyIAM, limitIDs(l.IAM))
	}
	return data, size, err
}

// limitIDs returns as many unique ids as fit into maxIAM bytes, in the order of their ARNs.
func limitIDs(ids map[string]string) map[string]string {
	kept, room := make(map[string]string, len(ids)), maxIAM
	for _, arn := range slices.Sorted(maps.Keys(ids)) {
		if room -= len(arn) + len(ids[arn]) + len(`"":"",`); room < 0 {
			break
		}
		kept[arn] = ids[arn]
	}
	return kept
}
