package awsauth_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestBytesThatAreNotUTF8 checks that the authenticator loads nothing from a section with a byte that is not UTF-8, and
// that the fault names the byte and its position.
func TestBytesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	const entry = "- rolearn: arn:aws:iam::111122223333:role/A\n  username: a\n"
	for text, want := range map[string]struct {
		name         string // the byte as the fault writes it
		line, column int
	}{
		"# Andr\xe9\n" + entry:                 {"0xe9", 1, 7},
		entry + "# é, caf\xc3":                 {"0xc3", 3, 9},
		entry + "  groups: [\xff]\n":           {"0xff", 3, 12},
		"# \xed\xa0\x80\n" + entry:             {"0xed", 1, 3},
		entry + "  x: {{SessionName}}\n# \xe9": {"0xe9", 4, 3},
	} {
		o := &awsauth.Object{Data: map[string]string{"mapRoles": text}}
		d := o.Parse()
		if d.Map.LoadError(awsauth.MapRoles) == nil || len(d.Map.Roles) > 0 {
			t.Errorf("%q: the authenticator loads %d roles", text, len(d.Map.Roles))
		}
		fault := d.Texts[0].Syntax
		if fault == nil {
			t.Errorf("%q: no fault", text)
			continue
		}
		if diff := cmp.Diff(awsauth.Position{Path: "data.mapRoles", Line: want.line, Column: want.column}, fault.Position); diff != "" {
			t.Errorf("%q: position (-want +got):\n%s", text, diff)
		}
		if problem := "the byte " + want.name + " is not UTF-8"; fault.Problem != problem {
			t.Errorf("%q: the problem is %q, want %q", text, fault.Problem, problem)
		}
	}
}

// TestAtWorst checks the entries that AtWorst loads from sections that hold U+FFFD: none if the object is from an
// AdmissionReview, all if the object is stored. SameContent must return false for an object whose sections may hide bytes.
func TestAtWorst(t *testing.T) {
	t.Parallel()
	data := map[string]string{
		"mapRoles":    "- {rolearn: 'arn:aws:iam::111122223333:role/A', username: a}\n",
		"mapUsers":    "- {userarn: 'arn:aws:iam::111122223333:user/B', username: b\ufffd}\n",
		"mapAccounts": "- '111122223333' # \ufffd\n",
		"note":        "\ufffd",
	}
	sizes := func(o *awsauth.Object) [3]int {
		m := o.AtWorst(o.Load())
		return [3]int{len(m.Roles), len(m.Users), len(m.AllowedAccounts())}
	}
	stored := &awsauth.Object{Data: data}
	if got := sizes(stored); got != [3]int{1, 1, 1} || !stored.SameContent(&awsauth.Object{Data: data}) {
		t.Errorf("stored: %v roles, users and accounts, or SameContent is false", got)
	}
	reviewed := stored.AsReviewed()
	if got := sizes(reviewed); got != [3]int{1, 0, 0} || reviewed.SameContent(stored.AsReviewed()) {
		t.Errorf("reviewed: %v roles, users and accounts, or SameContent is true", got)
	}
	if at := slices.Collect(reviewed.Parse().Texts[1].ReplacementCharacters()); len(at) != 1 || at[0].Line != 1 || at[0].Column != 60 {
		t.Errorf("U+FFFD stands at %v", at)
	}
	if reviewed := (&awsauth.Object{Data: stored.AsReviewed().Data}).AsReviewed(); stored.SameContent(reviewed) || reviewed.SameContent(stored) {
		t.Error("SameContent is true for an object that may hide bytes and a stored object")
	}
	elsewhere := (&awsauth.Object{Data: map[string]string{"mapRoles": data["mapRoles"], "note": "\ufffd"}}).AsReviewed()
	if !elsewhere.SameContent(elsewhere) {
		t.Error("SameContent is false because of U+FFFD in a key that the authenticator does not read")
	}
}

// TestAsReviewed checks that AsReviewed writes U+FFFD for each byte that is not UTF-8, as JSON does, and does not change
// the stored object.
func TestAsReviewed(t *testing.T) {
	t.Parallel()
	o := &awsauth.Object{Data: map[string]string{"mapRoles": "\xe2\x82 é \xff", "mapUsers": "é"}}
	want := map[string]string{"mapRoles": "\ufffd\ufffd é \ufffd", "mapUsers": "é"}
	if diff := cmp.Diff(want, o.AsReviewed().Data); diff != "" || o.Data["mapRoles"] != "\xe2\x82 é \xff" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if (*awsauth.Object)(nil).AsReviewed() != nil {
		t.Error("AsReviewed of nil returns an object")
	}
}
