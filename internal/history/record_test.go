package history_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
)

func admission(second int, before, after, requester string) history.Admission {
	return history.Admission{
		Time: epoch.Add(time.Duration(second) * time.Second), Old: before, New: after, Requester: requester,
		How: history.Admitted, Verdict: "allow",
	}
}

func refusal(at int, before, after, requester string) history.Admission {
	a := admission(at, before, after, requester)
	a.How = history.Refused
	return a
}

// TestMatch: a change is matched by what it was and what it became, by any replica's admission; the
// newest tells who. After a gap in the watch what it became is enough.
func TestMatch(t *testing.T) {
	t.Parallel()
	replicas := map[string]history.Replica{
		"a": {Admissions: []history.Admission{admission(1, "x", "y", "alice"), admission(2, "y", "", "bob")}},
		"b": {Admissions: []history.Admission{admission(3, "x", "y", "carol"), admission(3, "", "z", "dave"), admission(3, "", "z", "eve"), refusal(4, "x", "y", "frank"), refusal(4, "m", "n", "gina")}},
	}
	for _, test := range []struct {
		before, after string
		gap           bool
		want          string
	}{
		{"x", "y", false, "carol"},
		{"y", "", false, "bob"},
		{"m", "n", false, "gina"},
		{"x", "", false, ""},
		{"x", "", true, "bob"},
		{"y", "x", false, ""},
		{"y", "x", true, ""},
		{"", "z", false, "eve"},
		{"q", "z", false, ""},
		{"q", "z", true, "eve"},
	} {
		got, ok := history.Match(replicas, test.before, test.after, test.gap, time.Time{})
		if ok != (test.want != "") || got.Requester != test.want {
			t.Errorf("%+v: %+v, %t", test, got, ok)
		}
	}
	newest := admission(3, "x", "y", "carol").Time
	if got, ok := history.Match(replicas, "x", "y", false, newest); !ok || got.Requester != "carol" {
		t.Errorf("not older than its time: %+v, %t", got, ok)
	}
	if got, ok := history.Match(replicas, "y", "", false, newest); ok {
		t.Errorf("older than that: %+v", got)
	}
}

// TestReplicaAdd: admissions of ten minutes, each once, 2,000 at most, and a replica that has dropped
// one says so.
func TestReplicaAdd(t *testing.T) {
	t.Parallel()
	var r history.Replica
	r.Add(admission(0, "x", "y", "alice"))
	r.Add(admission(1, "x", "y", "bob"))
	r.Add(admission(2, "x", "y", "alice"))
	if diff := cmp.Diff([]history.Admission{admission(1, "x", "y", "bob"), admission(2, "x", "y", "alice")}, r.Admissions); diff != "" {
		t.Error(diff)
	}
	r.Add(admission(602, "p", "q", "alice"))
	if len(r.Admissions) != 2 || !r.Lost.IsZero() {
		t.Errorf("ten minutes later: %v", r.Admissions)
	}
	for i := range 2001 {
		r.Add(admission(700, fmt.Sprint(i), "y", "alice"))
	}
	if n := len(r.Admissions); n != 2000 || r.Admissions[0].Old != "1" || !r.Lost.Equal(epoch.Add(700*time.Second)) {
		t.Errorf("%d admissions, the oldest %+v, lost %v", n, r.Admissions[0], r.Lost)
	}
	r.Add(admission(701, "a", "b", string(bytes.Repeat([]byte("ä"), 1000))))
	if n := len(r.Admissions[1999].Requester); n > 520 {
		t.Errorf("a requester's name has %d bytes", n)
	}
}

// TestReplicaDoubts: each once, the newest hundred.
func TestReplicaDoubts(t *testing.T) {
	t.Parallel()
	var r history.Replica
	for i := range 150 {
		r.AddDoubt(history.Doubt{Time: epoch, ResourceVersion: fmt.Sprint(i)})
		r.AddDoubt(history.Doubt{Time: epoch.Add(time.Hour), ResourceVersion: fmt.Sprint(i)})
	}
	if n := len(r.Doubts); n != 100 || r.Doubts[0].ResourceVersion != "50" || !r.Doubts[0].Time.Equal(epoch) {
		t.Errorf("%d doubts, the oldest %+v", n, r.Doubts[0])
	}
	if !r.Doubted("149") || r.Doubted("49") {
		t.Error("not the newest are known")
	}
}

// FuzzReplica: whatever stands under a key, reading it ends and stays within bounds.
func FuzzReplica(f *testing.F) {
	f.Add([]byte(`{"started":"2026-03-01T12:00:00Z","admissions":[{"time":"2026-03-01T12:00:00Z","old":"a","new":"b"}],"doubts":[{"resourceVersion":"7"}]}`), []byte("x"))
	f.Add([]byte(`{"admissions":[null,{}],"doubts":[{}]}`), []byte{31, 139})
	f.Fuzz(func(t *testing.T, text, raw []byte) {
		cm := &corev1.ConfigMap{BinaryData: map[string][]byte{"a": compressed(t, text), "b": raw}}
		record := history.ReadRecord(cm)
		if len(record.Replicas)+len(record.Damaged) != 2 {
			t.Errorf("%+v", record)
		}
		for _, r := range record.Replicas {
			r.Add(admission(0, "x", "y", "alice"))
			if len(r.Admissions) > 2000 || len(r.Doubts) > 100 {
				t.Errorf("%d admissions, %d doubts", len(r.Admissions), len(r.Doubts))
			}
		}
		history.Match(record.Replicas, "a", "b", true, time.Time{})
	})
}
