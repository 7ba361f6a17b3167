package live_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
)

// Who has written is told from managedFields by what is new in them, because their times have only seconds.
func TestWriter(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	entry := func(manager, operation string, seconds int) metav1.ManagedFieldsEntry {
		return metav1.ManagedFieldsEntry{
			Manager: manager, Operation: metav1.ManagedFieldsOperationType(operation),
			Time: &metav1.Time{Time: at.Add(time.Duration(seconds) * time.Second)},
		}
	}
	object := func(uid types.UID, entries ...metav1.ManagedFieldsEntry) *corev1.ConfigMap {
		return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{UID: uid, ManagedFields: entries}}
	}
	edit := entry("kubectl-edit", "Update", 0)
	for _, test := range []struct {
		name          string
		before, after *corev1.ConfigMap
		want          string
	}{
		{"EKS in the same second", object("u", edit), object("u", entry("eks", "Update", 0), edit), "eks"},
		{"EKS again", object("u", entry("eks", "Update", -9), edit), object("u", entry("eks", "Update", 0), edit), "eks"},
		{"EKS by another operation", object("u", entry("eks", "Update", 0), edit), object("u", entry("eks", "Apply", 0), entry("eks", "Update", 0), edit), "eks"},
		{"somebody after EKS", object("u", entry("vpcLambda", "Update", 0)), object("u", edit, entry("vpcLambda", "Update", 0)), "kubectl-edit"},
		{"of two, the one that is newer", object("u"), object("u", edit, entry("vpcLambda", "Update", -9)), "kubectl-edit"},
		{"a key that was removed", object("u", entry("vpcLambda", "Update", -9), edit), object("u", entry("vpcLambda", "Update", -9), edit), "kubectl-edit"},
		{"another object", object("other", edit), object("u", entry("eks", "Update", -9), edit), "kubectl-edit"},
		{"the first object", nil, object("u", edit), "kubectl-edit"},
		{"no object any more", object("u", edit), nil, ""},
	} {
		if got := live.WriterOf(test.before, test.after); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// The changes that nobody has admitted are those that follow one another: none before a gap in the watch, nor what
// another process has seen.
func TestRun(t *testing.T) {
	t.Parallel()
	bypassed := live.Sighting{How: history.Bypassed}
	for _, test := range []struct {
		name  string
		first live.Sighting
		want  int
	}{
		{"bypassed", bypassed, 3},
		{"pending", live.Sighting{How: history.Pending}, 3},
		{"admitted", live.Sighting{How: history.Admitted}, 2},
		{"after a gap", live.Sighting{How: history.Bypassed, Gap: true}, 2},
		{"seen by another process", live.Sighting{How: history.Pending, Inherit: true}, 2},
	} {
		want(t, test.name, live.RunOf([]live.Sighting{test.first, bypassed, bypassed}), test.want)
	}
}

// A version of the history is put back only with a content that this process has seen stored.
func TestWitnessed(t *testing.T) {
	t.Parallel()
	hash := history.Hash(roles(admin), nil)
	for _, test := range []struct {
		name    string
		version history.Version
		want    int
	}{
		{"seen", history.Version{Hash: hash, Data: roles(admin)}, 1},
		{"not seen", history.Version{Hash: history.Hash(roles(node), nil), Data: roles(node)}, 0},
		{"without its content", history.Version{Hash: hash, Truncated: true}, 0},
		{"absent", history.Version{Hash: hash, Absent: true}, 0},
	} {
		want(t, test.name, len(live.Witnessed([]history.Version{test.version}, "x", hash)), test.want)
	}
}
