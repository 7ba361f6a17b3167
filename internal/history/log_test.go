package history_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// version returns the n-th version of a test.
func version(n int) history.Version {
	data := map[string]string{"mapRoles": fmt.Sprintf("- rolearn: arn:aws:iam::111122223333:role/r%d\n", n)}
	return history.Version{
		Time: epoch.Add(time.Duration(n) * time.Minute), ResourceVersion: fmt.Sprint(1000 + n), Origin: history.Changed,
		Hash: history.Hash(data, nil), Data: data, Verdict: validate.ActionWarn, Rules: []string{"a", "b"},
		Manager: "kubectl-edit", Summary: history.Summary{Admins: n, Roles: 1},
	}
}

// versionWithText returns a version with one key.
func versionWithText(resourceVersion, text string) history.Version {
	data := map[string]string{"mapRoles": text}
	return history.Version{ResourceVersion: resourceVersion, Hash: history.Hash(data, nil), Data: data}
}

// incompressible returns a text of n bytes. Compression removes at most a quarter of it.
func incompressible(n int) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

// stored writes a log and reads it again. It checks that the ConfigMap has at most 900 KiB.
func stored(t *testing.T, l *history.Log, versions int) (*corev1.ConfigMap, *history.Log) {
	t.Helper()
	cm := new(corev1.ConfigMap)
	if err := l.Write(cm, versions); err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, text := range cm.Data {
		size += len(text)
	}
	for _, raw := range cm.BinaryData {
		size += len(raw)
	}
	if size > 900<<10 {
		t.Errorf("the ConfigMap has %d bytes", size)
	}
	return cm, history.Read(cm)
}

func numbers(l *history.Log) (list []int) {
	for _, v := range l.Versions() {
		list = append(list, v.Number)
	}
	return list
}

// A log is the same after it is written and read again. Writing it again gives the same bytes.
func TestLogRoundTrip(t *testing.T) {
	t.Parallel()
	l := new(history.Log)
	var want []history.Version
	for n := range 4 {
		v := version(n)
		switch n {
		case 0:
			v.Lost = []string{"last-admin"}
		case 1:
			v.BinaryData, v.Immutable = map[string][]byte{"b": {0, 255}}, true
			v.Hash = history.Hash(v.Data, v.BinaryData)
		case 2:
			v = history.Version{Time: v.Time, ResourceVersion: "1002", Deleted: true, Origin: history.Bypassed}
		case 3: // JSON can't hold the byte \xff
			v.Data = map[string]string{"mapRoles": "[] # \xff", "mapUsers": "[]"}
			v.Hash = history.Hash(v.Data, nil)
		}
		got, added := l.Append(v)
		if got != n+1 || !added {
			t.Errorf("number %d, %t", got, added)
		}
		v.Number = n + 1
		want = append(want, v)
	}
	l.Restores, l.IAM = []time.Time{epoch}, map[string]string{"arn:aws:iam::111122223333:role/a": "AROA1"}
	cm, back := stored(t, l, 10)
	if diff := cmp.Diff(want, back.Versions()); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(l.Restores, back.Restores) + cmp.Diff(l.IAM, back.IAM); diff != "" || len(back.Damaged()) > 0 {
		t.Errorf("%s%v", diff, back.Damaged())
	}
	if newest, ok := back.Newest(); !ok || newest.Number != 4 {
		t.Errorf("newest %+v", newest)
	}
	if again, _ := stored(t, back, 10); !cmp.Equal(cm, again) {
		t.Errorf("not the same bytes:\n%s", cmp.Diff(cm, again))
	}
}

// Write removes the oldest versions first. The log never uses a number again, even after all versions were removed. Append
// doesn't add a removed version again.
func TestLogDropsOldestAndNeverReusesNumbers(t *testing.T) {
	t.Parallel()
	l := new(history.Log)
	for n := range 25 {
		l.Append(version(n))
		_, l = stored(t, l, 10)
	}
	if diff := cmp.Diff([]int{16, 17, 18, 19, 20, 21, 22, 23, 24, 25}, numbers(l)); diff != "" {
		t.Error(diff)
	}
	for n := range 25 {
		want := n + 1
		if want < 16 {
			want = 0
		}
		if got, added := l.Append(version(n)); got != want || added {
			t.Errorf("version %d is appended again: %d, %t", n, got, added)
		}
	}
	cm, _ := stored(t, l, 1)
	clear(cm.BinaryData)
	l = history.Read(cm)
	if got, added := l.Append(version(99)); got != 26 || !added {
		t.Errorf("number %d, %t", got, added)
	}
}

