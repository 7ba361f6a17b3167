package awsauth_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// TestSameContentIsSymmetric compares each pair of objects in both directions. Only three of the objects have the same
// content. SameContent returns false for some objects even if they are compared with themselves, such as an object that
// is being deleted.
func TestSameContentIsSymmetric(t *testing.T) {
	data := map[string]string{"mapRoles": "[]\n", "mapUsers": "\ufffd"}
	objects := map[string]*awsauth.Object{
		"stored":            {Data: data},
		"stored, too":       {Data: maps.Clone(data)},
		"immutable":         {Data: data, Immutable: true},
		"with binary data":  {Data: data, BinaryData: []string{"a"}},
		"may hide bytes":    {Data: data, Reviewed: true},
		"is being deleted":  {Data: data, Deleting: true},
		"has other values":  {Data: data, NotText: []awsauth.Scalar{{Value: "mapAccounts"}}},
		"has a key twice":   parseOne(t, header+"data: {mapUsers: \ufffd, mapRoles: x, mapRoles: \"[]\\n\"}\n"),
		"does not exist":    nil,
		"other data":        {Data: map[string]string{"mapRoles": "[]\n"}},
		"in a manifest":     parseOne(t, header+"data: {mapUsers: \ufffd, mapRoles: \"[]\\n\"}\n"),
		"has other members": {Data: map[string]string{"mapRoles": "[]\n", "mapAccounts": "\ufffd"}},
	}
	equal := map[string]bool{"stored": true, "stored, too": true, "in a manifest": true}
	for name, o := range objects {
		for otherName, other := range objects {
			want := equal[name] && equal[otherName]
			switch name {
			case "immutable", "with binary data", "other data", "has other members":
				want = name == otherName
			}
			if got := o.SameContent(other); got != want {
				t.Errorf("%q has the content of %q: %t, want %t", name, otherName, got, want)
			}
		}
	}
}

// TestNamesIgnoresUsernames checks that Names doesn't count an ARN in a username, because the author didn't mean it as
// the ARN of an entry. The same ARN in another place counts.
func TestNamesIgnoresUsernames(t *testing.T) {
	const (
		arn      = account + "role/ci"
		username = "- rolearn: " + account + "role/other\n  username: " + arn + "\n"
		session  = "- rolearn: " + account + "role/third\n  username: " + arn + ":{{SessionName}}\n"
		comment  = "# - rolearn: " + arn + "\n"
		longer   = "# - rolearn: " + arn + "-2\n"
	)
	for text, want := range map[string]bool{
		username:                        false,
		username + session:              false,
		username + longer:               false,
		comment:                         true,
		longer:                          false,
		username + comment:              true,
		username + session + comment:    true,
		"- username: " + arn + "\n":     false,
		"- role_arn: " + arn + "\n":     true,
		username + "- " + arn + "\n":    true,
		"- Rolearns: [" + arn + "]\n":   true,
		"- {userid: '" + arn + "/x'}\n": false,
	} {
		if got := object(text, "", "").Parse().Names(arn); got != want {
			t.Errorf("the text names the ARN: %t, want %t\n%s", got, want, text)
		}
	}
}

// TestSortErrors checks that SortErrors sorts by line and column, and puts errors without a position first.
func TestSortErrors(t *testing.T) {
	at := func(line, column int) error {
		return fmt.Errorf("in the file: %w", &awsauth.ManifestError{Line: line, Column: column, Err: errors.New("x")})
	}
	none := errors.New("no position")
	errs := []error{at(3, 1), none, at(2, 5), none, at(2, 4), none, at(1, 1)}
	awsauth.SortErrors(errs)
	var got []string
	for _, err := range errs {
		got = append(got, err.Error())
	}
	want := []string{"no position", "no position", "no position", "in the file: 1:1: x", "in the file: 2:4: x", "in the file: 2:5: x", "in the file: 3:1: x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBinaryValuesAreComparedDecoded checks that a value with the tag !!binary is decoded before it is compared. If a key
// occurs twice, its position is that of the occurrence that the authenticator reads.
func TestBinaryValuesAreComparedDecoded(t *testing.T) {
	const wrong = "!!binary d3Jvbmc=" // the text "wrong" in base64
	text := "- rolearn: " + account + "role/a\n  username: right\n  USERNAME: " + wrong + "\n  groups: [right]\n  GROUPS: [" + wrong + "]\n" +
		"- rolearn: " + account + "role/b\n  username: !!binary \"/3I=\"\n  groups:\n  - !!binary |\n    cmln\n    aHQ=\n"
	doc := object(text, "", "").Parse()
	first, second := doc.Roles[0], doc.Roles[1]
	if at := first.Username.At(); first.Username.Value != "right" || at.Line != 2 {
		t.Errorf("the username %q stands in line %d", first.Username.Value, at.Line)
	}
	if at := first.Groups[0].At(); first.Groups[0].Value != "right" || at.Line != 4 {
		t.Errorf("the group %q stands in line %d", first.Groups[0].Value, at.Line)
	}
	if second.Username.Value != "\ufffdr" || second.Groups[0].Value != "right" {
		t.Errorf("the second element has %q and %q", second.Username.Value, second.Groups[0].Value)
	}
	if d := doc.Texts[0].Disagreement; d != nil {
		t.Errorf("two readers disagree: %v", d)
	}
}
