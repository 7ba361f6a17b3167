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
	// maxIdentities limits the stored identities of versions. It is more than the number of versions that a replica queues until
	// it becomes the leader, so that no queued version is appended twice.
	maxIdentities = 256
	// maxRestores limits the stored times of restores. Only those of the last hour count.
	maxRestores = 100
	// maxCluster limits the access entries of a version, as JSON in bytes. It is enough for about 250 access entries.
	maxCluster = 64 << 10
	// maxIAM limits the text of the IAM ids, in bytes. It is enough for about 500 principals.
	maxIAM = 64 << 10
	// maxNumber is the highest number that fits into a key.
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
	Version // only Number is set if ok is false

	ok   bool
	raw  []byte // stored form; nil if the version is new or has changed
	size int    // decompressed size of raw
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

// identity identifies a version across processes. Resource versions alone are not unique, because they start again when etcd is
// restored from a backup. The identity is empty if the resource version is not known.
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

// Read decodes the log in a ConfigMap. It never fails: [Log.Damaged] returns the parts that could not be decoded.
func Read(cm *corev1.ConfigMap) *Log {
	l := new(Log)
	budget := maxTotalBytes
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(cm.BinaryData))) { // newest first, so that the limit hits old versions
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
			return size, errors.New("a deletion has a content")
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
	for i := range l.entries { // restores the identities if that part is damaged
		if id := identity(&l.entries[i].Version); l.entries[i].ok && !slices.Contains(l.identities, id) {
			l.addIdentity(id)
		}
	}
}

// Write replaces the content of a ConfigMap by the log. It keeps at most the given number of versions, within the size limits, and
// drops the oldest first. If no version among them is good, it also keeps the newest good version, so that a rollback always has a
// version to restore. A version that is too large by itself is kept without its content. The same log gives the same bytes.
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
	first := len(l.entries) // index of the oldest version that is kept
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

// encode sets raw and size unless raw is already set. It drops the content of the version if that is too large.
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

// storedForm returns the version as JSON encodes it: values of Data that are not UTF-8 are in RawData, because JSON would change them.
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

// writeData returns the content of data and its size in bytes.
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

// limitIDs returns as many ids as fit into maxIAM bytes.
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
