package validate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// TestPanicInARule checks that a rule that panics denies the change, and that the verdict names the rule. Break-glass, EKS
// as requester and mode warn turn this denial into a warning, like any other denial. The test is not parallel, because it
// replaces a rule's check.
func TestPanicInARule(t *testing.T) {
	broken := validate.Rules()[0]
	check := broken.Check
	defer func() { broken.Check = check }()
	broken.Check = func(*validate.Pass) { panic("broken") }

	const admin = `[{rolearn: "arn:aws:iam::111122223333:role/Admin", username: admin, groups: ["system:masters"]}]`
	masters := validate.Requester{Username: "op", Groups: []string{"system:masters"}}
	for name, test := range map[string]struct {
		requester   validate.Requester
		annotations map[string]string
		policy      validate.Policy
		want        validate.Action
	}{
		"refuses":                {want: validate.ActionDeny},
		"break-glass":            {masters, map[string]string{validate.BreakGlassAnnotation: "x"}, validate.Policy{}, validate.ActionWarn},
		"break-glass, anonymous": {validate.Requester{}, map[string]string{validate.BreakGlassAnnotation: "x"}, validate.Policy{}, validate.ActionDeny},
		"EKS":                    {requester: validate.Requester{Username: "eks:node-manager"}, want: validate.ActionWarn},
		"mode warn":              {policy: validate.Policy{Mode: validate.WarnMode}, want: validate.ActionWarn},
		"rule off":               {policy: validate.Policy{Rules: map[string]validate.Severity{broken.ID: validate.Off}}, want: validate.ActionAllow},
	} {
		t.Run(name, func(t *testing.T) {
			v := validate.Evaluate(validate.Change{
				Operation: validate.Update,
				Old:       &awsauth.Object{Data: map[string]string{"mapRoles": admin}},
				New:       &awsauth.Object{Data: map[string]string{"mapRoles": admin + "\n"}, Annotations: test.annotations},
				Requester: test.requester,
			}, test.policy)
			if v.Action != test.want {
				t.Errorf("the verdict is %s, want %s:\n%s", v.Action, test.want, text(v))
			}
			if test.want == validate.ActionAllow {
				return
			}
			if len(v.Failed) == 0 || v.Failed[0].Rule != broken.ID || v.Failed[0].Panic != "broken" || len(v.Failed[0].Stack) == 0 {
				t.Errorf("the failure is not reported: %+v", v.Failed)
			}
			if diff := cmp.Diff([]string{broken.ID}, v.Rules()); diff != "" && name != "break-glass, anonymous" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAccess checks that a verdict lists the gains and losses of every principal and account whose access changes.
func TestAccess(t *testing.T) {
	const arn = "arn:aws:iam::111122223333:"
	v := validate.Evaluate(validate.Change{
		Operation: validate.Update,
		Old: &awsauth.Object{Data: map[string]string{"mapRoles": `
- {rolearn: "` + arn + `role/kept", username: kept, groups: [a]}
- {rolearn: "` + arn + `role/changed", username: changed, groups: [a, b]}
- {rolearn: "` + arn + `role/gone", username: gone, groups: [a]}
- {rolearn: "` + arn + `role/team/never", username: never, groups: [a]}
`, "mapAccounts": `["111122223333"]`}},
		New: &awsauth.Object{Data: map[string]string{"mapRoles": `
- {rolearn: "` + arn + `role/KEPT", username: kept, groups: [a]}
- {rolearn: "` + arn + `role/changed", username: changed, groups: [c, b]}
- {rolearn: "` + arn + `role/new", username: new}
`, "mapAccounts": `["444455556666"]`}},
	}, validate.Policy{})
	type change struct {
		ARN          string
		Gained, Lost []string
		New, Gone    bool
	}
	var got []change
	for _, c := range v.Access {
		got = append(got, change{c.ARN, c.Gained, c.Lost, c.New, c.Gone})
	}
	want := []change{
		{ARN: arn + "role/changed", Gained: []string{"c"}, Lost: []string{"a"}},
		{ARN: arn + "role/gone", Lost: []string{"a"}, Gone: true},
		{ARN: arn + "role/new", New: true},
		{ARN: "111122223333", Gone: true},
		{ARN: "444455556666", New: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("access (-want +got):\n%s", diff)
	}
}
