package awsauth_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

func TestParseARN(t *testing.T) {
	const account = "111122223333"
	long := strings.Repeat("n", 64)
	for _, test := range []struct {
		arn     string
		problem string // empty if the ARN is well-formed
	}{
		{arn: "arn:aws:iam::" + account + ":role/Admin"},
		{arn: "arn:aws:iam::" + account + ":role/team/x/Admin"},
		{arn: "arn:aws:iam::" + account + ":user/people/alice"},
		{arn: "arn:aws:iam::" + account + ":root"},
		{arn: "arn:aws:sts::" + account + ":assumed-role/Admin/alice@example.com"},
		{arn: "arn:aws:sts::" + account + ":federated-user/Bob"},
		{arn: "arn:aws-eusc:iam::" + account + ":role/Admin"},
		{arn: "ARN:AWS:IAM::" + account + ":ROLE/Admin"},
		{arn: "arn:aws:iam::" + account + ":role/" + long},
		{arn: "arn:aws:iam::" + account + ":role/a+b=c,d.e@f-g_h"},
		{arn: "arn:aws:iam::" + account + ":role/" + long + "n", problem: "has a name of 65 characters, and IAM allows 64"},
		{arn: "", problem: "is not an ARN"},
		{arn: "arn:aws:iam::role/Admin", problem: "has no account"},
		{arn: "arn:aws:iam::" + account + ":Admin", problem: `has no role/ or user/ before "Admin"`},
		{arn: "arn:aws:iam::" + account + ":role/", problem: "has no name at its end"},
		{arn: "arn:aws:iam::" + account + ":role", problem: "has no name at its end"},
		{arn: "arn:aws:iam::" + account + ":role/a b", problem: "has ' ' in its name, which IAM does not allow"},
		{arn: "arn:aws:iam::" + account + ":role/ä", problem: "has 'ä' in its name, which IAM does not allow"},
		{arn: "arn:aws:iam::" + account + ":root/x", problem: "has a path after root"},
		{arn: "arn:aws:iam::" + account + ":policy/x", problem: `names "policy/x" of the service iam, which is not a principal that can log in`},
		{arn: "arn:aws:sts::" + account + ":assumed-role/team/Admin/alice", problem: "has a path, but the ARN of a session never has one"},
		{arn: " arn:aws:iam::" + account + ":role/Admin", problem: "has white space or an invisible character at an end, and the authenticator does not trim it"},
	} {
		arn, err := awsauth.ParseARN(test.arn)
		var bad *awsauth.ARNError
		switch {
		case test.problem == "" && err != nil:
			t.Errorf("%q: %v", test.arn, err)
		case test.problem == "" && !strings.EqualFold(arn.String(), test.arn):
			t.Errorf("%q is written back as %q", test.arn, arn)
		case test.problem != "" && (!errors.As(err, &bad) || bad.Problem != test.problem || bad.Hint == ""):
			t.Errorf("%q: got %#v, want the problem %q and a hint", test.arn, err, test.problem)
		}
	}
}

func TestSessionRoleAndWithoutPath(t *testing.T) {
	for _, test := range []struct{ arn, sessionRole, withoutPath string }{
		{"arn:aws:sts::111122223333:assumed-role/Admin/alice", "arn:aws:iam::111122223333:role/Admin", ""},
		{"arn:aws:iam::111122223333:role/team/x/Admin", "", "arn:aws:iam::111122223333:role/Admin"},
		{
			"arn:aws-us-gov:iam::111122223333:role/aws-reserved/sso.amazonaws.com/us-gov-west-1/AWSReservedSSO_Admin_0123456789abcdef", "",
			"arn:aws-us-gov:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef",
		},
		{"arn:aws:iam::111122223333:role/Admin", "", ""},
		{"arn:aws:iam::111122223333:user/people/alice", "", ""},
		{"arn:aws:iam::111122223333:user/\u017fales/alice", "", ""}, // the authenticator compares ſ as s
	} {
		arn, err := awsauth.ParseARN(test.arn)
		if err != nil {
			t.Fatal(err)
		}
		if role, ok := arn.SessionRole(); ok != (test.sessionRole != "") || ok && role.String() != test.sessionRole {
			t.Errorf("%s: the session's role is %v, %t", test.arn, role, ok)
		}
		if role, ok := arn.WithoutPath(); ok != (test.withoutPath != "") || ok && role.String() != test.withoutPath {
			t.Errorf("%s: without its path it is %v, %t", test.arn, role, ok)
		}
	}
}