// Write keeps the newest good version, which a rollback needs, however many bad versions follow. It removes the version after a
// newer good version has been added.
func TestLogKeepsNewestGood(t *testing.T) {
	t.Parallel()
	bad := map[string]func(*history.Version){
		"bypassed": func(v *history.Version) { v.Origin = history.Bypassed },
		"lost":     func(v *history.Version) { v.Lost = []string{"last-admin"} },
		"deleted":  func(v *history.Version) { *v = history.Version{ResourceVersion: v.ResourceVersion, Deleted: true} },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := new(history.Log)
			l.Append(version(0))
			l.Append(version(1))
			for n := range 30 {
				v := version(2 + n)
				spoil(&v)
				l.Append(v)
				_, l = stored(t, l, 3)
			}
			if diff := cmp.Diff([]int{2, 30, 31, 32}, numbers(l)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if v, ok := l.NewestGood(); !ok || v.Number != 2 {
				t.Errorf("the newest good version is %d", v.Number)
			}
			l.Append(version(99))
			_, l = stored(t, l, 3)
			if diff := cmp.Diff([]int{31, 32, 33}, numbers(l)); diff != "" {
				t.Errorf("after a good version (-want +got):\n%s", diff)
			}
		})
	}
}

// Write limits the size of the log. It removes the content of a version that is too large, and keeps the contents of other
// versions. If the versions are too large together, it removes the oldest. It also limits the unique ids of IAM and the restores.
func TestLogLimitsBytes(t *testing.T) {
	t.Parallel()
	l := new(history.Log)
	l.Append(versionWithText("1", "small"))
	l.Append(versionWithText("2", incompressible(1<<20-100)+incompressible(1<<18))) // more than a ConfigMap can hold
	l.Append(versionWithText("3", strings.Repeat("\x01", 1<<20)))                   // six bytes each in JSON
	_, l = stored(t, l, 10)
	var got []bool
	for _, v := range l.Versions() {
		got = append(got, v.Truncated, v.Restorable(), len(v.Data) > 0)
	}
	if diff := cmp.Diff([]bool{false, true, true, true, false, false, true, false, false}, got); diff != "" {
		t.Error(diff)
	}
	l.Append(versionWithText("4", incompressible(800<<10)))
	l.Append(versionWithText("5", incompressible(500<<10)))
	_, l = stored(t, l, 10)
	if diff := cmp.Diff([]int{5}, numbers(l)); diff != "" {
		t.Errorf("versions 4 and 5 are too large together, so only 5 stays (-want +got):\n%s", diff)
	}
	l.IAM = make(map[string]string)
	for i := range 10_000 {
		l.IAM[fmt.Sprintf("arn:aws:iam::111122223333:role/%05d", i)] = "AROA00000000000000000"
		l.Restores = append(l.Restores, epoch)
	}
	cm, l := stored(t, l, 10)
	if n := len(cm.Data["iam"]); n < 60<<10 || n > 64<<10 || len(l.Restores) != 100 || l.IAM["arn:aws:iam::111122223333:role/00000"] == "" {
		t.Errorf("%d bytes of ids, %d restores", n, len(l.Restores))
	}
}

// Append accepts a version without a resourceVersion. A deletion that the watch found after a gap has none.
func TestLogAcceptsUnknownResourceVersion(t *testing.T) {
	t.Parallel()
	l, gone := new(history.Log), history.Version{Deleted: true}
	l.Append(version(0))
	for _, want := range []struct {
		v     history.Version
		n     int
		added bool
	}{{gone, 2, true}, {gone, 2, false}, {version(1), 3, true}, {gone, 4, true}} {
		if n, added := l.Append(want.v); n != want.n || added != want.added {
			t.Errorf("%d, %t; want %+v", n, added, want)
		}
	}
}

// Append accepts a resourceVersion again with another content. Resource versions start again when an operator restores etcd from a
// backup.
func TestLogAcceptsResourceVersionsAgainAfterEtcdRestore(t *testing.T) {
	t.Parallel()
	l := new(history.Log)
	l.Append(versionWithText("7", "before"))
	if _, added := l.Append(versionWithText("7", "after")); !added {
		t.Error("another content with the same resource version is not appended")
	}
	if _, added := l.Append(history.Version{ResourceVersion: "7", Deleted: true}); !added {
		t.Error("a deletion with the same resource version is not appended")
	}
}

