package history

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// maxReplica bounds the stored form of one replica, in bytes: 2,000 admissions have some 90 KiB, and six
// replicas share the 1 MiB of a ConfigMap.
const maxReplica = 160 << 10

// Record is what all replicas say.
type Record struct {
	Replicas map[string]Replica // by the name of the pod
	// Damaged are the keys that cannot be read. Of the replicas behind them nothing is known.
	Damaged []*EntryError
}

// RecordStore is the record in a ConfigMap of the API server. Each replica writes a key of its own, by a
// merge patch, so that replicas do not wait for each other.
type RecordStore struct {
	Client ConfigMaps // of the guard's namespace
	Name   string
}

// Write puts what a replica says under its key. The oldest admissions for which there is no room are
// dropped from r.
func (s *RecordStore) Write(ctx context.Context, replica string, r *Replica) error {
	raw, err := r.encode()
	if err != nil {
		return fmt.Errorf("writing the record of %s: %w", replica, err)
	}
	if err := s.patch(ctx, recordPatch{BinaryData: map[string][]byte{replica: raw}}); err != nil {
		return fmt.Errorf("writing the record of %s into the ConfigMap %s: %w", replica, s.Name, err)
	}
	return nil
}

// Remove takes a replica's key away. That it is not there is no error.
func (s *RecordStore) Remove(ctx context.Context, replica string) error {
	if err := s.patch(ctx, recordPatch{BinaryData: map[string][]byte{replica: nil}}); err != nil {
		return fmt.Errorf("removing the record of %s from the ConfigMap %s: %w", replica, s.Name, err)
	}
	return nil
}

// recordPatch is a JSON merge patch: a key that is nil goes.
type recordPatch struct {
	Metadata struct {
		ResourceVersion string `json:"resourceVersion,omitempty"`
	} `json:"metadata,omitzero"`
	BinaryData map[string][]byte `json:"binaryData"`
}

func (s *RecordStore) patch(ctx context.Context, p recordPatch) error {
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	_, err = s.Client.Patch(ctx, s.Name, types.MergePatchType, body, metav1.PatchOptions{FieldManager: fieldManager})
	return err
}

// Read reads what all replicas say.
func (s *RecordStore) Read(ctx context.Context) (Record, error) {
	cm, err := s.Client.Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return Record{}, fmt.Errorf("reading the record in the ConfigMap %s: %w", s.Name, err)
	}
	return ReadRecord(cm), nil
}

// DropStale takes away the keys that have not been renewed since a time, and those that cannot be read: a
// replica that is up writes its key again with its next admission. It returns the keys that it has dropped.
func (s *RecordStore) DropStale(ctx context.Context, before time.Time) (dropped []string, err error) {
	err = untilWritten(ctx, func(ctx context.Context) error {
		cm, err := s.Client.Get(ctx, s.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		record, p := ReadRecord(cm), recordPatch{BinaryData: make(map[string][]byte)}
		p.Metadata.ResourceVersion = cm.ResourceVersion // nobody has renewed it meanwhile
		for key := range cm.BinaryData {
			if r, ok := record.Replicas[key]; !ok || r.Renewed.Before(before) {
				p.BinaryData[key] = nil
			}
		}
		if dropped = slices.Sorted(maps.Keys(p.BinaryData)); len(dropped) == 0 {
			return nil
		}
		return s.patch(ctx, p)
	})
	if err != nil {
		return nil, fmt.Errorf("dropping what is stale from the record in the ConfigMap %s: %w", s.Name, err)
	}
	return dropped, nil
}

// ReadRecord reads the record of a ConfigMap, each key by itself.
func ReadRecord(cm *corev1.ConfigMap) Record {
	record := Record{Replicas: make(map[string]Replica, len(cm.BinaryData))}
	budget := maxTotal
	for _, key := range slices.Sorted(maps.Keys(cm.BinaryData)) {
		var r Replica
		size, err := decode(cm.BinaryData[key], &r, min(maxDecoded, budget))
		budget -= size
		if err != nil {
			record.Damaged = append(record.Damaged, &EntryError{key, err})
			continue
		}
		r.Admissions = r.Admissions[max(len(r.Admissions)-maxAdmissions, 0):]
		r.Doubts = r.Doubts[max(len(r.Doubts)-maxDoubts, 0):]
		record.Replicas[key] = r
	}
	return record
}

// encode makes the stored form, and drops the oldest admissions until it is small enough.
func (r *Replica) encode() ([]byte, error) {
	for {
		raw, _, err := encode(r)
		if err != nil || len(raw) <= maxReplica || len(r.Admissions) == 0 {
			return raw, err
		}
		dropped := (len(r.Admissions) + 3) / 4
		r.Lost = later(r.Lost, r.Admissions[dropped-1].Time)
		r.Admissions = slices.Delete(r.Admissions, 0, dropped)
	}
}
