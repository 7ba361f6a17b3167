package access

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Mode is the authentication mode of a cluster (EKS API reference, AccessConfigResponse).
type Mode string

// With ModeConfigMap only aws-auth counts. With ModeAPI only access entries count. With ModeAPIAndConfigMap both count,
// and aws-auth has an effect only on principals without an access entry.
const (
	ModeConfigMap       Mode = "CONFIG_MAP"
	ModeAPIAndConfigMap Mode = "API_AND_CONFIG_MAP"
	ModeAPI             Mode = "API"
)

// AccessEntry is an EKS access entry. If a principal has one, the entries of aws-auth have no effect on the principal,
// even if they give more (EKS user guide, "Grant IAM users access to Kubernetes with EKS access entries"). There are two
// exceptions: a stale access entry, and the mode CONFIG_MAP.
type AccessEntry struct { //nolint:revive // EKS calls it an access entry, and Entry would mean an entry of aws-auth
	// PrincipalARN is the ARN of the role or user, with its path.
	PrincipalARN string `json:"principalARN"`
	// Type is STANDARD for people and tools. The other types are for nodes. Type is empty if it is not known.
	Type     string         `json:"type,omitempty"`
	Username string         `json:"username,omitempty"`
	Groups   []string       `json:"groups,omitempty"`
	Policies []AccessPolicy `json:"policies,omitempty"`
	Created  time.Time      `json:"created,omitzero"`
	// Unknown lists the fields that could not be read: FieldUsername, FieldGroups, FieldPolicies, and FieldNode for the
	// type. It is empty in a snapshot of the guard.
	Unknown []string `json:"-"`
	// Stale is the reason why the access entry matches no caller, because its principal was deleted. It is empty for
	// other access entries, and if this is not known. EKS doesn't show that a principal was deleted. Code that knows
	// this from IAM sets Stale before it calls [Grants].
	Stale string `json:"-"`
}

// IAMFacts are the facts of IAM about a role or user.
type IAMFacts struct {
	// ARN is the ARN with the path.
	ARN string
	// UniqueID is the unique id, such as AROA… for a role or AIDA… for a user.
	UniqueID string
	Created  time.Time
}

// Freshness tells whether an access entry matches the principal that now has its ARN.
type Freshness int

// The zero Freshness is FreshnessUnknown. It means that the time at which the access entry or the principal was created
// is unknown.
const (
	FreshnessUnknown Freshness = iota
	Fresh
	Stale
)

// Freshness reports whether the access entry is stale. The access entry keeps the unique id that its principal had when
// the access entry was created. If the principal in IAM is younger than the access entry, an earlier principal with
// this ARN was deleted. The access entry then matches no caller (aws/containers-roadmap#2441), and EKS doesn't show
// this. principal must exist. If one of the two creation times is missing, Freshness returns FreshnessUnknown.
func (e *AccessEntry) Freshness(principal IAMFacts) Freshness {
	switch {
	case e.Created.IsZero() || principal.Created.IsZero():
		return FreshnessUnknown
	case principal.Created.After(e.Created):
		return Stale
	}
	return Fresh
}

// ErrNoCreationTime is the reason for [FreshnessUnknown].
var ErrNoCreationTime = errors.New("AWS does not say when the access entry or its principal was created")

// AccessPolicy is an access policy that is associated with an access entry.
type AccessPolicy struct { //nolint:revive // EKS calls it an access policy
	ARN string `json:"arn"`
	// Scope is ScopeCluster for the whole cluster, or scopeNamespace for some namespaces.
	Scope string `json:"scope"`
	// Namespaces are the namespaces in which the policy applies. EKS allows a * at the end of each.
	Namespaces []string `json:"namespaces,omitempty"`
}

// ScopeCluster is the scope of an access policy that applies in the whole cluster.
const ScopeCluster = "cluster"

// scopeNamespace is the scope of an access policy that applies in some namespaces.
const scopeNamespace = "namespace"

// Name returns the last part of the policy's ARN, such as AmazonEKSClusterAdminPolicy. The ARN of a policy differs
// between partitions, and its name does not.
func (p AccessPolicy) Name() string { return p.ARN[strings.LastIndexByte(p.ARN, '/')+1:] }

// ClusterAdminPolicy is the name of the access policy that allows everything, as Kubernetes does for the members of
// system:masters (EKS user guide, "Review access policy permissions").
const ClusterAdminPolicy = "AmazonEKSClusterAdminPolicy"

// TypeStandard is the type of access entries for people and tools. Only access entries of this type can have a username
// and groups of their own.
const TypeStandard = "STANDARD"

// reservedPrefixes are the prefixes that EKS refuses in the usernames and groups of an access entry (EKS user guide, "Set
// a custom username for EKS access entries"). For groups the guide names only system:, but EKS refuses the others too:
// "The kubernetes group name X is invalid, it cannot start with Y".
var reservedPrefixes = []string{"system:", "eks:", "aws:", "amazon:", "iam:"}

// ReservedPrefix returns the reserved prefix of a username or group, or "" if it has none. EKS refuses a name with such
// a prefix in an access entry.
func ReservedPrefix(name string) string {
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return prefix
		}
	}
	return ""
}

// nodeTypes are the types of access entries for nodes. EKS gives the principals of these access entries the group
// system:nodes and a username of the form system:node:NAME (EKS user guide, "Create access entries").
var nodeTypes = []string{"EC2_LINUX", "EC2_WINDOWS", "EC2", "FARGATE_LINUX", "HYBRID_LINUX", "HYPERPOD_LINUX"}

// IsNode reports whether the access entry is for nodes.
func (e *AccessEntry) IsNode() bool { return slices.Contains(nodeTypes, e.Type) }

// IsAdmin reports whether the access entry gives one of the admin groups, or the cluster admin policy for the whole
// cluster. It returns false for an access entry for nodes. EKS refuses groups that begin with system:, so an access
// entry never gives system:masters.
func (e *AccessEntry) IsAdmin(adminGroups []string) bool {
	return !e.IsNode() && (slices.ContainsFunc(OrMasters(adminGroups), e.Gives) || slices.ContainsFunc(e.Policies, func(p AccessPolicy) bool {
		return p.Name() == ClusterAdminPolicy && p.Scope == ScopeCluster
	}))
}

// Gives reports whether a login through the access entry has a group. Every login has system:authenticated.
func (e *AccessEntry) Gives(group string) bool {
	return group == awsauth.AuthenticatedGroup || slices.Contains(e.Groups, group)
}

// Lacks returns the groups that a login through the access entry doesn't have. It treats the cluster admin policy for
// the whole cluster like system:masters. It treats an access entry for nodes as if it gave every group that nodes need.
func (e *AccessEntry) Lacks(groups []string) []string {
	return slices.DeleteFunc(slices.Clone(groups), func(group string) bool {
		return e.Gives(group) || group == Masters && e.IsAdmin(nil) || e.IsNode() && slices.Contains(nodeGroups, group)
	})
}

// nodeGroups are the groups that entries for nodes have in aws-auth. EKS gives an access entry for nodes the rights of
// its type instead (EKS user guide, "Create access entries").
var nodeGroups = []string{NodesGroup, BootstrappersGroup, FargateProxyGroup, WindowsProxyGroup}

// Cluster is the access that EKS shows for a cluster. It is safe for concurrent use. It must not be changed after its
// first use.
type Cluster struct {
	Mode          Mode          `json:"mode"`
	AccessEntries []AccessEntry `json:"accessEntries,omitempty"`

	index sync.Once
	byKey map[string]*AccessEntry
}

// get returns the access entry of a principal, or nil. key is the principal's [awsauth.PrincipalKey].
func (c *Cluster) get(key string) *AccessEntry {
	c.index.Do(func() {
		c.byKey = make(map[string]*AccessEntry, len(c.AccessEntries))
		for i := range c.AccessEntries {
			c.byKey[awsauth.PrincipalKey(c.AccessEntries[i].PrincipalARN)] = &c.AccessEntries[i]
		}
	})
	return c.byKey[key]
}

// Entries are the access entries of a cluster. They come from EKS. If EKS can't be asked, an operator declares which
// principals have an access entry.
type Entries struct {
	cluster  *Cluster
	declared map[string]bool
}

