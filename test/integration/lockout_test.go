package integration_test

import (
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// loggedIn returns a user as the authenticator describes a session of the role Me. With impersonation, the API server
// writes the keys of extra in lower case.
func loggedIn(username string, groups ...string) rest.ImpersonationConfig {
	return rest.ImpersonationConfig{
		UserName: username,
		Groups:   append(groups, "system:authenticated"),
		Extra: map[string][]string{
			"arn":          {"arn:aws:sts::111122223333:assumed-role/Me/alice"},
			"canonicalArn": {"arn:aws:iam::111122223333:role/Me"},
			"sessionName":  {"alice"},
			"accessKeyId":  {"ASIA0123456789ABCDEF"},
		},
	}
}

// entry returns an element of mapRoles.
func entry(role, username string, groups ...string) string {
	return "- rolearn: arn:aws:iam::111122223333:role/" + role + "\n  username: " + username + "\n  groups: [\"" + strings.Join(groups, `", "`) + "\"]\n"
}

// The guard refuses changes that lock the requester or nodes out for a reason that is easy to overlook, such as a template in
// the name of a group. It also refuses an entry that gives the bypass group.
func TestLockoutsAndBypassGrantsAreRefused(t *testing.T) {
	fargate := entry("Fargate", "system:node:{{SessionName}}", "system:bootstrappers", "system:nodes", "system:node-proxier")
	windows := entry("Windows", "system:node:{{EC2PrivateDNSName}}", "system:bootstrappers", "system:nodes", "eks:kube-proxy-windows")
	me := func(groups ...string) string { return entry("Me", "me", groups...) }
	for _, test := range []struct {
		name       string
		user       rest.ImpersonationConfig
		start, end string // elements of mapRoles in addition to base, before and after the change
		rules      string
	}{
		{"requester's entry lists system:authenticated", loggedIn("me", "system:masters"), me("system:masters", "system:authenticated"), "", "self-lockout"},
		{"requester's group is a template", loggedIn("me", "system:masters", "key-ASIA0123456789ABCDEF"), me("system:masters", "key-{{AccessKeyID}}"), "", "self-lockout"},
		{"requester's new group needs an instance", loggedIn("me", "system:masters"), me("system:masters"), me("system:masters", "on-{{EC2PrivateDNSName}}"), "self-lockout"},
		{"Fargate role gains a group that needs an instance", operator, fargate, strings.Replace(fargate, "]", `, "on-{{EC2PrivateDNSName}}"]`, 1), "node-role-removed"},
		{"only Windows role loses the group of kube-proxy", operator, windows, strings.Replace(windows, `, "eks:kube-proxy-windows"`, "", 1), "node-role-removed"},
		{"only Fargate role loses the group of kube-proxy", operator, fargate, strings.Replace(fargate, `, "system:node-proxier"`, "", 1), "node-role-removed"},
		{"entry gives the bypass group", operator, "", entry("CI", "ci", "awsauth-guard:bypass"), "bypass-grant"},
		{"session's name makes the bypass group", operator, "", entry("CI", "ci", "awsauth-guard:{{SessionName}}"), "bypass-grant"},
	} {
		t.Run(test.name, func(t *testing.T) {
			store(t, base().with("mapRoles", admin+node+test.start))
			wantRefused(t, update(t.Context(), as(t, test.user), base().with("mapRoles", admin+node+test.end)), test.rules)
		})
	}
}

// If all stored entries are of one partition and one account, an admin of another partition or account doesn't count, because the
// ARN may be mistyped.
func TestMistypedAccountOfLastAdminIsRefused(t *testing.T) {
	only := func(arn string) data { return data{"mapRoles": strings.ReplaceAll(admin, adminARN, arn) + node} }
	c := as(t, operator)
	other := "arn:aws:iam::111122223333:role/Other"
	for _, foreign := range []string{"arn:aws-cn:iam::111122223333:role/Other", "arn:aws:iam::111122223334:role/Other"} {
		store(t, only(other))
		wantRefused(t, update(t.Context(), c, only(foreign)), "last-admin")
	}
	c.Take() // discard the warnings about the refused changes
	// The admins can move to another account in two steps.
	moved := "arn:aws:iam::444455556666:role/Other"
	store(t, only(other))
	both := data{"mapRoles": only(other)["mapRoles"] + only(moved)["mapRoles"][:len(only(moved)["mapRoles"])-len(node)]}
	// The stored map never had the protected principal, so its absence is only a warning.
	wantAdmitted(t, c, update(t.Context(), c, both), "admin-grant", "protected-principal")
	wantAdmitted(t, c, update(t.Context(), c, only(moved)), "protected-principal")
}

// The guard warns requesters whose next login will give them another username or fewer groups.
func TestRequesterIsWarnedIfNextLoginDiffers(t *testing.T) {
	c := as(t, loggedIn("me", "system:masters", "editors"))
	mine := entry("Me", "me", "system:masters", "editors")
	for _, end := range []string{entry("Me", "you", "system:masters", "editors"), entry("Me", "me", "system:masters")} {
		store(t, base().with("mapRoles", admin+node+mine))
		wantAdmitted(t, c, update(t.Context(), c, base().with("mapRoles", admin+node+end)), "self-lockout")
	}
	store(t, base().with("mapRoles", admin+node+mine))
	wantAdmitted(t, c, update(t.Context(), c, base().with("mapRoles", strings.Replace(mine, "editors", `editors", "viewers`, 1)+admin+node+ci)))
}
