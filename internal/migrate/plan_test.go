package migrate_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

const (
	iam     = "arn:aws:iam::111122223333:"
	cluster = "arn:aws:eks::aws:cluster-access-policy/"
	// admins is the JSON of the access policy of an admin.
	admins = `[{"policyArn":"` + cluster + `AmazonEKSClusterAdminPolicy","accessScope":{"type":"cluster"}}]`
)

// document returns an aws-auth with these elements of mapRoles and mapUsers, as YAML flow mappings.
func document(roles, users []string, accounts ...string) *awsauth.Document {
	list := func(elements []string) string {
		var b strings.Builder
		for _, e := range elements {
			b.WriteString("- " + e + "\n")
		}
		return b.String()
	}
	data := map[string]string{"mapRoles": list(roles), "mapUsers": list(users)}
	if len(accounts) > 0 {
		data["mapAccounts"] = list(accounts)
	}
	return (&awsauth.Object{Data: data}).Parse()
}

// role returns an element of mapRoles.
func role(arn, username string, groups ...string) string {
	text, err := json.Marshal(map[string]any{"rolearn": arn, "username": username, "groups": groups})
	if err != nil {
		panic(err) // can't happen, because all values are texts
	}
	return string(text)
}

// user returns an element of mapUsers.
func user(arn, username string, groups ...string) string {
	return strings.Replace(role(arn, username, groups...), "rolearn", "userarn", 1)
}

// summary returns a plan as short lines: the moves as JSON without their place, the reasons of the decisions, and the
// leftovers.
func summary(t *testing.T, p migrate.Plan) (lines []string) {
	t.Helper()
	for _, m := range p.Move {
		text, err := json.Marshal(m.Entry)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, strings.TrimSpace("move "+string(text)+" "+string(m.Existing)))
	}
	for _, d := range p.Decide {
		lines = append(lines, strings.TrimSpace("decide "+d.PrincipalARN+": "+d.Reason+" "+string(d.Existing)))
	}
	for _, l := range p.LeaveBehind {
		lines = append(lines, "leave "+l.Place+" "+l.ARN+": "+l.Reason)
	}
	return lines
}

// exist returns results of lookups in IAM: the principals with these ARNs exist.
func exist(arns ...string) map[string]migrate.Found {
	found := make(map[string]migrate.Found)
	for _, arn := range arns {
		found[awsauth.PrincipalKey(arn)] = migrate.Found{ARN: arn}
	}
	return found
}

