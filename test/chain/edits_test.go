package chain_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

const (
	iam      = "arn:aws:iam::111122223333:"
	sessions = "arn:aws:sts::111122223333:assumed-role/"
	masters  = "system:masters"
	// admins is the group of the access entries of admins. EKS allows no group that begins with "system:" in an access entry.
	admins = "platform:admins"
)

// caller is an IAM user, or a session of a role, that logs in to the cluster.
type caller struct {
	arn string // as STS returns it
	// protected are the groups that the GuardConfig protects.
	protected []string
	// entry is the access entry that the caller's principal has if the phase keeps the caller. If entry is nil, newEntries decides
	// at random whether the principal has an access entry.
	entry *access.AccessEntry
}

// callers are the callers, in the order of their access keys. The last two are canaries: the usernames in their entries hold the
// number of the last change. So their logins show which change the authenticator has read.
var callers = []caller{
	{arn: sessions + "Admin/alice@example.com", protected: []string{masters}, entry: admin("role/platform/Admin")},
	{arn: iam + "user/alice", protected: []string{awsauth.AuthenticatedGroup}, entry: admin("user/alice")},
	{arn: sessions + "karpenter-node/i-0123456789abcdef0", entry: &access.AccessEntry{
		PrincipalARN: iam + "role/karpenter-node", Type: "EC2_LINUX", Username: "system:node:{{EC2PrivateDNSName}}", Groups: []string{"system:nodes"},
	}},
	{arn: sessions + "fargate-pods/fargate-ip-10-0-0-1.ec2.internal", entry: &access.AccessEntry{
		PrincipalARN: iam + "role/fargate-pods", Type: "FARGATE_LINUX", Username: "system:node:{{SessionName}}", Groups: []string{"system:nodes", "system:node-proxier"},
	}},
	{arn: sessions + "ClusterOps/ops@example.com"},
	{arn: sessions + "ci-deploy/build-7"},
	{arn: sessions + "AWSReservedSSO_ReadOnly_fedcba9876543210/bob@example.com"},
	{arn: iam + "user/division/bob"},
	{arn: "arn:aws:iam::444455556666:user/stranger"}, // an edit may add the account to mapAccounts
	{arn: iam + "user/canary", protected: []string{awsauth.AuthenticatedGroup}},
	{arn: sessions + "Canary/canary"},
}

// The indexes of the callers that the tests name. The callers before the canaries edit aws-auth.
const (
	adminCaller, aliceCaller, nodeCaller, podCaller = 0, 1, 2, 3
	canaryCaller                                    = 9  // has an entry in aws-auth
	entryCanaryCaller                               = 10 // has an access entry
)

// admin returns an access entry of an admin.
func admin(principal string) *access.AccessEntry {
	e := ekstest.Entry(iam+principal, access.ClusterAdminPolicy)
	e.Username, e.Groups = "admin:"+principal[strings.LastIndexByte(principal, '/')+1:], []string{admins}
	return &e
}

// principalOf returns the ARN by which aws-auth names a caller.
func principalOf(arn string) string {
	canonical, err := awsauth.Canonicalize(arn)
	if err != nil {
		panic(err) // can't happen: the ARN is a constant of this package
	}
	return canonical
}

// isAdmin reports whether a user is in a group of admins, that of aws-auth or that of access entries.
func isAdmin(u access.User) bool {
	return slices.Contains(u.Groups, masters) || slices.Contains(u.Groups, admins)
}

func isNode(u access.User) bool {
	return strings.HasPrefix(u.Username, "system:node:") && slices.Contains(u.Groups, access.NodesGroup)
}

// firstModel returns the aws-auth with which the chain starts.
func firstModel() generate.Model {
	return generate.Model{
		Roles: []generate.Entry{
			{ARN: iam + "role/Admin", Username: "admin", Groups: []string{masters}},
			{ARN: iam + "role/ClusterOps", Username: "ops:{{SessionName}}", Groups: []string{masters}},
			{ARN: iam + "role/karpenter-node", Username: "system:node:{{EC2PrivateDNSName}}", Groups: []string{"system:bootstrappers", "system:nodes"}},
			{ARN: iam + "role/fargate-pods", Username: "system:node:{{SessionName}}", Groups: []string{"system:bootstrappers", "system:nodes", "system:node-proxier"}},
			{ARN: iam + "role/ci-deploy", Username: "ci:{{SessionNameRaw}}", Groups: []string{"deployers", "key:{{AccessKeyID}}"}},
		},
		Users: []generate.Entry{
			{ARN: iam + "user/alice", Username: "alice", Groups: []string{masters}},
			{ARN: iam + "user/division/bob", Username: "bob-of-{{AccountID}}", Groups: []string{"readers"}},
		},
	}
}

// maxEntries is the number of entries above which nextModel removes some. Edits alone would add more entries than they remove,
// because the guard refuses many removals.
const maxEntries = 30

// nextModel edits a model at random, with the edits of the oracle. If the model has more than maxEntries entries, nextModel
// removes some of them instead.
func nextModel(r *rand.Rand, m generate.Model) generate.Model {
	m = m.Clone()
	if len(m.Roles)+len(m.Users) > maxEntries {
		some := func(generate.Entry) bool { return r.IntN(8) == 0 }
		m.Roles, m.Users = slices.DeleteFunc(m.Roles, some), slices.DeleteFunc(m.Users, some)
		return m
	}
	edits := generate.Edits()
	for range 1 + r.IntN(2) {
		edits[r.IntN(len(edits))].Apply(r, &m)
	}
	return m
}

// write returns the data of a model in a random style. It adds an entry for the canary. The canary's username ends with stamp.
func write(r *rand.Rand, m generate.Model, stamp int) map[string]string {
	m = m.Clone()
	m.Users = append(m.Users, generate.Entry{ARN: callers[canaryCaller].arn, Username: fmt.Sprintf("canary-%d", stamp)})
	styles := generate.Styles()
	return styles[r.IntN(len(styles))].Write(r, m)
}

// newEntries returns the access entries of the callers in kept, of some other callers at random, and of a canary. The canary's
// username ends with stamp.
func newEntries(r *rand.Rand, kept []int, stamp int) []access.AccessEntry {
	entries := map[string]access.AccessEntry{}
	for i, c := range callers[:canaryCaller] {
		switch {
		case slices.Contains(kept, i):
			entries[c.entry.PrincipalARN] = *c.entry
		case c.entry == nil && r.IntN(2) == 0:
			policies := [][]string{nil, {"AmazonEKSViewPolicy"}, {access.ClusterAdminPolicy}}
			e := ekstest.Entry(principalOf(c.arn), policies[r.IntN(len(policies))]...)
			e.Username = []string{c.arn, "team:{{SessionName}}", "raw:{{SessionNameRaw}}", "account-{{AccountID}}"}[r.IntN(4)]
			e.Groups = [][]string{nil, {"viewers"}, {"viewers", "key:{{AccessKeyID}}"}, {admins}}[r.IntN(4)]
			entries[e.PrincipalARN] = e
		}
	}
	canary := ekstest.Entry(principalOf(callers[entryCanaryCaller].arn))
	canary.Username = fmt.Sprintf("canary-entry-%d", stamp)
	entries[canary.PrincipalARN] = canary
	return slices.SortedFunc(maps.Values(entries), func(a, b access.AccessEntry) int { return strings.Compare(a.PrincipalARN, b.PrincipalARN) })
}
