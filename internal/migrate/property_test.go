package migrate_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/migrate"
)

var maps = flag.Int("maps", 500, "number of generated maps")

// generated returns an aws-auth whose entries have all kinds of ARNs, usernames and groups, in any combination.
func generated(r *rand.Rand) *awsauth.Document {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	arn := func() string {
		account := pick("111122223333", "111122223333", "444455556666")
		kind := pick("role/a", "role/A", "role/b", "role/c", "role/d", "role/e", "role/path/a", "user/a", "user/b", "user/A", "user/path/b", "root", "role/AWSReservedSSO_X_0123456789abcdef", "role/AWSServiceRoleForX")
		if r.IntN(12) == 0 {
			return "arn:aws:sts::" + account + ":" + pick("assumed-role/a/s", "federated-user/f")
		}
		partition := "aws"
		if r.IntN(40) == 0 {
			partition = "aws-cn"
		}
		return "arn:" + partition + ":iam::" + account + ":" + kind
	}
	entry := func() string {
		var groups []string
		for range r.IntN(4) {
			groups = append(groups, pick("system:masters", "viewers", "ops", "system:authenticated"))
		}
		if r.IntN(4) == 0 {
			groups = append(groups, pick("system:nodes", "system:bootstrappers", "eks:x", "", "t:{{SessionName}}", "ops "))
		}
		username := pick("bob", "x:{{SessionName}}", "x:{{SessionNameRaw}}")
		if r.IntN(4) == 0 {
			username = pick("x{{SessionName}}", "", "aws:x", "a-{{AccountID}}", "k:{{AccessKeyID}}", "{{EC2PrivateDNSName}}", "x ", "y:{{other}}")
		}
		if r.IntN(3) == 0 {
			username = pick("system:node:{{EC2PrivateDNSName}}", "system:node:{{SessionName}}")
			groups = append([]string{"system:bootstrappers", "system:nodes"}, [][]string{nil, nil, {"eks:kube-proxy-windows"}, {"system:node-proxier"}, {"extra"}}[r.IntN(5)]...)
			r.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
		}
		return role(arn(), username, groups...)
	}
	var lists [2][]string
	for i := range lists {
		for range r.IntN(6) {
			text := entry()
			if i == 1 {
				text = strings.Replace(text, "rolearn", "userarn", 1)
			}
			if r.IntN(15) == 0 {
				text = "{username: x}"
			}
			lists[i] = append(lists[i], text)
		}
	}
	var accounts []string
	if r.IntN(8) == 0 {
		accounts = []string{`"444455556666"`}
	}
	return document(lists[0], lists[1], accounts...)
}

// directory returns random results of lookups in IAM for the principals of aws-auth. Some roles have a path. Some principals
// don't exist, some lookups fail, and some principals have no result.
func directory(r *rand.Rand, d *awsauth.Document) map[string]migrate.Found {
	found := make(map[string]migrate.Found)
	for _, p := range d.Map.Principals() {
		arn := p.ARN
		switch r.IntN(6) {
		case 0:
			continue
		case 1:
			found[awsauth.PrincipalKey(arn)] = migrate.Found{Unknown: "no answer"}
			continue
		case 2:
			found[awsauth.PrincipalKey(arn)] = migrate.Found{}
			continue
		case 3:
			arn = strings.Replace(arn, ":role/", ":role/team/", 1)
		}
		found[awsauth.PrincipalKey(p.ARN)] = migrate.Found{ARN: arn}
	}
	return found
}

