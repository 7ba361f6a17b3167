// Package generate makes aws-auth objects as people and tools write them, and changes of these objects. The same seed
// makes the same objects.
package generate

import (
	"fmt"
	"math/rand/v2"
	"slices"
)

// Entry is an entry of mapRoles or mapUsers.
type Entry struct {
	ARN, Username string
	Groups        []string
	UserID        string
	// PermissionSet is empty for most entries. An entry with a PermissionSet is an sso entry, and its ARN is an
	// account id.
	PermissionSet string
}

// Model is the content of an object, independent of its style.
type Model struct {
	Roles, Users []Entry
	Accounts     []string
}

// Clone returns a deep copy.
func (m Model) Clone() Model {
	entries := func(list []Entry) []Entry {
		list = slices.Clone(list)
		for i := range list {
			list[i].Groups = slices.Clone(list[i].Groups)
		}
		return list
	}
	return Model{entries(m.Roles), entries(m.Users), slices.Clone(m.Accounts)}
}

const (
	accountA = "111122223333"
	accountB = "012345678901" // begins with 0, but is no octal number
	nodeName = "system:node:{{EC2PrivateDNSName}}"
	podsName = "system:node:{{SessionName}}"
	masters  = "system:masters"
	// Operators is the admin group of some policies, instead of system:masters.
	Operators = "platform:operators"
	// Bypass is the bypass group. For its members, the API server calls only the observing webhook, which refuses no change.
	Bypass = "awsauth-guard:bypass" //nolint:gosec // the name of a group
	// BreakGlass is the override group of some policies, instead of system:masters.
	BreakGlass = "platform:break-glass"
	// authenticated is the group that kube-apiserver adds to every login. An entry may list it, too.
	authenticated = "system:authenticated"
)

func nodeGroups() []string { return []string{"system:bootstrappers", "system:nodes"} }

func podGroups() []string {
	return []string{"system:bootstrappers", "system:nodes", "system:node-proxier"}
}

func role(name string) string { return "arn:aws:iam::" + accountA + ":role/" + name }

// roles returns entries that are typical of mapRoles.
func roles() []Entry {
	return []Entry{
		{ARN: role("Admin"), Username: "admin", Groups: []string{masters}},
		{ARN: role("ClusterOps"), Username: "ops:{{SessionName}}", Groups: []string{masters, Operators}},
		{ARN: role("Platform"), Username: "platform-{{AccountID}}:{{SessionNameRaw}}", Groups: []string{Operators}},
		{ARN: role("eksctl-demo-nodegroup-ng-1-NodeInstanceRole-1ABCDEF"), Username: nodeName, Groups: nodeGroups()},
		{ARN: role("karpenter-node"), Username: nodeName, Groups: nodeGroups()},
		{ARN: "arn:aws:iam::" + accountB + ":role/windows-node", Username: nodeName, Groups: append(nodeGroups(), "eks:kube-proxy-windows")},
		{ARN: role("fargate-pods"), Username: podsName, Groups: podGroups()},
		{ARN: role("AWSReservedSSO_AdministratorAccess_0123456789abcdef"), Username: "sso-admin:{{SessionName}}", Groups: []string{masters}},
		{ARN: role("AWSReservedSSO_ReadOnly_fedcba9876543210"), Username: "sso-reader:{{SessionName}}", Groups: []string{"readers"}},
		{ARN: role("ci-deploy"), Username: "ci", Groups: []string{"deployers", "namespace:team-a"}},
		{ARN: "arn:aws-cn:iam::" + accountA + ":role/beijing", Username: "beijing:{{AccessKeyID}}", Groups: []string{"deployers"}},
		{ARN: role("auditor"), Username: "auditor"},
		{ARN: role("Support"), Username: "support:{{SessionName}}", Groups: []string{masters, authenticated}},
		{ARN: role("OnCall"), Username: "on-call", Groups: []string{"session:{{SessionName}}", masters, "key:{{AccessKeyID}}"}},
		{ARN: role("SigInt-Kiosk"), Username: "kiosk", Groups: []string{"account:{{AccountID}}", Operators}},
		{ARN: role("per-account"), Username: "per-account", Groups: []string{"team:{{AccountID}}"}},
	}
}

func users() []Entry {
	user := func(name string) string { return "arn:aws:iam::" + accountA + ":user/" + name }
	return []Entry{
		{ARN: user("alice"), Username: "alice", Groups: []string{masters}},
		{ARN: user("division/bob"), Username: "bob", Groups: []string{"readers"}},
		{ARN: user("carol@example.com"), Username: "carol", Groups: []string{Operators}},
		{ARN: user("kim.sigi"), Username: "kim", Groups: []string{masters, "raw:{{SessionNameRaw}}", authenticated}},
		{ARN: user("d.ave+1"), Username: "dave", Groups: []string{"deployers"}},
		{ARN: "arn:aws:iam::" + accountB + ":root", Username: "root-of-b", Groups: []string{"readers"}},
		{ARN: "arn:aws:sts::" + accountA + ":federated-user/erin", Username: "erin"},
	}
}

// NewModel returns the content of a plausible aws-auth, with random typical entries. The entries have no faults.
func NewModel(r *rand.Rand) Model {
	m := Model{Roles: sample(r, roles(), 1+r.IntN(6)), Users: sample(r, users(), r.IntN(4))}
	if r.IntN(8) == 0 {
		m.Roles = nil
	}
	if r.IntN(4) == 0 { // many node groups, as tools write them
		for i := range 1 + r.IntN(4) {
			m.Roles = append(m.Roles, Entry{ARN: role(fmt.Sprintf("ng-%d", i)), Username: nodeName, Groups: nodeGroups()})
		}
	}
	if r.IntN(6) == 0 {
		m.Accounts = sample(r, []string{accountA, accountB, "999988887777"}, 1+r.IntN(3))
	}
	for i := range m.Users {
		if r.IntN(10) == 0 {
			m.Users[i].UserID = "AIDA0123456789ABCDEFG"
		}
	}
	return m
}

// sample shuffles a list and returns its first n elements. It returns the whole list if it has fewer.
func sample[T any](r *rand.Rand, list []T, n int) []T {
	r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// pick returns a random element of a list.
func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }
