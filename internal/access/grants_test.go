package access_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

func document(roles, users, accounts string) *awsauth.Document {
	return (&awsauth.Object{Data: map[string]string{"mapRoles": roles, "mapUsers": users, "mapAccounts": accounts}}).Parse()
}

// states returns a line for each grant: source, principal, state, and whether it makes admins or nodes.
func states(grants []access.Grant) (list []string) {
	for _, g := range grants {
		line := fmt.Sprintf("%s %s %s", g.Source, g.Principal, g.State)
		if g.AllowsAll() {
			line += " admin"
		}
		if g.IsNode() {
			line += " node"
		}
		list = append(list, line)
	}
	return list
}

const grantRoles = `
- {rolearn: "` + account + `role/admin", username: a, groups: [system:masters]}
- {rolearn: "` + account + `role/node", username: "system:node:{{EC2PrivateDNSName}}", groups: [system:nodes]}
- {rolearn: "` + account + `role/team/path", username: a, groups: [system:masters]}
- {rolearn: "arn:aws:sts::111122223333:assumed-role/ci/x", username: a, groups: [system:masters]}
- {rolearn: "` + account + `role/twice", username: a, groups: [system:masters]}
- {rolearn: "` + account + `role/Twice", username: a}
- {username: a, groups: [system:masters]}
`