func compressed(t *testing.T, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Damaged returns each part that Read can't decode. Read returns the other parts. A damaged version keeps its number and its bytes
// until Write removes it as the oldest version.
func TestDamagedPartsAreReportedAndKept(t *testing.T) {
	t.Parallel()
	l := new(history.Log)
	for n := range 3 {
		l.Append(version(n))
	}
	cm, _ := stored(t, l, 10)
	const key = "v000000000002"
	other := version(7)
	other.Hash = history.Hash(nil, nil)
	wrong, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{
		"empty": {}, "no gzip": []byte("{}"), "cut": cm.BinaryData[key][:20], "no JSON": compressed(t, []byte("{")),
		"another type": compressed(t, []byte(`{"data": 1}`)), "bomb": compressed(t, make([]byte, 8<<20)),
		"not its content": compressed(t, wrong), "absent with content": compressed(t, []byte(`{"absent": true, "data": {"a": "b"}}`)),
		"deep": compressed(t, bytes.Repeat([]byte("["), 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cm.DeepCopy()
			cm.BinaryData[key] = raw
			cm.BinaryData["v1"], cm.BinaryData["v000000000000"], cm.Data["restores"] = nil, nil, "?"
			l := history.Read(cm)
			var damaged []string
			for _, err := range l.Damaged() {
				damaged = append(damaged, err.Key)
			}
			if diff := cmp.Diff([]string{"v000000000000", key, "v1", "restores"}, damaged); diff != "" {
				t.Error(diff)
			}
			if err := l.Damaged()[1]; err.Number() != 2 || !strings.HasPrefix(err.Error(), "reading the key "+key+": ") || errors.Unwrap(err) == nil {
				t.Error(err)
			}
			if name == "bomb" && !strings.Contains(l.Damaged()[1].Error(), "decompressed part is too large") {
				t.Error(l.Damaged()[1])
			}
			if diff := cmp.Diff([]int{1, 3}, numbers(l)); diff != "" {
				t.Error(diff)
			}
			if n, added := l.Append(version(1)); added && n != 4 {
				t.Errorf("number %d", n)
			}
			next, _ := stored(t, l, 10)
			if diff := cmp.Diff(raw, next.BinaryData[key], cmp.Comparer(bytes.Equal)); diff != "" || len(next.BinaryData["v1"]) > 0 {
				t.Errorf("Write changed the damaged version, or kept v1: %s", diff)
			}
			if next, _ = stored(t, l, 1); len(next.BinaryData) != 1 || next.BinaryData[key] != nil {
				t.Errorf("kept: %d", len(next.BinaryData))
			}
		})
	}
}

// Read limits the decompressed size of all parts together, even if each part is within its own limit. It reads the newest versions.
func TestLogLimitsTotalDecompression(t *testing.T) {
	t.Parallel()
	big := versionWithText("1", strings.Repeat("a", 3<<20))
	text, err := json.Marshal(big)
	if err != nil {
		t.Fatal(err)
	}
	raw, cm := compressed(t, text), &corev1.ConfigMap{BinaryData: make(map[string][]byte)}
	for n := range 200 {
		cm.BinaryData[fmt.Sprintf("v%012d", n+1)] = raw
	}
	l := history.Read(cm)
	if n := len(l.Versions()); n != 10 || len(l.Damaged()) != 190 {
		t.Errorf("%d are read", n)
	}
	if newest, _ := l.Newest(); newest.Number != 200 {
		t.Errorf("not the newest: %d", newest.Number)
	}
}

// Different contents have different hashes, and equal contents have the same hash. TestHashIgnoresReplacedBytes has the exception.
func TestHashIdentifiesContent(t *testing.T) {
	t.Parallel()
	type content struct {
		data       map[string]string
		binaryData map[string][]byte
	}
	contents := []content{
		{},
		{data: map[string]string{"a": ""}},
		{data: map[string]string{"": "a"}},
		{data: map[string]string{"a": "bc"}},
		{data: map[string]string{"ab": "c"}},
		{data: map[string]string{"a": "b", "c": "d"}},
		{data: map[string]string{"a": "bcd"}},
		{binaryData: map[string][]byte{"a": []byte("bc")}},
		{data: map[string]string{"a": "bc"}, binaryData: map[string][]byte{"a": []byte("bc")}},
	}
	identities := make(map[string]int)
	for i, c := range contents {
		h := history.Hash(c.data, c.binaryData)
		if j, ok := identities[h]; ok || len(h) != 64 {
			t.Errorf("%+v and %+v have the hash %s", contents[j], c, h)
		}
		identities[h] = i
		if again := history.Hash(maps.Clone(c.data), maps.Clone(c.binaryData)); again != h {
			t.Errorf("%+v has two hashes", c)
		}
	}
	if history.Hash(nil, nil) != history.Hash(map[string]string{}, map[string][]byte{}) {
		t.Error("nil maps and empty maps have different hashes")
	}
}

// Object returns the data, the keys of the binary data and the field immutable, which the rules evaluate. It returns nil for a
// version without aws-auth.
func TestObjectHasContentOfVersion(t *testing.T) {
	t.Parallel()
	v := version(1)
	v.BinaryData, v.Immutable = map[string][]byte{"b": nil, "a": nil}, true
	o := v.Object()
	if diff := cmp.Diff(v.Data, o.Data) + cmp.Diff([]string{"a", "b"}, o.BinaryData); diff != "" || !o.Immutable {
		t.Error(diff)
	}
	if gone := (&history.Version{Deleted: true}); gone.Object() != nil || gone.Restorable() {
		t.Error("a missing object has a content")
	}
}

// Read terminates for any ConfigMap, and the log that it returns can be written and read again.
func FuzzRead(f *testing.F) {
	l := new(history.Log)
	l.Append(version(1))
	l.Append(version(2))
	l.Restores, l.IAM = []time.Time{epoch}, map[string]string{"a": "b"}
	cm := new(corev1.ConfigMap)
	if err := l.Write(cm, 10); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(version(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(cm.BinaryData["v000000000001"], text, cm.Data["next"], cm.Data["seen"], cm.Data["restores"], "v000000000007")
	f.Add([]byte{}, []byte(`{"absent":true}`), "-1", `["",null]`, "null", "v999999999999")
	f.Add([]byte{}, []byte(`{"absent":true,"time":"9999-12-31T23:59:59-01:00"}`), "1", "[]", `["9999-12-31T23:59:59-01:00","0000-01-01T00:00:00+01:00"]`, "v")
	f.Fuzz(func(t *testing.T, raw, text []byte, next, identities, restores, key string) {
		cm := &corev1.ConfigMap{
			Data:       map[string]string{"next": next, "seen": identities, "restores": restores, "iam": identities},
			BinaryData: map[string][]byte{"v000000000001": raw, "v000000000002": compressed(t, text), key: raw},
		}
		l := history.Read(cm)
		n, added := l.Append(version(9))
		if err := l.Write(cm, 10); err != nil {
			if n > 999_999_999_999 {
				return
			}
			t.Fatal(err)
		}
		before, after := l.Versions(), history.Read(cm).Versions()
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
		if newest, ok := l.Newest(); added && (!ok || newest.Number != n) {
			t.Errorf("the newest is not %d: %+v", n, newest)
		}
	})
}

// The log keeps the access entries of a version. If they are too large, it removes them and keeps the rest of the version.
func TestLogKeepsAccessEntriesWithinALimit(t *testing.T) {
	t.Parallel()
	for entries, kept := range map[int]bool{200: true, 3000: false} {
		cluster := &access.Cluster{Mode: access.ModeAPI}
		for i := range entries {
			cluster.AccessEntries = append(cluster.AccessEntries, access.AccessEntry{
				PrincipalARN: fmt.Sprintf("arn:aws:iam::111122223333:role/team/role-%04d", i), Type: "STANDARD", Groups: []string{"developers"},
			})
		}
		l := new(history.Log)
		l.Append(history.Version{ResourceVersion: "1", Hash: history.Hash(nil, nil), Cluster: cluster})
		cm := new(corev1.ConfigMap)
		if err := l.Write(cm, 10); err != nil {
			t.Fatal(err)
		}
		v, ok := history.Read(cm).Newest()
		if !ok || (v.Cluster != nil) != kept || kept && len(v.Cluster.AccessEntries) != entries {
			t.Errorf("of %d access entries: version %t, kept %t", entries, ok, v.Cluster != nil)
		}
	}
}