// NewEntries returns the access entries of a cluster. If cluster is nil, the principals in declared have an access
// entry. Otherwise NewEntries ignores declared.
func NewEntries(cluster *Cluster, declared []string) Entries {
	if cluster != nil {
		return Entries{cluster: cluster}
	}
	e := Entries{declared: make(map[string]bool, len(declared))}
	for _, arn := range declared {
		e.declared[awsauth.PrincipalKey(arn)] = true
	}
	return e
}

// IgnoreAWSAuth reports whether aws-auth has no effect, because the cluster uses only access entries.
func (e Entries) IgnoreAWSAuth() bool { return e.cluster != nil && e.cluster.Mode == ModeAPI }

// Has reports whether a principal has an access entry that EKS uses. If so, the entries of aws-auth have no effect on
// the principal. arn is the principal's ARN, or the ARN of a session. In the mode CONFIG_MAP EKS uses no access
// entries. Has ignores [AccessEntry.Stale].
func (e Entries) Has(arn string) bool {
	key, ok := e.key(arn)
	return ok && (e.declared[key] || e.get(key) != nil)
}

// Get returns the access entry of a principal, or nil if it has none that EKS uses. arn is the principal's ARN, or the
// ARN of a session. For a declared access entry Get returns nil, because an operator declares only that it exists.
func (e Entries) Get(arn string) *AccessEntry {
	key, ok := e.key(arn)
	if !ok {
		return nil
	}
	return e.get(key)
}

func (e Entries) key(arn string) (key string, ok bool) {
	if len(e.declared) == 0 && (e.cluster == nil || len(e.cluster.AccessEntries) == 0) {
		return "", false
	}
	if strings.Contains(arn, ":sts:") {
		if canonical, err := awsauth.Canonicalize(arn); err == nil {
			arn = canonical
		}
	}
	return awsauth.PrincipalKey(arn), true
}

func (e Entries) get(key string) *AccessEntry {
	if e.cluster == nil || e.cluster.Mode == ModeConfigMap {
		return nil
	}
	return e.cluster.get(key)
}

// Admins returns the ARNs of the principals that are admins through access entries that EKS uses. Declared access
// entries don't count, because the guard doesn't know which access they give.
func (e Entries) Admins(adminGroups []string) (arns []string) {
	return e.where(func(entry *AccessEntry) bool { return entry.IsAdmin(adminGroups) })
}

// Nodes returns the ARNs of the node roles with an access entry for nodes that EKS uses. Declared access entries don't
// count.
func (e Entries) Nodes() (arns []string) { return e.where((*AccessEntry).IsNode) }

func (e Entries) where(holds func(*AccessEntry) bool) (arns []string) {
	if e.cluster == nil || e.cluster.Mode == ModeConfigMap {
		return nil
	}
	for i := range e.cluster.AccessEntries {
		if entry := &e.cluster.AccessEntries[i]; holds(entry) {
			arns = append(arns, entry.PrincipalARN)
		}
	}
	return arns
}

// InForce returns the principals for which the entries of aws-auth have an effect. These principals have no access
// entry that EKS uses. The result is empty if aws-auth has no effect at all. InForce ignores declared access entries,
// because a declaration does not prove that the access entry exists.
func (e Entries) InForce(m *awsauth.Map) []awsauth.Principal {
	switch {
	case e.cluster == nil:
		return m.Principals()
	case e.IgnoreAWSAuth():
		return nil
	}
	return slices.DeleteFunc(slices.Clone(m.Principals()), func(p awsauth.Principal) bool { return e.Get(p.ARN) != nil })
}

// Satisfy reports whether a protected principal certainly gets all its groups. If the principal must be an admin, it
// must certainly be one, too. The access comes from the principal's access entry, or else from aws-auth. A declared
// access entry counts as one that gives everything.
func (e Entries) Satisfy(p Protected, m *awsauth.Map, adminGroups []string) bool {
	if e.Has(p.ARN) {
		entry := e.Get(p.ARN)
		return entry == nil || len(entry.Lacks(p.Groups)) == 0 && (!p.Admin || entry.IsAdmin(adminGroups))
	}
	return !e.IgnoreAWSAuth() && p.GetsAll(m, adminGroups)
}

// Declared returns the keys of the declared access entries; see [awsauth.PrincipalKey].
func (e Entries) Declared() map[string]bool { return e.declared }
