package validate_test

import (
	"slices"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

const admins = "- {rolearn: '" + iamPrefix + "role/Admin', username: admin, groups: ['system:masters']}\n"

// TestModeAPIRefusesNoChange: in mode API aws-auth has no effect, so no change of it can harm the cluster.
func TestModeAPIRefusesNoChange(t *testing.T) {
	t.Parallel()
	policy := validate.Policy{Cluster: &access.Cluster{Mode: access.ModeAPI}, BypassGroup: "bypass"}
	with := func(o *awsauth.Object, reason string) *awsauth.Object {
		o.Annotations = map[string]string{validate.BreakGlassAnnotation: reason}
		return o
	}
	immutable := rolesObject(admins)
	immutable.Immutable = true
	for name, c := range map[string]validate.Change{
		"every entry is removed":                               {Operation: validate.Update, New: rolesObject("")},
		"the text is not YAML":                                 {Operation: validate.Update, New: rolesObject("{")},
		"the object becomes immutable":                         {Operation: validate.Update, New: immutable},
		"an entry gives the bypass group":                      {Operation: validate.Update, New: rolesObject("- {rolearn: '" + iamPrefix + "role/b', username: b, groups: [bypass]}")},
		"a user without the right sets break-glass":            {Operation: validate.Update, New: with(rolesObject(""), "x")},
		"aws-auth is deleted":                                  {Operation: validate.Delete},
		"aws-auth is deleted after the time of the annotation": {Operation: validate.Delete, Old: with(rolesObject(admins), "delete 2026-01-01T00:00:00Z x"), Requester: validate.Requester{Groups: []string{access.Masters}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC); c.Old == nil {
				c.Old = rolesObject(admins)
			}
			if v := validate.Evaluate(c, policy); v.Action == validate.ActionDeny {
				t.Errorf("refused:\n%s", text(v))
			}
			if v := validate.Evaluate(c, validate.Policy{BypassGroup: "bypass"}); v.Action != validate.ActionDeny {
				t.Errorf("with aws-auth in force the verdict is %s:\n%s", v.Action, text(v))
			}
		})
	}
}

// TestShadowedAdminGrantIsReported: a grant in aws-auth has no effect if the principal has an access entry. If the
// access entry gives less, shadowed-by-access-entry reports the grant. admin-grant also reports it if
// shadowed-by-access-entry is off, or only warns while admin-grant denies. The reason is that the access entry may be
// deleted later.
func TestShadowedAdminGrantIsReported(t *testing.T) {
	t.Parallel()
	c := validate.Change{Operation: validate.Update, Old: rolesObject(admins), New: rolesObject(admins + "- {rolearn: '" + iamPrefix + "role/ops', username: ops, groups: ['system:masters']}\n")}
	const grant, shadowed = "admin-grant", "shadowed-by-access-entry"
	weaker := access.AccessEntry{PrincipalARN: iamPrefix + "role/ops", Type: "STANDARD"}
	admin := weaker
	admin.Policies = []access.AccessPolicy{{ARN: access.ClusterAdminPolicy, Scope: access.ScopeCluster}}
	for name, test := range map[string]struct {
		entry access.AccessEntry
		rules map[string]validate.Severity
		want  []string
	}{
		"default":                   {weaker, nil, []string{shadowed}},
		"shadowed is off":           {weaker, map[string]validate.Severity{shadowed: validate.Off}, []string{grant}},
		"grants are denied":         {weaker, map[string]validate.Severity{grant: validate.Deny}, []string{grant, shadowed}},
		"the access entry gives it": {admin, map[string]validate.Severity{shadowed: validate.Off, grant: validate.Deny}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := validate.Evaluate(c, validate.Policy{Rules: test.rules, Cluster: &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{test.entry}}})
			if !slices.Equal(v.Rules(), test.want) {
				t.Errorf("%q, want %q:\n%s", v.Rules(), test.want, text(v))
			}
		})
	}
}

// TestAccessEntryMustMakeAProtectedAdminAnAdmin: an access entry wins over aws-auth, so a protected admin must be an
// admin by its access entry. No change of aws-auth can repair this. So the finding denies a document that is evaluated
// alone, but only warns about a change.
func TestAccessEntryMustMakeAProtectedAdminAnAdmin(t *testing.T) {
	t.Parallel()
	second := admins + "- {rolearn: '" + iamPrefix + "role/Second', username: second, groups: ['system:masters']}\n"
	for policyName, want := range map[string]string{access.ClusterAdminPolicy: "", "AmazonEKSViewPolicy": "protected-principal"} {
		policy := validate.Policy{
			Protected: []access.Protected{{ARN: iamPrefix + "role/Admin", Admin: true}},
			Cluster: &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{{
				PrincipalARN: iamPrefix + "role/Admin", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: policyName, Scope: access.ScopeCluster}},
			}}},
		}
		for operation, action := range map[validate.Operation]validate.Action{validate.Update: validate.ActionWarn, validate.Document: validate.ActionDeny} {
			v := validate.Evaluate(validate.Change{Operation: operation, Old: rolesObject(second), New: rolesObject(second + "# x\n")}, policy)
			if got := slices.Contains(v.Rules(), "protected-principal"); got != (want != "") || got && v.Action != action {
				t.Errorf("%s, operation %v: %s\n%s", policyName, operation, v.Action, text(v))
			}
		}
	}
}

// TestEmptyProtectedGroupIsNoAdmin: the empty group is a group like any other. A protected principal that must get the
// empty group need not be an admin.
func TestEmptyProtectedGroupIsNoAdmin(t *testing.T) {
	t.Parallel()
	element := func(groups string) *awsauth.Object {
		return rolesObject("- {rolearn: '" + iamPrefix + "role/CI', username: ci, groups: " + groups + "}\n")
	}
	policy := validate.Policy{Protected: []access.Protected{{ARN: iamPrefix + "role/CI", Groups: []string{""}}}}
	for groups, want := range map[string]validate.Action{"[x, '']": validate.ActionAllow, "[x]": validate.ActionDeny} {
		v := validate.Evaluate(validate.Change{Operation: validate.Update, Old: element("['']"), New: element(groups)}, policy)
		if v.Action != want {
			t.Errorf("groups %s: %s, want %s\n%s", groups, v.Action, want, text(v))
		}
	}
}