func TestCanonicalize(t *testing.T) {
	for caller, want := range map[string]string{
		"arn:aws:sts::111122223333:assumed-role/Admin/alice@example.com": "arn:aws:iam::111122223333:role/Admin",
		"arn:aws-cn:sts::111122223333:assumed-role/Admin/i-0123":         "arn:aws-cn:iam::111122223333:role/Admin",
		"arn:aws:iam::111122223333:user/people/alice":                    "arn:aws:iam::111122223333:user/people/alice",
		"arn:aws:iam::111122223333:root":                                 "arn:aws:iam::111122223333:root",
		"arn:aws:sts::111122223333:federated-user/Bob":                   "arn:aws:sts::111122223333:federated-user/Bob",
		"arn:aws:sts::111122223333:assumed-role/Admin":                   "",
		"arn:aws:iam::111122223333:group/admins":                         "",
		"arn:aws:eks:eu-west-1:111122223333:cluster/c":                   "",
		"arn:aws-mars:iam::111122223333:role/Admin":                      "",
		"Admin": "",
	} {
		got, err := awsauth.Canonicalize(caller)
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (want != "") {
			t.Errorf("%s: %v (-want +got):\n%s", caller, err, diff)
		}
	}
}

func TestARNErrorNamesMistakeAndRepair(t *testing.T) {
	const iam = "arn:aws:iam::111122223333:"
	for _, test := range []struct{ arn, problem, hint string }{
		{"arn:aws:iam::111122223333::role/Admin", `has one colon too many before "role"`, "write " + iam + "role/Admin"},
		{"arn:aws:iam:::111122223333:role/Admin", `has one colon too many before "111122223333"`, "write " + iam + "role/Admin"},
		{"arn:aws:iam:111122223333:role/Admin", `has one colon too few before "111122223333"`, "write " + iam + "role/Admin"},
		{"arn:aws:iam::111122223333role/Admin", `has one colon too few before "role"`, "write " + iam + "role/Admin"},
		{"arn:aws:iam::111122223333:role:Admin", "has a colon in place of a slash", "write " + iam + "role/Admin"},
		{"arn:aws:iam:111122223333::role/Admin", "has the colons in wrong places", "write " + iam + "role/Admin"},
		{"arn:aws::iam:111122223333:role/Admin", "has the colons in wrong places", "write " + iam + "role/Admin"},
		{"arn::aws:iam:111122223333:role/Admin", "has the colons in wrong places", "write " + iam + "role/Admin"},
		{"arn:aws:iam:111122223333:role:Admin", "has the colons in wrong places", "write " + iam + "role/Admin"},
		{
			"arn:aws:iam::11112222333::role/Admin", `has one colon too many before "role", and has the account "11112222333", which has 11 digits instead of 12`,
			"write arn:aws:iam::ACCOUNT:role/Admin with the 12 digits of the account in place of ACCOUNT",
		},
		{"arn:aws:iam::1111222233334:role/Admin", `has the account "1111222233334", which has 13 digits instead of 12`, "write arn:aws:iam::ACCOUNT:role/Admin with the 12 digits of the account in place of ACCOUNT"},
		{"arn:aws:iam::1111-2222-3333:role/Admin", `has the account "1111-2222-3333", which is not written as 12 digits`, "write " + iam + "role/Admin"},
		{"arn:aws:iam:::role/Admin", "has no account", "write arn:aws:iam::ACCOUNT:role/Admin with the 12 digits of the account in place of ACCOUNT"},
		{"arn:aws:iam:eu-west-1:111122223333:role/Admin", `has the region "eu-west-1", and ARNs of principals have none`, "write " + iam + "role/Admin"},
		{iam + "role/Admin - system:masters", `has the next line, "- system:masters", folded into it, because that line is indented deeper than the key of the ARN`, "write " + iam + `role/Admin, and move "- system:masters" below groups`},
		{iam + "role/SSO–Admin", "has U+2013 EN DASH, which no ARN has", "write " + iam + "role/SSO-Admin"},
		{"“" + iam + "role/Admin”", "has U+201C LEFT DOUBLE QUOTATION MARK, which no ARN has", "write " + iam + "role/Admin"},
		{iam + "role/Ad\u00admin", "has U+00AD SOFT HYPHEN, which no ARN has", "write " + iam + "role/Admin"},
		{iam + "role/Admin\u200b", "has U+200B ZERO WIDTH SPACE at an end, and the authenticator does not trim it", "write " + iam + "role/Admin"},
		{iam + "role/" + iam + "role/Admin", "has an ARN inside an ARN", "write " + iam + "role/Admin"},
		{iam + "role/arn:aws:sts::111122223333:assumed-role/Admin/alice", "has an ARN inside an ARN", "write " + iam + "role/Admin"},
		{iam + iam + "user/alice", "has an ARN inside an ARN", "write " + iam + "user/alice"},
		{iam + "role/a," + iam + "role/b", "holds several ARNs, but an entry can have only one", "write one entry for each role or user"},
		{iam + "group/devs", "names an IAM group, and IAM groups can't log in", "map a role that the group may assume: write " + iam + "role/NAME"},
		{"arn:aws:sts::111122223333:assumed-role/team/Admin/alice", "has a path, but the ARN of a session never has one", "write " + iam + "role/Admin"},
		{"aws:iam::111122223333:role/Admin", "is not an ARN", "write " + iam + "role/Admin"},
		{"arn:aws:iam::111122223333/role/Admin", "is not an ARN", "write " + iam + "role/Admin"},
		{iam + "roles/Admin", `names "roles/Admin" of the service iam, which is not a principal that can log in`, "write " + iam + "role/Admin"},
		{iam + "assumed-role/Admin/alice", `names "assumed-role/Admin/alice" of the service iam, which is not a principal that can log in`, "write " + iam + "role/Admin"},
		{"arn:aws:sts::111122223333:role/Admin", `names "role/Admin" of the service sts, which is not a principal that can log in`, "write " + iam + "role/Admin"},
		{iam + "role/", "has no name at its end", "write " + iam + "role/NAME with the name as IAM shows it"},
	} {
		_, err := awsauth.ParseARN(test.arn)
		got := awsauth.AsARNError(err)
		if got == nil || got.Problem != test.problem || got.Hint != test.hint {
			t.Errorf("%s:\n got %#v\nwant %q, %q", test.arn, got, test.problem, test.hint)
		}
	}
}

