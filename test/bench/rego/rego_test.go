package rego_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/test/bench/rego"
)

const admin = "arn:aws:iam::111122223333:role/Admin"

// TestPolicy: each of the four rules refuses a change with its fault, and the policy admits a change without a fault.
func TestPolicy(t *testing.T) {
	const good = "- rolearn: " + admin + "\n  username: admin\n  groups:\n  - system:masters\n"
	for _, tt := range []struct {
		name string
		data map[string]string // nil if the request deletes the object
		want []string
	}{
		{"good", map[string]string{"mapRoles": good, "mapAccounts": "[]", "mapUsers": ""}, nil},
		{"json", map[string]string{"mapRoles": `[{"rolearn":"` + admin + `","groups":["system:masters"]}]`}, nil},
		{"null", map[string]string{"mapRoles": good, "mapUsers": "# nobody\n"}, nil},
		{"user with a path", map[string]string{"mapRoles": good, "mapUsers": "- userarn: arn:aws:iam::111122223333:user/ops/eve\n"}, nil},
		{"syntax", map[string]string{"mapRoles": good, "mapUsers": "- userarn: {{SessionName}}\n"}, []string{"parses: mapUsers does not parse"}},
		{"tab", map[string]string{"mapRoles": good, "mapUsers": "-\tuserarn: a\n\tgroups: []\n"}, []string{"parses: mapUsers does not parse"}},
		{"mapping", map[string]string{"mapRoles": good, "mapUsers": "userarn: a\n"}, []string{"parses: mapUsers is not a list"}},
		{"deleted", nil, []string{"admin: " + admin + ` has no entry with the groups ["system:masters"]`}},
		{
			"no groups",
			map[string]string{"mapRoles": "- rolearn: " + admin + "\n  groups: system:masters\n"},
			[]string{"admin: " + admin + ` has no entry with the groups ["system:masters"]`},
		},
		{
			"path",
			map[string]string{"mapRoles": good + "- rolearn: arn:aws:iam::111122223333:role/ci/runner\n"},
			[]string{"shape: mapRoles[1]: arn:aws:iam::111122223333:role/ci/runner is no ARN of a role without a path, or of a user"},
		},
		{
			"no arn",
			map[string]string{"mapRoles": good + "- rolarn: arn:aws:iam::111122223333:role/runner\n- 12\n- [a]\n"},
			[]string{
				"shape: mapRoles[1]:  is no ARN of a role without a path, or of a user", "shape: mapRoles[2]:  is no ARN of a role without a path, or of a user",
				"shape: mapRoles[3]:  is no ARN of a role without a path, or of a user",
			},
		},
		{"twice", map[string]string{"mapRoles": good + good}, []string{"duplicates: arn:aws:iam::111122223333:role/admin stands more than once"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy, err := rego.New(t.Context(), []access.Protected{{ARN: admin, Groups: []string{"system:masters"}}})
			if err != nil {
				t.Fatal(err)
			}
			request := rego.Request{Operation: "UPDATE"}
			if tt.data != nil {
				if request.Object, err = json.Marshal(map[string]any{"data": tt.data}); err != nil {
					t.Fatal(err)
				}
			}
			denials, err := policy.Deny(t.Context(), request)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range denials {
				got = append(got, d.Rule+": "+d.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("denials (-want +got):\n%s", diff)
			}
		})
	}
}
