package admission_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

func TestReplacedVersionsAreKeptAsLongAsALoginMayLast(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	version := func(name string) *awsauth.Object {
		return &awsauth.Object{Data: map[string]string{"mapRoles": "# " + name}}
	}
	var v admission.ReplacedVersions
	recent := func(at time.Duration) (names []string) {
		for _, o := range v.Recent(start.Add(at)) {
			names = append(names, o.Data["mapRoles"])
		}
		return names
	}
	if got := recent(0); got != nil {
		t.Errorf("before anything was observed: %q", got)
	}
	v.Observe(version("a"), start)
	v.Observe(version("a"), start.Add(time.Minute)) // such as a new label
	v.Observe(version("b"), start.Add(2*time.Minute))
	if diff := cmp.Diff([]string{"# b", "# a"}, recent(3*time.Minute)); diff != "" {
		t.Errorf("after one change (-want +got):\n%s", diff)
	}
	v.Observe(nil, start.Add(4*time.Minute))
	if diff := cmp.Diff([]string{"# b", "# a"}, recent(17*time.Minute)); diff != "" {
		t.Errorf("after the deletion (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"# b"}, recent(18*time.Minute)); diff != "" {
		t.Errorf("15 minutes after a was replaced (-want +got):\n%s", diff)
	}
	for i := range 100 {
		v.Observe(version(string(rune('A'+i%26))), start.Add(20*time.Minute))
	}
	if n := len(recent(20 * time.Minute)); n != 5 {
		t.Errorf("after a hundred changes %d versions are kept", n)
	}
}

// An update of only the metadata doesn't count as a replacement. Otherwise, many such updates would remove a replaced version
// from the list, which has a limited length. An object that is being deleted can get such updates.
func TestReplacedVersionsIgnoreUpdatesOfMetadata(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	object := func(text string) *awsauth.Object {
		return &awsauth.Object{Data: map[string]string{"mapRoles": text}, Deleting: true}
	}
	var versions admission.ReplacedVersions
	versions.Observe(object("a"), now)
	for range 10 {
		versions.Observe(object("b"), now)
	}
	var got []string
	for _, o := range versions.Recent(now) {
		got = append(got, o.Data["mapRoles"])
	}
	if diff := cmp.Diff([]string{"b", "a"}, got); diff != "" {
		t.Error(diff)
	}
}
