package validate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestReplacedVersionsAreBounded checks that the rule self-lockout finds, among several earlier versions, the version that
// explains the requester's login. The rule must not decode versions past the limit of bytes.
func TestReplacedVersionsAreBounded(t *testing.T) {
	const admin, me = `- {rolearn: "arn:aws:iam::111122223333:role/admin", username: admin, groups: [system:masters]}
`, `- {rolearn: "arn:aws:iam::111122223333:role/me", username: me, groups: [viewers]}
`
	object := func(text string) *awsauth.Object {
		return &awsauth.Object{Reviewed: true, Data: map[string]string{"mapRoles": text}}
	}
	large := object(admin + "#" + strings.Repeat("x", 256<<10))
	explains := object(admin + strings.ReplaceAll(me, "viewers", "editors"))
	for _, test := range []struct {
		name     string
		replaced []*awsauth.Object
		refused  bool
	}{
		{"none", nil, false},
		{"the one before", []*awsauth.Object{explains}, true},
		{"after another one", []*awsauth.Object{object(admin), explains}, true},
		{"after a large one", []*awsauth.Object{large, explains}, false},
		{"after the stored one", []*awsauth.Object{object(admin + me), explains}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdict := validate.Evaluate(validate.Change{
				Operation: validate.Update, Old: object(admin + me), New: object(admin), Replaced: test.replaced,
				Requester: validate.Requester{Username: "me", Groups: []string{"editors", "system:authenticated"}, Extra: map[string][]string{
					"canonicalArn": {"arn:aws:iam::111122223333:role/me"}, "sessionName": {"alice"},
				}},
			}, validate.Policy{})
			if refused := slices.Contains(verdict.Denied(), "self-lockout"); refused != test.refused {
				t.Errorf("self-lockout refuses the change: %t, want %t\n%s", refused, test.refused, text(verdict))
			}
		})
	}
}
