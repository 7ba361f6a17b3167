package report_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/report"
)

func access(before, after map[string]string) report.Access {
	return report.Access{
		Old: "old", New: "new",
		Changes: awsauth.DiffAccess((&awsauth.Object{Data: before}).Load(), (&awsauth.Object{Data: after}).Load()),
	}
}

// Access lists every kind of change. If the authenticator picks one of several entries at random, it lists all of them.
func TestAccessListsEveryChange(t *testing.T) {
	const role, user = "arn:aws:iam::111122223333:role/", "arn:aws:iam::111122223333:user/"
	a := access(map[string]string{
		"mapRoles": `
- {rolearn: ` + role + `same, username: same, groups: [b, a]}
- {rolearn: ` + role + `gone, username: gone, groups: [b, a, a]}
- {rolearn: ` + role + `groups, username: "groups\n", groups: [a, b]}
- {rolearn: ` + role + `name, username: old, groups: [a]}
`,
		"mapUsers":    "- {userarn: " + user + "random, username: one, groups: [a]}",
		"mapAccounts": `["777788889999"]`,
	}, map[string]string{
		"mapRoles": `
- {rolearn: ` + role + `same, username: same, groups: [a, b]}
- {rolearn: ` + role + `groups, username: "groups\n", groups: [b, c]}
- {rolearn: ` + role + `name, username: new, groups: [a]}
- {rolearn: ` + role + `new, username: new}
`,
		"mapUsers":    "- {userarn: " + user + "random, username: one, groups: [a]}\n- {userarn: " + user + "RANDOM, username: two}",
		"mapAccounts": `["444455556666"]`,
	})
	want := `access: old → new
- arn:aws:iam::111122223333:role/gone
    username: gone
    groups:   a, b
~ arn:aws:iam::111122223333:role/groups
    username: groups\n
    groups:   a, b → b, c
    gains:    c
    loses:    a
~ arn:aws:iam::111122223333:role/name
    username: old → new
    groups:   a
~ arn:aws:iam::111122223333:user/random
    username: one → one or two
    groups:   a → a or none
    loses:    a
+ arn:aws:iam::111122223333:role/new
    username: new
    groups:   none
- every principal of the account 777788889999
    username: their own ARN
    groups:   none
+ every principal of the account 444455556666
    username: their own ARN
    groups:   none
`
	var text, nothing bytes.Buffer
	if err := a.Text(&text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Error(diff)
	}
	if err := access(nil, nil).Text(&nothing); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("access: old → new\n    no principal gains or loses access\n", nothing.String()); diff != "" {
		t.Error(diff)
	}
}

// A principal of an account in mapAccounts can log in without an entry. So an edit that adds or removes an entry for this
// principal is "changed", and not "gained" or "lost".
func TestAccessByAccount(t *testing.T) {
	const role = "arn:aws:iam::111122223333:role/"
	a := access(
		map[string]string{"mapRoles": "- {rolearn: " + role + "gone, username: gone, groups: [a]}", "mapAccounts": `["111122223333"]`},
		map[string]string{"mapRoles": "- {rolearn: " + role + "new, username: new, groups: [b]}", "mapAccounts": `["111122223333"]`},
	)
	var text, json bytes.Buffer
	if err := a.Text(&text); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`access: old → new
~ `+role+`gone
    username: gone → `+role+`gone
    groups:   a → none
    loses:    a
~ `+role+`new
    username: `+role+`new → new
    groups:   none → b
    gains:    b
`, text.String()); diff != "" {
		t.Error(diff)
	}
	if err := a.JSON(&json); err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(json.Bytes(), []byte(`"change": "changed"`)); n != 2 {
		t.Errorf("%d of 2 changes are marked changed:\n%s", n, json.String())
	}
}

func TestAccessJSON(t *testing.T) {
	var got, nothing bytes.Buffer
	a := access(
		map[string]string{"mapRoles": "- {rolearn: arn:aws:iam::111122223333:role/a, username: a, groups: [v, u]}"},
		map[string]string{"mapAccounts": `["777788889999"]`},
	)
	if err := a.JSON(&got); err != nil {
		t.Fatal(err)
	}
	want := `{
  "changes": [
    {
      "principal": "arn:aws:iam::111122223333:role/a",
      "change": "lost",
      "before": [
        {
          "username": "a",
          "groups": [
            "u",
            "v"
          ]
        }
      ],
      "after": [],
      "gained": [],
      "lost": [
        "u",
        "v"
      ]
    },
    {
      "principal": "777788889999",
      "change": "gained",
      "before": [],
      "after": [],
      "gained": [],
      "lost": []
    }
  ]
}
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Error(diff)
	}
	if err := access(nil, nil).JSON(&nothing); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("{\n  \"changes\": []\n}\n", nothing.String()); diff != "" {
		t.Error(diff)
	}
}