// TestGrantsHaveTheStateThatTheModeGives: in each mode a grant is ok only if the authenticator uses it. A grant that has no
// effect makes its principal neither an admin nor a node.
func TestGrantsHaveTheStateThatTheModeGives(t *testing.T) {
	entries := []access.AccessEntry{
		{PrincipalARN: account + "role/path/admin", Type: "STANDARD", Groups: []string{"viewers"}},
		{PrincipalARN: account + "user/root", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: "x/" + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}},
		{PrincipalARN: account + "user/namespaced", Type: "STANDARD", Policies: []access.AccessPolicy{{ARN: "x/" + access.ClusterAdminPolicy, Scope: "namespace"}}},
		{PrincipalARN: account + "role/auto", Type: "EC2"},
		{PrincipalARN: "AROAEXAMPLE", Type: "STANDARD"},
	}
	type row struct{ name, state string }
	entriesOK := []row{
		{"access entry " + account + "role/path/admin", "ok"},
		{"access entry " + account + "user/root", "ok admin"},
		{"access entry " + account + "user/namespaced", "ok"},
		{"access entry " + account + "role/auto", "ok node"},
		{"access entry AROAEXAMPLE", "neverMatches"},
	}
	rolesOK := []row{
		{"mapRoles " + account + "role/admin", "ok admin"},
		{"mapRoles " + account + "role/node", "ok node"},
		{"mapRoles " + account + "role/team/path", "neverMatches"},
		{"mapRoles arn:aws:sts::111122223333:assumed-role/ci/x", "neverMatches"},
		{"mapRoles " + account + "role/twice", "shadowed"},
		{"mapRoles " + account + "role/Twice", "ok"},
		{"mapRoles ", "dropped"},
		{"mapAccounts 444455556666", "ok"},
	}
	shadowed := append([]row{{"mapRoles " + account + "role/admin", "shadowed"}}, rolesOK[1:]...)
	ignored := func(list []row) (all []row) {
		for _, r := range list {
			all = append(all, row{r.name, "ignored"})
		}
		return all
	}
	lines := func(lists ...[]row) (all []string) {
		for _, r := range slices.Concat(lists...) {
			all = append(all, r.name+" "+r.state)
		}
		return all
	}
	for name, test := range map[string]struct {
		cluster *access.Cluster
		want    []string
	}{
		"not known":          {nil, lines(rolesOK)},
		"CONFIG_MAP":         {&access.Cluster{Mode: access.ModeConfigMap, AccessEntries: entries}, lines(ignored(entriesOK), rolesOK)},
		"API_AND_CONFIG_MAP": {&access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: entries}, lines(entriesOK, shadowed)},
		"unknown mode":       {&access.Cluster{AccessEntries: entries}, lines(entriesOK, shadowed)},
		"API":                {&access.Cluster{Mode: access.ModeAPI, AccessEntries: entries}, lines(entriesOK, ignored(rolesOK))},
	} {
		if diff := cmp.Diff(test.want, states(access.Grants(document(grantRoles, "", `["444455556666"]`), test.cluster))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestGrantsListUnreadEntries: the ARNs in a text that the authenticator doesn't read are listed as dropped. A section
// that the authenticator doesn't read is listed as dropped even if it has no ARNs.
func TestGrantsListUnreadEntries(t *testing.T) {
	for roles, want := range map[string][]string{
		"- rolearn: " + account + "role/a\n\tusername: a\n- {\"rolearn\": \"" + account + "role/b\", username: b}": {
			"mapRoles " + account + "role/a dropped", "mapRoles " + account + "role/b dropped",
		},
		"no list": {"mapRoles  dropped"},
		"- rolearn: " + account + "role/a\n  username: a\n---\n- rolearn: " + account + "role/b\n  username: b\n": {
			"mapRoles " + account + "role/a ok", "mapRoles " + account + "role/b dropped",
		},
		"": nil,
	} {
		if diff := cmp.Diff(want, states(access.Grants(document(roles, "", ""), nil))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", roles, diff)
		}
	}
}

// TestEveryPrincipalLogsInByAGrant: Login and Grants agree on the callers that log in. A caller whose ARN is in a grant
// logs in if and only if a grant with the caller's key is in force.
func TestEveryPrincipalLogsInByAGrant(t *testing.T) {
	d := document(grantRoles, `
- {userarn: "`+account+`user/bob", username: b}
- {userarn: "`+account+`user/BOB", username: c}
- {userarn: "`+account+`role/admin", username: late}
- {userarn: "`+account+`role/only-here", username: late}
`, `["444455556666"]`)
	entries := []access.AccessEntry{{PrincipalARN: account + "role/path/entry", Type: "STANDARD"}, {PrincipalARN: account + "role/admin", Type: "STANDARD"}}
	for _, mode := range []access.Mode{access.ModeConfigMap, access.ModeAPIAndConfigMap, access.ModeAPI} {
		cluster := &access.Cluster{Mode: mode, AccessEntries: entries}
		grants := access.Grants(d, cluster)
		inForce := make(map[string]bool)
		for _, g := range grants {
			if g.State == access.StateOK {
				inForce[g.Key()] = true
			}
		}
		for _, g := range grants {
			if g.Principal == "" || g.Source == access.SourceMapAccounts {
				continue
			}
			login := access.NewEntries(cluster, nil).Login(d.Map, access.NewCaller(g.Principal))
			if admitted := login.Admitted > access.Never; admitted != inForce[g.Key()] {
				t.Errorf("%s: %s logs in: %t, by its grants: %t", mode, g.Principal, admitted, inForce[g.Key()])
			}
		}
	}
}

// TestDecodeEntries: DecodeEntries reads access entries in each form in which the AWS CLI prints them. Fields that the
// input lacks are unknown.
func TestDecodeEntries(t *testing.T) {
	policy := `{"policyArn": "arn:p", "accessScope": {"type": "namespace", "namespaces": ["a"]}}`
	full := access.AccessEntry{
		PrincipalARN: "arn:a", Type: "STANDARD", Username: "u", Groups: []string{"g"},
		Policies: []access.AccessPolicy{{ARN: "arn:p", Scope: "namespace", Namespaces: []string{"a"}}},
	}
	described := `"principalArn": "arn:a", "type": "STANDARD", "username": "u", "kubernetesGroups": ["g"]`
	withoutPolicies := full
	withoutPolicies.Policies, withoutPolicies.Unknown = nil, []string{"policies"}
	for src, want := range map[string][]access.AccessEntry{
		`[{"accessEntry": {` + described + `}, "associatedAccessPolicies": [` + policy + `]}]`:                                   {full},
		`[{` + described + `, "associatedAccessPolicies": [` + policy + `]}]`:                                                    {full},
		`{"accessEntry": {` + described + `}} {"principalArn": "arn:a", "associatedAccessPolicies": [` + policy + `]}`:           {full},
		`{"principalArn": "arn:a", "associatedAccessPolicies": [` + policy + `]} {"accessEntry": {` + described + `}}`:           {full},
		`{"accessEntry": {` + described + `}}`:                                                                                   {withoutPolicies},
		`{"principalArn": "arn:a", "associatedAccessPolicies": []}`:                                                              {{PrincipalARN: "arn:a", Unknown: []string{"username", "groups", "node"}}},
		`{"accessEntry": {"principalArn": "arn:n", "type": "EC2_LINUX", "username": "n", "kubernetesGroups": ["system:nodes"]}}`: {{PrincipalARN: "arn:n", Type: "EC2_LINUX", Username: "n", Groups: []string{"system:nodes"}}},
		// Access entries with the same ARN are merged. The result has each access policy once.
		`{` + described + `, "associatedAccessPolicies": [` + policy + `]} {"principalArn": "arn:a", "associatedAccessPolicies": [` + policy + `]}`: {full},
		`{` + described + `, "associatedAccessPolicies": []} {"principalArn": "arn:a", "associatedAccessPolicies": [` + policy + `]}`:               {full},
		`{` + described + `, "associatedAccessPolicies": [` + policy + `]} {"principalArn": "arn:a", "associatedAccessPolicies": []}`:               {full},
		// Each field that is missing is unknown.
		`{"principalArn": "arn:a", "type": "STANDARD", "associatedAccessPolicies": []}`: {{PrincipalARN: "arn:a", Type: "STANDARD", Unknown: []string{"username", "groups"}}},
		`{"principalArn": "arn:a", "username": "u", "kubernetesGroups": []}`:            {{PrincipalARN: "arn:a", Username: "u", Groups: []string{}, Unknown: []string{"node", "policies"}}},
		"\ufeff[]": nil,
		`[]`:       nil,
	} {
		got, err := access.DecodeEntries([]byte(src))
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", src, err, diff)
		}
	}
	for src, want := range map[string]string{
		`[{}]`:      "element 0 has no principalArn; an element is the output of aws eks describe-access-entry",
		`["arn:a"]`: "element 0 has no principalArn; an element is the output of aws eks describe-access-entry",
		`{"a": 1`:   "it is not JSON: unexpected EOF",
		``:          "it is empty; did the command that wrote it fail? A cluster without access entries has an empty list, []",
		"\ufeff \n": "it is empty; did the command that wrote it fail? A cluster without access entries has an empty list, []",
		`[{` + described + `, "associatedAccessPolicies": [{"accessScope": {"type": "cluster"}}]}]`: "element 0 has an access policy without policyArn",
		`[{` + described + `, "associatedAccessPolicies": [{"policyArn": "arn:p"}]}]`:               `element 0 has the access policy arn:p with the accessScope.type "", which is neither cluster nor namespace`,
		`[{"type": 1}]`: "element 0 has the field type, which is a JSON number and not as the AWS CLI prints it",
	} {
		if _, err := access.DecodeEntries([]byte(src)); err == nil || err.Error() != want {
			t.Errorf("%s: %v", src, err)
		}
	}
}