// For generated maps, the login by the planned access entry in mode API has the username and the groups of the login by
// aws-auth. EKS must accept the access entry, and Verify must report equal access. Every principal with access is in the
// moves, in the decisions, or in another partition.
func TestMovedPrincipalsKeepTheirAccess(t *testing.T) {
	t.Parallel()
	moved := 0
	for seed := range *maps {
		r := rand.New(rand.NewPCG(uint64(seed), 0))
		d := generated(r)
		in := migrate.Input{Document: d, NoRolePaths: r.IntN(2) == 0, Partition: []string{"", "aws"}[r.IntN(2)], Account: []string{"", "111122223333"}[r.IntN(2)]}
		if !in.NoRolePaths {
			in.IAM = directory(r, d)
		}
		p := migrate.New(in)
		moved += len(p.Move)
		var made []access.AccessEntry
		for _, m := range p.Move {
			e := m.AccessEntry()
			if !strings.HasPrefix(m.Type, "STANDARD") {
				e.Groups = nodeGroupsOf[m.Type]
			}
			made = append(made, e)
		}
		before := access.NewEntries(nil, nil)
		after := access.NewEntries(&access.Cluster{Mode: access.ModeAPI, AccessEntries: made}, nil)
		handled := make(map[string]bool)
		for _, m := range p.Move {
			handled[awsauth.PrincipalKey(m.PrincipalARN)] = true
			caller := access.NewCaller(m.PrincipalARN)
			had, has := normalized(before.Login(d.Map, caller)), normalized(after.Login(d.Map, caller))
			if diff := cmp.Diff(had, has); diff != "" || len(had) != 1 {
				t.Fatalf("seed %d: %s (-before +after):\n%s", seed, m.PrincipalARN, diff)
			}
			if refused := refusedByEKS(m.Entry); refused != "" {
				t.Fatalf("seed %d: EKS refuses %+v: %s", seed, m.Entry, refused)
			}
		}
		for _, decision := range p.Decide {
			handled[awsauth.PrincipalKey(decision.PrincipalARN)] = true
		}
		for _, l := range p.LeaveBehind {
			if strings.Contains(l.Reason, "partition") {
				handled[awsauth.PrincipalKey(l.ARN)] = true
			}
		}
		for _, g := range access.Grants(d, nil) {
			if caller := access.NewCaller(g.Principal); !handled[g.Key()] && g.Source != access.SourceMapAccounts && g.State == access.StateOK {
				t.Fatalf("seed %d: the plan leaves out %s, which logs in as %v", seed, g.Principal, before.Login(d.Map, caller))
			}
		}
		for _, check := range migrate.Verify(d, made, in.Partition).Principals {
			if slices.ContainsFunc(p.Move, func(m migrate.Move) bool { return m.PrincipalARN == check.PrincipalARN }) && check.Result != migrate.ResultEqual {
				t.Fatalf("seed %d: Verify finds other access: %+v", seed, check)
			}
		}
	}
	if moved < *maps/2 {
		t.Errorf("only %d principals of %d maps are moved, so the check is weak", moved, *maps)
	}
}

// nodeGroupsOf maps a type of access entries for nodes to the groups that nodes with such an access entry must get.
var nodeGroupsOf = map[string][]string{
	"EC2_LINUX":     {"system:bootstrappers", "system:nodes"},
	"EC2_WINDOWS":   {"eks:kube-proxy-windows", "system:bootstrappers", "system:nodes"},
	"FARGATE_LINUX": {"system:bootstrappers", "system:node-proxier", "system:nodes"},
}

// normalized returns each user of a login once, as text. It writes system:masters for AmazonEKSClusterAdminPolicy.
func normalized(l access.Login) (users []string) {
	for _, u := range l.Users {
		groups := slices.Clone(u.Groups)
		for _, p := range l.Policies {
			groups = append(groups, map[string]string{access.ClusterAdminPolicy: access.Masters}[p.Name()])
		}
		groups = slices.DeleteFunc(groups, func(g string) bool { return g == awsauth.AuthenticatedGroup })
		slices.Sort(groups)
		users = append(users, fmt.Sprintf("%q %q", u.Username, slices.Compact(groups)))
	}
	slices.Sort(users)
	return slices.Compact(users)
}

// refusedByEKS returns why EKS refuses an access entry, or "".
func refusedByEKS(e migrate.Entry) string {
	if e.Type != "STANDARD" {
		if len(e.Groups)+len(e.Policies) > 0 || !strings.Contains(e.PrincipalARN, ":role/") || !strings.Contains(e.PrincipalARN, "111122223333") && !strings.Contains(e.PrincipalARN, "444455556666") {
			return "node"
		}
		return ""
	}
	for _, name := range append([]string{e.Username}, e.Groups...) {
		for _, prefix := range []string{"system:", "eks:", "aws:", "amazon:", "iam:"} {
			if strings.HasPrefix(name, prefix) {
				return name
			}
		}
	}
	if before, _, found := strings.Cut(e.Username, "{{SessionName"); e.Username == "" || found && !strings.Contains(before, ":") {
		return "username"
	}
	if strings.Contains(e.PrincipalARN, "AWSServiceRole") || strings.HasSuffix(e.PrincipalARN, "root") || strings.Contains(e.PrincipalARN, ":sts:") {
		return "principal"
	}
	return ""
}

// BenchmarkPlan plans 3,000 entries. The API server accepts an object of this size.
func BenchmarkPlan(b *testing.B) {
	d := large()
	for b.Loop() {
		if p := migrate.New(migrate.Input{Document: d, NoRolePaths: true}); len(p.Move) != 3000 {
			b.Fatalf("%d moves", len(p.Move))
		}
	}
}

// large returns an aws-auth with 3,000 entries.
func large() *awsauth.Document {
	var roles []string
	for i := range 3000 {
		roles = append(roles, role(fmt.Sprintf("%srole/team-%d", iam, i), fmt.Sprintf("team-%d:{{SessionName}}", i), "system:masters", fmt.Sprintf("team-%d", i)))
	}
	return document(roles, nil)
}
