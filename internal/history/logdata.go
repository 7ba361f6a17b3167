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
	// maxBytes bounds a ConfigMap's values together. The API server refuses more than 1 MiB (kubernetes
	// v1.36.3, pkg/apis/core/validation, ValidateConfigMap).
	maxBytes = 900 << 10
	// maxSeen bounds the identities of versions that are remembered: more than a standby buffers.
	maxSeen = 256
	// maxRestores bounds the times of restores, of which those of the last hour count.
	maxRestores = 100
	// maxIAM bounds the text of the ids: some 500 principals.
	maxIAM = 64 << 10
	// maxNumber is the highest number that a key has room for.
	maxNumber = 999_999_999_999
)

// Keys under data.
const (
	keyNext     = "next"
	keySeen     = "seen"
	keyRestores = "restores"
	keyIAM      = "iam"
)

// entry is a version and its stored form.
type entry struct {
	Version // where ok; otherwise its Number alone

	ok   bool
	raw  []byte // as it is stored; nil where it is new or has changed
	size int    // what raw unfolds to
}

// keyOf is a version's key under binaryData. Its digits put the keys into the order of the numbers.
func keyOf(number int) string { return fmt.Sprintf("v%012d", number) }

func numberOf(key string) (int, bool) {
	digits, ok := strings.CutPrefix(key, "v")
	if !ok || len(digits) != len(strconv.Itoa(maxNumber)) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	return int(n), err == nil && n > 0
}

// identity tells versions apart, for whoever appends them. Resource versions alone do not: they begin
// again where etcd is restored from a backup. It is empty where the resource version is not known.
func identity(v *Version) string {
	switch {
	case v.ResourceVersion == "":
		return ""
	case v.Absent:
		return v.ResourceVersion + "/absent"
	}
	return v.ResourceVersion + "/" + v.Hash[:min(len(v.Hash), 8)]
}

func (l *Log) remember(id string) {
	if id == "" {
		return
	}
	l.seen = append(l.seen, id)
	l.seen = l.seen[max(len(l.seen)-maxSeen, 0):]
}

// Read reads the log of a ConfigMap. It never fails as a whole: what cannot be read is in [Log.Damaged].
func Read(cm *corev1.ConfigMap) *Log {
	l := new(Log)
	budget := maxTotal
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(cm.BinaryData))) { // the newest have most right to the budget
		number, ok := numberOf(key)
		if !ok {
			l.fail(key, errors.New("it is no version"))
			continue
		}
		e := entry{raw: cm.BinaryData[key]}
		var err error
		if e.size, err = readVersion(e.raw, &e.Version, min(maxDecoded, budget)); err != nil {
			e.Version = Version{}
			l.fail(key, err)
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

func (l *Log) fail(key string, err error) { l.damaged = append(l.damaged, &EntryError{key, err}) }

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
	case v.Absent:
		if len(v.Data)+len(v.BinaryData) > 0 {
			return size, errors.New("it is absent and has a content")
		}
	case Hash(v.Data, v.BinaryData) != v.Hash:
		return size, errors.New("its content is not that of its hash")
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
			l.fail(key, fmt.Errorf("decoding: %w", err))
		}
	}
	next := 0
	read(keyNext, &next)
	if next > l.next {
		l.next = next
	}
	read(keySeen, &l.seen)
	read(keyRestores, &l.Restores)
	l.Restores = slices.DeleteFunc(l.Restores, func(at time.Time) bool { return at.UTC().Year() < 0 || at.UTC().Year() > 9999 }) // cannot be written
	read(keyIAM, &l.IAM)
	for i := range l.entries { // also where what was seen is damaged
		if id := identity(&l.entries[i].Version); l.entries[i].ok && !slices.Contains(l.seen, id) {
			l.remember(id)
		}
	}
}

// Write makes the log the content of a ConfigMap: at most so many versions, and not more bytes than it may
// have. The oldest are dropped first, but the newest good version is kept in addition where all newer ones are bad:
// bad writes alone must not leave a rollback without a version. A version that is too large by itself is kept
// without its content. The same log gives the same bytes.
func (l *Log) Write(cm *corev1.ConfigMap, versions int) error {
	data, size, err := l.writeData()
	if err != nil {
		return err
	}
	binaryData := make(map[string][]byte)
	room, unfolded := maxBytes-size, maxTotal
	put := func(e *entry) (ok bool, err error) {
		if err := e.encode(maxBytes - size); err != nil {
			return false, fmt.Errorf("writing version %d: %w", e.Number, err)
		}
		if room, unfolded = room-len(e.raw), unfolded-e.size; room < 0 || unfolded < 0 {
			room, unfolded = room+len(e.raw), unfolded+e.size
			return false, nil
		}
		binaryData[keyOf(e.Number)] = e.raw
		return true, nil
	}
	good := -1 // the newest good version
	for i := range slices.Backward(l.entries) {
		if e := &l.entries[i]; e.ok && e.Good() {
			good = i
			if _, err := put(e); err != nil {
				return err
			}
			break
		}
	}
	first := len(l.entries) // of the newest versions
	for first > 0 && len(l.entries)-first < max(versions, 1) {
		if first-1 != good {
			if ok, err := put(&l.entries[first-1]); err != nil {
				return err
			} else if !ok {
				break
			}
		}
		first--
	}
	l.entries = slices.DeleteFunc(l.entries, func(e entry) bool { return binaryData[keyOf(e.Number)] == nil })
	cm.Data, cm.BinaryData = data, binaryData
	return nil
}

// encode makes the stored form of a version that has none, without the content where that is too large.
func (e *entry) encode(limit int) (err error) {
	if e.raw != nil {
		return nil
	}
	if e.Number > maxNumber {
		return errors.New("there is no number left; empty the ConfigMap of the history (data and binaryData) to begin anew")
	}
	if e.raw, e.size, err = encode(storedForm(&e.Version)); err != nil || len(e.raw) <= limit && e.size <= maxDecoded {
		return err
	}
	e.Data, e.BinaryData, e.Truncated = nil, nil, true
	e.raw, e.size, err = encode(&e.Version)
	return err
}

// storedForm moves the values that are not UTF-8 to where JSON keeps them.
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

// writeData writes what stands under data, and how large it is.
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
	if len(l.seen) > 0 {
		write(keySeen, l.seen[max(len(l.seen)-maxSeen, 0):])
	}
	if len(l.Restores) > 0 {
		restores := make([]time.Time, 0, len(l.Restores))
		for _, at := range l.Restores[max(len(l.Restores)-maxRestores, 0):] {
			restores = append(restores, at.UTC())
		}
		write(keyRestores, restores)
	}
	if len(l.IAM) > 0 {
		write(keyIAM, bounded(l.IAM))
	}
	return data, size, err
}

// bounded leaves out the ids for which there is no room.
func bounded(ids map[string]string) map[string]string {
	kept, room := make(map[string]string, len(ids)), maxIAM
	for _, arn := range slices.Sorted(maps.Keys(ids)) {
		if room -= len(arn) + len(ids[arn]) + len(`"":"",`); room < 0 {
			break
		}
		kept[arn] = ids[arn]
	}
	return kept
}
