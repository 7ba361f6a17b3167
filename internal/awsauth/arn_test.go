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
		problem string // empty if a caller can have the ARN, or if it is a session or has a path
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
		{arn: "arn:aws:iam::role/Admin", problem: "is not an ARN"},
		{arn: "arn:aws:iam::" + account + ":role/", problem: "has no name at its end"},
		{arn: "arn:aws:iam::" + account + ":role", problem: "has no name at its end"},
		{arn: "arn:aws:iam::" + account + ":role/a b", problem: "has ' ' in its name, which IAM does not allow"},
		{arn: "arn:aws:iam::" + account + ":role/ä", problem: "has 'ä' in its name, which IAM does not allow"},
		{arn: "arn:aws:iam::" + account + ":root/x", problem: "names something below root"},
		{arn: "arn:aws:iam::" + account + ":policy/x", problem: `names "policy/x" of the service iam, which is not a principal that can log in`},
		{arn: "arn:aws:sts::" + account + ":assumed-role/team/Admin/alice", problem: "has a path, and STS puts none into a session's ARN"},
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

func TestARNForms(t *testing.T) {
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