// TestNestedARNOfUser checks that a user's ARN with another ARN as path is well-formed, because IAM allows such a path,
// and that NestedARN finds the inner ARN.
func TestNestedARNOfUser(t *testing.T) {
	const text = "arn:aws:iam::111122223333:user/arn:aws:sts::111122223333:assumed-role/Admin/alice"
	if _, err := awsauth.ParseARN(text); err != nil {
		t.Error(err)
	}
	if inner, ok := awsauth.NestedARN(text); !ok || inner != "arn:aws:iam::111122223333:role/Admin" {
		t.Errorf("the inner ARN is %q, %t", inner, ok)
	}
	if inner, ok := awsauth.NestedARN("arn:aws:iam::111122223333:role/Admin"); ok {
		t.Errorf("a plain ARN holds %q", inner)
	}
}

func TestLacksSSOSuffix(t *testing.T) {
	for name, want := range map[string]bool{
		"AWSReservedSSO_Admin":                         true,
		"AWSReservedSSO_Admin_0123456789abcde":         true,
		"AWSReservedSSO_Admin_0123456789abcdef":        false,
		"x/AWSReservedSSO_Admin_Team_0123456789ABCDEF": false,
		"Admin": false,
		"AWSReservedSSO_Administrator_0123456789abcdefg": true,
	} {
		arn, err := awsauth.ParseARN("arn:aws:iam::111122223333:role/" + name)
		if err != nil || arn.LacksSSOSuffix() != want {
			t.Errorf("%s: LacksSSOSuffix is not %t, or the ARN does not parse: %v", name, want, err)
		}
	}
}
