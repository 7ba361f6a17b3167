package fix_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/fix"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/internal/validate/rulecase"
)

// FuzzFix fixes any texts. No principal may lose its login. A run without a correction must change no text, and a second run
// must correct nothing. No run may change its input.
func FuzzFix(f *testing.F) {
	all, err := rulecase.Glob(rulesDir + "/*/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range all {
		if o := c.Change.New; o != nil {
			f.Add(o.Data["mapRoles"], o.Data["mapUsers"], o.Data["mapAccounts"])
		}
	}
	f.Fuzz(func(t *testing.T, roles, users, accounts string) {
		if len(roles)+len(users)+len(accounts) > 2000 {
			return
		}
		before := &awsauth.Object{Data: map[string]string{"mapRoles": roles, "mapUsers": users, "mapAccounts": accounts}}
		data := maps.Clone(before.Data)
		result := fix.Object(before, validate.Policy{})
		if diff := cmp.Diff(data, before.Data); diff != "" {
			t.Fatalf("the object before changed:\n%s", diff)
		}
		after := result.Object
		if len(result.Fixed) == 0 {
			if diff := cmp.Diff(data, after.Data); diff != "" {
				t.Fatalf("the text changed without a correction:\n%s", diff)
			}
			return
		}
		for _, change := range awsauth.DiffAccess(before.Load(), after.Load()) {
			if change.Gone {
				t.Errorf("%q loses its access", change.ARN)
			}
		}
		if again := fix.Object(after, validate.Policy{}); len(again.Fixed) > 0 {
			t.Errorf("a second run corrects %v", again.Fixed[0])
		}
		if t.Failed() {
			t.Errorf("%v\n%v", data, after.Data)
		}
	})
}
