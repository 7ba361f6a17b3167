package access_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

const session = "arn:aws:sts::111122223333:assumed-role/"

// logins returns access entries and an aws-auth, which together have principals of every source. The role ops and the role
// node are in both.
func logins(mode access.Mode) (access.Entries, *awsauth.Map) {
	return access.NewEntries(&access.Cluster{Mode: mode, AccessEntries: []access.AccessEntry{
			{PrincipalARN: account + "role/team/ops", Type: "STANDARD", Username: "ops:{{SessionName}}", Groups: []string{"viewers", "account-{{AccountID}}"}, Policies: []access.AccessPolicy{{ARN: policies + access.ClusterAdminPolicy, Scope: access.ScopeCluster}}},
			{PrincipalARN: account + "role/node", Type: "EC2_LINUX", Username: "system:node:{{EC2PrivateDNSName}}", Groups: []string{"system:nodes"}},
		}}, nil), load(`
- {rolearn: "`+account+`role/ops", username: by-aws-auth, groups: [system:masters]}
- {rolearn: "`+account+`role/node", username: by-aws-auth, groups: [system:masters]}
- {rolearn: "`+account+`role/ci", username: "ci:{{SessionNameRaw}}:{{AccessKeyID}}", groups: [deployers]}
- {rolearn: "`+account+`role/fleet", username: "{{EC2PrivateDNSName}}"}
`, `
- {userarn: "`+account+`user/bob", username: bob, groups: [readers]}
- {userarn: "`+account+`user/twin", username: one}
- {userarn: "`+account+`user/TWIN", username: "{{EC2PrivateDNSName}}"}
`)
}

func TestLoginIsThatOfTheFirstSourceThatKnowsTheCaller(t *testing.T) {
	byAWSAuth := []access.User{{Username: "by-aws-auth", Groups: []string{"system:masters"}}}
	for _, test := range []struct {
		mode     access.Mode
		arn      string
		source   access.Source
		admitted access.Certainty
		users    []access.User
		reason   string
	}{
		{access.ModeAPIAndConfigMap, session + "ops/al@x", access.SourceAccessEntry, access.Always, []access.User{{Username: "ops:al-x", Groups: []string{"viewers", "account-111122223333"}}}, ""},
		{access.ModeConfigMap, session + "ops/al@x", access.SourceMapRoles, access.Always, byAWSAuth, ""},
		{access.ModeAPIAndConfigMap, session + "node/i-0123456789abcdef0", access.SourceAccessEntry, access.Always, []access.User{{Username: "system:node:{{EC2PrivateDNSName}}", Groups: []string{"system:nodes"}}}, ""},
		{access.ModeAPIAndConfigMap, session + "node/al", access.SourceAccessEntry, access.Never, nil, "only EC2 instances"},
		{access.ModeConfigMap, session + "node/al", access.SourceMapRoles, access.Always, byAWSAuth, ""},
		{access.ModeAPIAndConfigMap, session + "ci/al@x", access.SourceMapRoles, access.Always, []access.User{{Username: "ci:al@x:{{AccessKeyID}}", Groups: []string{"deployers"}}}, ""},
		{access.ModeAPI, session + "ci/al", access.SourceNone, access.Never, nil, "mode is API"},
		{access.ModeAPIAndConfigMap, account + "role/path/ci", access.SourceMapRoles, access.Always, []access.User{{Username: "ci:{{SessionNameRaw}}:{{AccessKeyID}}", Groups: []string{"deployers"}}}, ""},
		{access.ModeAPIAndConfigMap, account + "role/fleet", access.SourceMapRoles, access.Always, []access.User{{Username: "{{EC2PrivateDNSName}}", Groups: []string{}}}, ""},
		{access.ModeAPIAndConfigMap, session + "fleet/al", access.SourceMapRoles, access.Never, nil, "only EC2 instances can log in with data.mapRoles[3]"},
		{access.ModeConfigMap, account + "user/bob", access.SourceMapUsers, access.Always, []access.User{{Username: "bob", Groups: []string{"readers"}}}, ""},
		{access.ModeConfigMap, account + "user/twin", access.SourceMapUsers, access.Sometimes, []access.User{{Username: "one", Groups: []string{}}}, "at random"},
		{access.ModeConfigMap, "arn:aws:iam::444455556666:user/eve", access.SourceMapAccounts, access.Always, []access.User{{Username: "arn:aws:iam::444455556666:user/eve", Groups: []string{}}}, ""},
		{access.ModeConfigMap, account + "user/absent", access.SourceNone, access.Never, nil, "no entry has the ARN"},
		{access.ModeAPIAndConfigMap, "arn:aws:s3:::bucket", access.SourceNone, access.Never, nil, "refuses the ARN"},
	} {
		entries, m := logins(test.mode)
		got := entries.Login(m, access.NewCaller(test.arn))
		if got.Source != test.source || got.Admitted != test.admitted || !strings.Contains(got.Reason, test.reason) || test.reason == "" && got.Reason != "" || got.Unknown != "" {
			t.Errorf("%s, %s: %+v", test.mode, test.arn, got)
		}
		if diff := cmp.Diff(test.users, got.Users); diff != "" {
			t.Errorf("%s, %s: users (-want +got):\n%s", test.mode, test.arn, diff)
		}
		if admin := len(got.Policies) == 1; admin != (strings.Contains(test.arn, "ops") && test.mode != access.ModeConfigMap) {
			t.Errorf("%s, %s: policies %v", test.mode, test.arn, got.Policies)
		}
	}
}

func TestLoginIsUnknownIfTheGuardDoesNotKnowTheSource(t *testing.T) {
	declared := access.NewEntries(nil, []string{account + "role/ops"})
	m := load(`[{rolearn: "`+account+`role/ops", username: ops}]`, "")
	if l := declared.Login(m, access.NewCaller(session+"ops/al")); l.Source != access.SourceAccessEntry || l.Unknown == "" || len(l.Users) > 0 {
		t.Errorf("a declared access entry: %+v", l)
	}
	expensive := load("%a\n"+strings.Repeat("%TAG !x! y\n", 40)+"--- [{rolearn: \""+account+"role/ops\", username: ops}]\n", "")
	if l := access.NewEntries(nil, nil).Login(expensive, access.NewCaller(session+"ops/al")); l.Unknown == "" {
		t.Errorf("a section that is too expensive to evaluate: %+v", l)
	}
}
