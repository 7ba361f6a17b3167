package validate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const iamPrefix = "arn:aws:iam::111122223333:"

// TestChangedPrincipals checks that the list holds exactly the principals that the change adds, and those that get another
// group or username. A principal is not new if the change only repairs its entry.
func TestChangedPrincipals(t *testing.T) {
	t.Parallel()
	entry := func(resource string) string {
		return "- {rolearn: '" + iamPrefix + resource + "', username: u, groups: [g]}\n"
	}
	tests := []struct {
		name             string
		oldText, newText string
		want             []string
	}{
		{"one of many is new", entry("role/a") + entry("role/b"), entry("role/a") + entry("role/c") + entry("role/b"), []string{"role/c"}},
		{"entries go", entry("role/a") + entry("role/b"), entry("role/a"), nil},
		{"groups are gained", entry("role/a"), "- {rolearn: " + iamPrefix + "role/a, username: u, groups: [g, h]}", []string{"role/a"}},
		{"groups are lost", "- {rolearn: " + iamPrefix + "role/a, username: u, groups: [g, h]}", entry("role/a"), nil},
		{"a username changes", entry("role/a"), "- {rolearn: " + iamPrefix + "role/a, username: v, groups: [g]}", []string{"role/a"}},
		{"a username goes", entry("role/a"), "- {rolearn: " + iamPrefix + "role/a, groups: [g]}", nil},
		{"a username in JSON does not make the principal known", `[{"rolearn": "` + iamPrefix + `role/b", "username": "` + iamPrefix + `role/a"}]`, entry("role/b") + entry("role/a"), []string{"role/b", "role/a"}},
		{"a username does not make the principal known", "- {rolearn: " + iamPrefix + "role/b, username: " + iamPrefix + "role/a}\n", entry("role/b") + entry("role/a"), []string{"role/b", "role/a"}},
		{"a comment does not make the principal known", "# " + entry("role/a"), entry("role/a"), []string{"role/a"}},
		{"a comment ends with its line", entry("role/b") + "#x\n" + "- {rolarn: " + iamPrefix + "role/a} # why\n", entry("role/b") + entry("role/a"), nil},
		{"another case", entry("role/a"), entry("role/A"), nil},
		{"another account", entry("role/a"), "- {rolearn: 'arn:aws:iam::444455556666:role/a', username: u, groups: [g]}\n", []string{"arn:aws:iam::444455556666:role/a"}},
		{"a user below another path", entry("user/a/x"), entry("user/b/x"), []string{"user/b/x"}},
		{"root and sessions are not asked about", entry("role/a"), entry("role/a") + entry("root") + entry("assumed-role/x/y"), nil},
		{"federated users are not asked about", "", "- {rolearn: 'arn:aws:sts::111122223333:federated-user/bob', username: u, groups: [g]}\n", nil},
		{"twice is once, and the last entry counts", "", entry("role/a") + entry("role/A"), []string{"role/A"}},
		{"a path is taken away", entry("role/team/a"), entry("role/a"), nil},
		{"a session is repaired", "- {rolearn: arn:aws:sts::111122223333:assumed-role/a/ann, username: u, groups: [g]}\n", entry("role/a"), nil},
		{"a key is repaired", "- {rolarn: " + iamPrefix + "role/a, username: u, groups: [g]}\n", entry("role/a") + entry("role/b"), []string{"role/b"}},
		{"a section is repaired", "\t- rolearn: " + iamPrefix + "role/a\n" + entry("role/b"), entry("role/a") + entry("role/b"), nil},
		{"a list ends with the ARN", "- {username: u, groups: [g], rolearn: " + iamPrefix + "role/a,}\n\t", entry("role/a"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			change := validate.Change{Operation: validate.Update, Old: rolesObject(tt.oldText), New: rolesObject(tt.newText)}
			for _, mode := range []validate.Severity{validate.Deny, validate.Warn, validate.Off, ""} {
				var want []string
				if mode == validate.Deny || mode == validate.Warn {
					want = tt.want
				}
				var got []string
				for _, arn := range validate.NewEvaluation(change, validate.Policy{IAMMode: mode}).ChangedPrincipals() {
					text := arn.String()
					if len(text) > len(iamPrefix) && text[:len(iamPrefix)] == iamPrefix {
						text = text[len(iamPrefix):]
					}
					got = append(got, text)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("iam mode %q (-want +got):\n%s", mode, diff)
				}
			}
		})
	}
}

// TestManyChangedPrincipals adds so many principals that the guard parses all ARNs of the old text, instead of
// searching for each name. The list must hold only the principals that the old text does not name.
func TestManyChangedPrincipals(t *testing.T) {
	t.Parallel()
	var oldText, newText strings.Builder
	for i := range 50 {
		fmt.Fprintf(&oldText, "- {rolarn: '%srole/old-%d', username: u}\n", iamPrefix, i) // with a misspelt key
		fmt.Fprintf(&newText, "- {rolearn: '%srole/old-%d', username: u}\n- {rolearn: '%srole/new-%d', username: u}\n", iamPrefix, i, iamPrefix, i)
	}
	change := validate.Change{Operation: validate.Update, Old: rolesObject(oldText.String()), New: rolesObject(newText.String())}
	list := validate.NewEvaluation(change, validate.Policy{IAMMode: validate.Warn}).ChangedPrincipals()
	if len(list) != 50 || slices.ContainsFunc(list, func(arn awsauth.ARN) bool { return strings.HasPrefix(arn.Name(), "old") }) {
		t.Errorf("%d changed principals, want the 50 new ones: %v", len(list), list)
	}
}

// TestChangedPrincipalsOfRulesThatAreOff checks that the list is empty only if both rules that need IAM are off.
func TestChangedPrincipalsOfRulesThatAreOff(t *testing.T) {
	t.Parallel()
	change := validate.Change{Operation: validate.Create, New: rolesObject("- {rolearn: '" + iamPrefix + "role/a', username: u, groups: [g]}\n")}
	for _, tt := range []struct {
		rules map[string]validate.Severity
		want  int
	}{
		{map[string]validate.Severity{"principal-missing": validate.Off}, 1},
		{map[string]validate.Severity{"principal-unverified": validate.Off}, 1},
		{map[string]validate.Severity{"principal-missing": validate.Off, "principal-unverified": validate.Off}, 0},
	} {
		if got := validate.NewEvaluation(change, validate.Policy{IAMMode: validate.Deny, Rules: tt.rules}).ChangedPrincipals(); len(got) != tt.want {
			t.Errorf("rules %v: %d principals, want %d", tt.rules, len(got), tt.want)
		}
	}
}

// TestChangedPrincipalsOfOtherKeys checks the keys of the old version in which an ARN makes a principal known: the names of
// the sections, and misspellings of these names.
func TestChangedPrincipalsOfOtherKeys(t *testing.T) {
	t.Parallel()
	entry := "- {rolearn: " + iamPrefix + "role/a, username: u}\n"
	for key, want := range map[string]int{"mapRoles": 0, "mapUsers": 0, "maproles": 0, "notes": 1} {
		change := validate.Change{
			Operation: validate.Update, Old: &awsauth.Object{Data: map[string]string{key: "\t" + entry}}, New: rolesObject(entry),
		}
		if got := validate.NewEvaluation(change, validate.Policy{IAMMode: validate.Deny}).ChangedPrincipals(); len(got) != want {
			t.Errorf("the old version has the ARN in %s: changed principals %v, want %d", key, got, want)
		}
	}
}

func rolesObject(text string) *awsauth.Object {
	return &awsauth.Object{Data: map[string]string{"mapRoles": text}}
}