// The plan gives the same access as aws-auth for each row of the table in docs/how-to/migrate-to-access-entries.md. The
// table shows maps for which the access entries that eksctl makes give other access.
func TestPlanGivesTheAccessOfAWSAuth(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		roles []string
		iam   map[string]migrate.Found
		want  []string
	}{
		"the last of two entries of a role applies": {
			roles: []string{role(iam+"role/dev", "dev", "system:masters"), role(iam+"role/dev", "dev", "viewers")},
			want: []string{
				`move {"principalArn":"` + iam + `role/dev","type":"STANDARD","username":"dev","kubernetesGroups":["viewers"],"accessPolicies":[]}`,
				"leave data.mapRoles[0] " + iam + "role/dev: shadowed: data.mapRoles[1] has the same ARN, and the authenticator uses the last one",
			},
		},
		"a role of another account is that role": {
			roles: []string{role("arn:aws:iam::999988887777:role/Admin", "admin", "system:masters")},
			want: []string{
				`move {"principalArn":"arn:aws:iam::999988887777:role/Admin","type":"STANDARD","username":"admin","kubernetesGroups":[],"accessPolicies":` + admins + `}`,
			},
		},
		"groups beside system:masters stay": {
			roles: []string{role(iam+"role/ops", "ops", "system:masters", "breakglass")},
			want: []string{
				`move {"principalArn":"` + iam + `role/ops","type":"STANDARD","username":"ops","kubernetesGroups":["breakglass"],"accessPolicies":` + admins + `}`,
			},
		},
		"a Fargate role is a node": {
			roles: []string{
				role(iam+"role/nodes", "system:node:{{EC2PrivateDNSName}}", "system:bootstrappers", "system:nodes"),
				role(iam+"role/pods", "system:node:{{SessionName}}", "system:bootstrappers", "system:nodes", "system:node-proxier"),
			},
			want: []string{
				`move {"principalArn":"` + iam + `role/nodes","type":"EC2_LINUX","username":"system:node:{{EC2PrivateDNSName}}","kubernetesGroups":[],"accessPolicies":[]}`,
				`move {"principalArn":"` + iam + `role/pods","type":"FARGATE_LINUX","username":"system:node:{{SessionName}}","kubernetesGroups":[],"accessPolicies":[]}`,
			},
		},
		"the access policy is of the partition of China": {
			roles: []string{role("arn:aws-cn:iam::111122223333:role/ops", "ops", "system:masters")},
			want: []string{
				`move {"principalArn":"arn:aws-cn:iam::111122223333:role/ops","type":"STANDARD","username":"ops","kubernetesGroups":[],"accessPolicies":` +
					strings.Replace(admins, "arn:aws:", "arn:aws-cn:", 1) + `}`,
			},
		},
		"a username that EKS refuses is a decision": {
			roles: []string{role(iam+"role/ops", "aws:ops", "ops"), role(iam+"role/john", "john{{SessionName}}", "ops")},
			want: []string{
				"decide " + iam + `role/ops: EKS refuses the username "aws:ops", because it begins with aws:`,
				"decide " + iam + `role/john: EKS refuses the username "john{{SessionName}}", because no colon is before the template`,
			},
		},
		"a role with a path in aws-auth never matched": {
			roles: []string{role(iam+"role/platform/ops", "ops", "system:masters")},
			want: []string{
				"leave data.mapRoles[0] " + iam + "role/platform/ops: neverMatches: the role's ARN has a path, and STS leaves it out; the authenticator searches for " + iam + "role/ops",
			},
		},
		"a session never matched": {
			roles: []string{role("arn:aws:sts::111122223333:assumed-role/deploy/ci", "ci", "deployers")},
			want: []string{
				"leave data.mapRoles[0] arn:aws:sts::111122223333:assumed-role/deploy/ci: neverMatches: the ARN is that of a session, and the authenticator searches for that of the role, " + iam + "role/deploy",
			},
		},
		"an element without an ARN is dropped": {
			roles: []string{`{username: ops, groups: [system:masters]}`},
			want:  []string{"leave data.mapRoles[0] : dropped: the element has neither rolearn nor sso"},
		},
		"the last of two entries that differ in case applies": {
			roles: []string{role(iam+"role/DEV", "dev", "system:masters"), role(iam+"role/dev", "dev", "viewers")},
			want: []string{
				`move {"principalArn":"` + iam + `role/dev","type":"STANDARD","username":"dev","kubernetesGroups":["viewers"],"accessPolicies":[]}`,
				"leave data.mapRoles[0] " + iam + "role/DEV: shadowed: data.mapRoles[1] has the same ARN, and the authenticator uses the last one",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := summary(t, migrate.New(migrate.Input{Document: document(test.roles, nil), NoRolePaths: true}))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPlanMoves(t *testing.T) {
	t.Parallel()
	masters := []migrate.Policy{{ARN: cluster + access.ClusterAdminPolicy, Scope: migrate.Scope{Type: "cluster"}}}
	for name, test := range map[string]struct {
		in   migrate.Input
		want migrate.Entry
	}{
		"the ARN that IAM has": {
			migrate.Input{Document: document([]string{role(iam+"role/OPS", "ops", "system:masters", "a", "a", "system:authenticated")}, nil), IAM: exist(iam + "role/platform/ops")},
			migrate.Entry{PrincipalARN: iam + "role/platform/ops", Type: "STANDARD", Username: "ops", Groups: []string{"a"}, Policies: masters},
		},
		"a role of IAM Identity Center with its path": {
			migrate.Input{
				Document: document([]string{role(iam+"role/AWSReservedSSO_Admin_0123456789abcdef", "admin:{{SessionName}}")}, nil),
				IAM:      exist(iam + "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef"),
			},
			migrate.Entry{PrincipalARN: iam + "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Admin_0123456789abcdef", Type: "STANDARD", Username: "admin:{{SessionName}}"},
		},
		"a user, whose ARN has its path": {
			migrate.Input{Document: document(nil, []string{user(iam+"user/division/bob", "bob", "viewers")})},
			migrate.Entry{PrincipalARN: iam + "user/division/bob", Type: "STANDARD", Username: "bob", Groups: []string{"viewers"}},
		},
		"a username with the name of the session": {
			migrate.Input{Document: document([]string{role(iam+"role/ops", "ops:{{SessionNameRaw}}")}, nil), NoRolePaths: true},
			migrate.Entry{PrincipalARN: iam + "role/ops", Type: "STANDARD", Username: "ops:{{SessionNameRaw}}"},
		},
		"Windows nodes": {
			migrate.Input{
				Document: document([]string{role(iam+"role/n", "system:node:{{EC2PrivateDNSName}}", "system:nodes", "system:bootstrappers", "eks:kube-proxy-windows")}, nil),
				Account:  "111122223333", NoRolePaths: true,
			},
			migrate.Entry{PrincipalARN: iam + "role/n", Type: "EC2_WINDOWS", Username: "system:node:{{EC2PrivateDNSName}}"},
		},
		"the access policy that EKS lists": {
			migrate.Input{Document: document(nil, []string{user(iam+"user/bob", "bob", "system:masters")}), ClusterAdminPolicy: "arn:aws-x:eks::aws:cluster-access-policy/A"},
			migrate.Entry{
				PrincipalARN: iam + "user/bob", Type: "STANDARD", Username: "bob",
				Policies: []migrate.Policy{{ARN: "arn:aws-x:eks::aws:cluster-access-policy/A", Scope: migrate.Scope{Type: "cluster"}}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := migrate.New(test.in)
			if len(p.Move) != 1 || len(p.Decide) > 0 {
				t.Fatalf("the plan has %d moves and %d decisions, want one move: %+v", len(p.Move), len(p.Decide), p)
			}
			if test.want.Groups == nil {
				test.want.Groups = []string{}
			}
			if test.want.Policies == nil {
				test.want.Policies = []migrate.Policy{}
			}
			if diff := cmp.Diff(test.want, p.Move[0].Entry); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPlanLeavesDecisionsToAPerson(t *testing.T) {
	t.Parallel()
	const pathUnknown = "the path of the role is not known, and EKS accepts only the ARN with its path"
	nodeGroups := []string{"system:bootstrappers", "system:nodes"}
	for name, test := range map[string]struct {
		in   migrate.Input
		want string // the reason
		arn  string // the ARN of the principal; empty means the role x
	}{
		"path":                        {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x")}, nil)}, want: pathUnknown},
		"path in another account":     {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x")}, nil), IAM: map[string]migrate.Found{awsauth.PrincipalKey(iam + "role/x"): {Unknown: "no access"}}}, want: pathUnknown + "; IAM gave no answer: no access"},
		"Identity Center":             {in: migrate.Input{Document: document([]string{role(iam+"role/AWSReservedSSO_A_0123456789abcdef", "x")}, nil), NoRolePaths: true}, arn: "role/AWSReservedSSO_A_0123456789abcdef", want: pathUnknown + "; a role of IAM Identity Center has the path aws-reserved/sso.amazonaws.com/, outside of us-east-1 with the region behind"},
		"deleted":                     {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x")}, nil), IAM: map[string]migrate.Found{awsauth.PrincipalKey(iam + "role/x"): {}}}, want: "IAM has no such principal"},
		"service-linked by its path":  {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x")}, nil), IAM: exist(iam + "role/aws-service-role/eks.amazonaws.com/x")}, arn: "role/aws-service-role/eks.amazonaws.com/x", want: "EKS makes no access entry for a service-linked role"},
		"service-linked by its name":  {in: migrate.Input{Document: document([]string{role(iam+"role/AWSServiceRoleForX", "x")}, nil)}, arn: "role/AWSServiceRoleForX", want: "EKS makes no access entry for a service-linked role"},
		"root":                        {in: migrate.Input{Document: document(nil, []string{user(iam+"root", "x")})}, arn: "root", want: "EKS makes no access entry for an account root"},
		"mapAccounts":                 {in: migrate.Input{Document: document(nil, nil, `"111122223333"`)}, want: "every principal of the account logs in, with its ARN as username and without groups; an access entry is for one principal"},
		"empty username":              {in: migrate.Input{Document: document([]string{role(iam+"role/x", "", "a")}, nil), NoRolePaths: true}, want: "the username is empty, and EKS gives every access entry a username"},
		"account in the username":     {in: migrate.Input{Document: document([]string{role(iam+"role/x", "a-{{AccountID}}")}, nil), NoRolePaths: true}, want: "EKS has no template {{AccountID}} in usernames"},
		"access key in the username":  {in: migrate.Input{Document: document([]string{role(iam+"role/x", "a:{{AccessKeyID}}")}, nil), NoRolePaths: true}, want: `the username "a:{{AccessKeyID}}" has a template, and EKS has only the templates {{SessionName}} and {{SessionNameRaw}}`},
		"white space in the username": {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x ")}, nil), NoRolePaths: true}, want: `the username "x " has white space at an end, or characters that are not printable, and it is not known whether EKS keeps them`},
		"reserved groups":             {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x", "system:unauthenticated", "eks:a", "aws:b", "amazon:c", "iam:d", "a")}, nil), NoRolePaths: true}, want: `EKS refuses the groups "amazon:c", "aws:b", "eks:a", "iam:d", "system:unauthenticated", because they begin with a reserved prefix`},
		"template in a group":         {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x", "key:{{AccessKeyID}}")}, nil), NoRolePaths: true}, want: `the groups "key:{{AccessKeyID}}" have templates, and it is not known whether EKS renders them`},
		"empty group":                 {in: migrate.Input{Document: document([]string{role(iam+"role/x", "x", "")}, nil), NoRolePaths: true}, want: `the groups "" are empty or have characters that are not printable, and it is not known whether EKS keeps them`},
		"node with another group":     {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{EC2PrivateDNSName}}", append(nodeGroups, "extra")...)}, nil), NoRolePaths: true}, want: `the username is that of nodes, and no type of access entry certainly gives the same groups: "extra", "system:bootstrappers", "system:nodes"`},
		"node without a group":        {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{EC2PrivateDNSName}}", "system:nodes")}, nil), NoRolePaths: true}, want: `the username is that of nodes, and no type of access entry certainly gives the same groups: "system:nodes"`},
		"admin node":                  {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{EC2PrivateDNSName}}", append(nodeGroups, "system:masters")...)}, nil), NoRolePaths: true}, want: `the username is that of nodes, and no type of access entry certainly gives the same groups: "system:bootstrappers", "system:masters", "system:nodes"`},
		"hybrid or incomplete":        {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{SessionName}}", nodeGroups...)}, nil), Account: "111122223333", NoRolePaths: true}, want: `the username is that of nodes, and no type of access entry certainly gives the same groups: "system:bootstrappers", "system:nodes"`},
		"node of another account":     {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{EC2PrivateDNSName}}", nodeGroups...)}, nil), Account: "444455556666", NoRolePaths: true}, want: "the role is in the account 111122223333, and an access entry for nodes needs a role of the cluster's account 444455556666"},
		"account of pods not known":   {in: migrate.Input{Document: document([]string{role(iam+"role/x", "system:node:{{SessionName}}", append(nodeGroups, "system:node-proxier")...)}, nil), NoRolePaths: true}, want: "the account of the cluster is not known, and an access entry for nodes needs a role of this account"},
		"random answer": {
			in:   migrate.Input{Document: document(nil, []string{user(iam+"user/x", "x", "a"), user(iam+"user/X", "x", "b")})},
			want: "the ARNs of data.mapUsers[0] and data.mapUsers[1] differ only in case, and the authenticator picks one of them at random for each request", arn: "user/x",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := migrate.New(test.in)
			if len(p.Decide) != 1 || len(p.Move) > 0 {
				t.Fatalf("the plan has %d moves and %d decisions, want one decision: %+v", len(p.Move), len(p.Decide), p)
			}
			d := p.Decide[0]
			arn := iam + "role/x"
			if test.arn != "" {
				arn = iam + test.arn
			}
			if name == "mapAccounts" {
				arn = "111122223333"
			}
			if diff := cmp.Diff(test.want, d.Reason); diff != "" || d.PrincipalARN != arn || len(d.Options) == 0 {
				t.Errorf("%s has %d options, -want +got:\n%s", d.PrincipalARN, len(d.Options), diff)
			}
			for _, o := range d.Options {
				if o.Option == "" || o.Change == "" {
					t.Errorf("the option %+v does not say what it changes", o)
				}
			}
		})
	}
}

func TestPlanNamesTheEntryOfAnOption(t *testing.T) {
	t.Parallel()
	p := migrate.New(migrate.Input{Document: document([]string{role(iam+"role/x", "a-{{AccountID}}", "g")}, nil), NoRolePaths: true})
	want := migrate.Entry{PrincipalARN: iam + "role/x", Type: "STANDARD", Username: "a-111122223333", Groups: []string{"g"}, Policies: []migrate.Policy{}}
	if diff := cmp.Diff(&want, p.Decide[0].Options[0].Entry); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	p = migrate.New(migrate.Input{Document: document([]string{role(iam+"role/x", "a-{{AccountID}}", "g")}, nil)})
	for _, o := range p.Decide[0].Options {
		if o.Entry != nil {
			t.Errorf("the option %q has an access entry, although there is another problem", o.Option)
		}
	}
}

func TestPlanComparesExistingEntries(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	entry := func(username string, groups []string, policies ...string) access.AccessEntry {
		e := access.AccessEntry{PrincipalARN: iam + "role/platform/x", Type: "STANDARD", Username: username, Groups: groups, Created: made}
		for _, name := range policies {
			e.Policies = append(e.Policies, access.AccessPolicy{ARN: cluster + name, Scope: access.ScopeCluster})
		}
		return e
	}
	const arn = iam + "role/platform/x"
	unread := entry("x", nil)
	unread.Unknown = []string{access.FieldPolicies}
	for name, test := range map[string]struct {
		existing access.AccessEntry
		found    map[string]migrate.Found
		want     migrate.Comparison
	}{
		"equal":             {existing: entry("x", []string{"g"}, access.ClusterAdminPolicy), want: migrate.Equal},
		"weaker":            {existing: entry("x", []string{"g"}), want: migrate.Weaker},
		"stronger":          {existing: entry("x", []string{"g", "h"}, access.ClusterAdminPolicy), want: migrate.Stronger},
		"other policy":      {existing: entry("x", []string{"g"}, access.ClusterAdminPolicy, "AmazonEKSViewPolicy"), want: migrate.Stronger},
		"another username":  {existing: entry("y", []string{"g"}, access.ClusterAdminPolicy), want: migrate.Different},
		"not readable":      {existing: unread, want: migrate.Unknown},
		"principal deleted": {existing: entry("x", []string{"g"}, access.ClusterAdminPolicy), found: map[string]migrate.Found{awsauth.PrincipalKey(arn): {}}, want: migrate.Stale},
		"principal created again": {
			existing: entry("x", []string{"g"}, access.ClusterAdminPolicy), want: migrate.Stale,
			found: map[string]migrate.Found{awsauth.PrincipalKey(arn): {ARN: arn, Created: made.Add(time.Hour)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := migrate.New(migrate.Input{
				Document: document([]string{role(iam+"role/x", "x", "system:masters", "g")}, nil), IAM: test.found,
				Cluster: &access.Cluster{Mode: access.ModeAPIAndConfigMap, AccessEntries: []access.AccessEntry{test.existing}},
			})
			switch {
			case test.want == migrate.Equal:
				if len(p.Move) != 1 || p.Move[0].Existing != test.want || p.Move[0].PrincipalARN != arn {
					t.Errorf("the plan does not move the principal, although its access entry is equal: %+v", p)
				}
			case len(p.Decide) != 1 || p.Decide[0].Existing != test.want:
				t.Errorf("the plan has no decision about an access entry that is %s: %+v", test.want, p)
			}
		})
	}
}

func TestPlanKnowsTheAccountOfNodesByTheirAccessEntries(t *testing.T) {
	t.Parallel()
	pods := document([]string{role(iam+"role/pods", "system:node:{{SessionName}}", "system:bootstrappers", "system:nodes", "system:node-proxier")}, nil)
	entries := &access.Cluster{AccessEntries: []access.AccessEntry{{PrincipalARN: iam + "role/other", Type: "EC2_LINUX"}}}
	if p := migrate.New(migrate.Input{Document: pods, Cluster: entries, NoRolePaths: true}); len(p.Move) != 1 {
		t.Errorf("the plan does not move the role of the pods: %+v", p)
	}
}

func TestPlanLeavesPrincipalsOfOtherPartitionsBehind(t *testing.T) {
	t.Parallel()
	both := document(nil, []string{user(iam+"user/bob", "bob"), user("arn:aws-cn:iam::111122223333:user/li", "li")})
	want := []string{
		`move {"principalArn":"` + iam + `user/bob","type":"STANDARD","username":"bob","kubernetesGroups":[],"accessPolicies":[]}`,
		"leave data.mapUsers[1] arn:aws-cn:iam::111122223333:user/li: the principal is in partition aws-cn and can't log in to a cluster in partition aws",
	}
	if diff := cmp.Diff(want, summary(t, migrate.New(migrate.Input{Document: both, Partition: "aws"}))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if p := migrate.New(migrate.Input{Document: both}); len(p.Decide) != 2 || !strings.HasPrefix(p.Decide[0].Reason, "the partition of the cluster is not known") {
		t.Errorf("the plan does not ask for a decision about both principals: %+v", p)
	}
}

func TestPlanHasNoNullLists(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(migrate.New(migrate.Input{Document: document(nil, nil)}))
	if want := `{"move":[],"decide":[],"leaveBehind":[]}`; err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
}

// The plan offers no access entry for a principal that never logs in, because the access entry would give access that
// the principal never had.
func TestPlanDecidesNothingAboutAPrincipalThatNeverLogsIn(t *testing.T) {
	t.Parallel()
	p := migrate.New(migrate.Input{Document: document(nil, []string{user(iam+"user/x", "system:node:{{EC2PrivateDNSName}}", "system:masters")})})
	if len(p.Move)+len(p.Decide) > 0 || len(p.LeaveBehind) != 1 {
		t.Errorf("%q", summary(t, p))
	}
}

// A person must decide about a user whose username has a template for the session name. The authenticator replaces the
// template by an empty text. EKS documents the template only for roles.
func TestPlanDecidesAboutASessionTemplateOfAUser(t *testing.T) {
	t.Parallel()
	p := migrate.New(migrate.Input{Document: document(nil, []string{user(iam+"user/x", "x:{{SessionName}}", "viewers")})})
	if len(p.Move) > 0 || len(p.Decide) != 1 || p.Decide[0].Options[0].Entry.Username != "x:" {
		t.Errorf("%q", summary(t, p))
	}
}
