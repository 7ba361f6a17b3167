package edit_test

import (
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/edit"
)

// TestRemoveAll: RemoveAll removes several elements at once. It refuses to remove all elements, elements that don't exist,
// the same element twice, and elements whose removals overlap.
func TestRemoveAll(t *testing.T) {
	const text = "# roles\n- rolearn: a\n  username: a\n- rolearn: b # two\n  username: b\n\n- rolearn: c\n  username: c\n- rolearn: d\n  username: d\n"
	got, err := edit.RemoveAll(text, "mapRoles", []int{2, 0})
	if want := "# roles\n- rolearn: b # two\n  username: b\n\n- rolearn: d\n  username: d\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, indexes := range [][]int{{0, 1, 2, 3}, {0, 4}, {1, 1}, {-1, 2}} {
		if got, err := edit.RemoveAll(text, "mapRoles", indexes); err == nil {
			t.Errorf("%v: got %q", indexes, got)
		}
	}
	if got, err := edit.RemoveAll("[1, 2, 3]", "mapAccounts", []int{1, 2}); err == nil {
		t.Errorf("got %q", got)
	}
	if got, err := edit.RemoveAll(`["1", "2", "3"]`, "mapAccounts", []int{0, 2}); err != nil || got != `["2"]` {
		t.Errorf("got %q, %v", got, err)
	}
}
