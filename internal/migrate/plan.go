// Package migrate plans the migration from aws-auth to EKS access entries. It computes the access entries that give the same access as
// aws-auth. It also lists the principals about which a person must decide, and the elements of aws-auth that give no access.
//
// The package is pure: it takes aws-auth, the access entries, and facts of IAM, and returns values.
package migrate

import (
	"cmp"
	"slices"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Input is the data from which [New] computes a plan.
type Input struct {
	Document *awsauth.Document
	// Cluster has the existing access entries. It is nil if they are not known. A plan ignores the authentication mode.
	Cluster *access.Cluster
	// Account and Partition are the account and partition of the cluster. They are empty if they are not known.
	Account, Partition string
	// IAM has the results of the lookups in IAM, by the [awsauth.PrincipalKey] of the principal. It is nil if there were no lookups.
	IAM map[string]Found
	// NoRolePaths means that the user asserts that no role has a path. It is for users who can't read IAM. It has no effect on roles of
	// IAM Identity Center, because these always have a path.
	NoRolePaths bool
	// ClusterAdminPolicy is the ARN of AmazonEKSClusterAdminPolicy, as EKS lists it. If it is empty, the plan builds the ARN from the
	// partition of the principal.
	ClusterAdminPolicy string
}

// Found is the result of the lookup of a principal in IAM.
type Found struct {
	// ARN is the principal's ARN with its path. It is empty if IAM has no such principal, or if Unknown is set.
	ARN string
	// Created is the time at which the principal was created.
	Created time.Time
	// Replacement is the ARN of the role that IAM Identity Center created to replace a missing role, or empty.
	Replacement string
	// Unknown is the reason why the lookup failed, or empty.
	Unknown string
}

// Missing reports whether IAM has no such principal.
func (f Found) Missing() bool { return f.ARN == "" && f.Unknown == "" }

// Plan says for each principal and element of aws-auth how its access moves to access entries. The lists have the order in which the
// authenticator searches aws-auth. They are never nil.
type Plan struct {
	// Move has the principals for which an access entry gives the same access as aws-auth.
	Move []Move `json:"move"`
	// Decide has the principals about which a person must decide.
	Decide []Decision `json:"decide"`
	// LeaveBehind has the elements of aws-auth that need no access entry, because they give no access.
	LeaveBehind []Leftover `json:"leaveBehind"`
}

// Move is the access entry that gives a principal the same access as aws-auth.
type Move struct {
	Entry

	// Place is the path of the entry in aws-auth.
	Place string `json:"place"`
	// Existing is [Equal] if the access entry already exists, and otherwise empty.
	Existing Comparison `json:"existing,omitempty"`
}

// Entry is an access entry, with the names that the EKS API uses.
type Entry struct {
	PrincipalARN string `json:"principalArn"`
	Type         string `json:"type"`
	// Username is the username that callers get. For a type other than STANDARD, EKS sets the username itself.
	Username string   `json:"username"`
	Groups   []string `json:"kubernetesGroups"`
	Policies []Policy `json:"accessPolicies"`
}

// Policy is an access policy that is associated with an access entry.
type Policy struct {
	ARN   string `json:"policyArn"`
	Scope Scope  `json:"accessScope"`
}

// Scope is the part of the cluster in which an access policy applies. Type is cluster or namespace. Namespaces is empty for the type cluster.
type Scope struct {
	Type       string   `json:"type"`
	Namespaces []string `json:"namespaces,omitempty"`
}

// Decision is a principal about which a person must decide.
type Decision struct {
	// PrincipalARN is the ARN of the principal, or an account of mapAccounts. It is empty if a whole section of aws-auth can't be
	// evaluated.
	PrincipalARN string `json:"principalArn"`
	Place        string `json:"place"`
	// Reason says why no access entry certainly gives the same access as aws-auth.
	Reason  string   `json:"reason"`
	Options []Option `json:"options"`
	// Existing says how the principal's existing access entry differs from the access by aws-auth. It is empty if the principal has no access
	// entry.
	Existing Comparison `json:"existing,omitempty"`
}

// Option is one of the choices for a [Decision].
type Option struct {
	Option string `json:"option"`
	// Change describes how the access after this option differs from the access by aws-auth.
	Change string `json:"change"`
	// Entry is the access entry for this option. It is nil if the option creates none, or if the plan can't compute it.
	Entry *Entry `json:"entry,omitempty"`
}

// Leftover is an element of aws-auth that gives no access.
type Leftover struct {
	Place  string `json:"place"`
	Line   int    `json:"line,omitempty"` // the line in the file, from 1; 0 if it is not known
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

// New returns the plan for an input.
func New(in Input) Plan {
	p := newPlanner(&in)
	grants := access.Grants(in.Document, nil)
	never := make(map[string]bool) // whether an entry never matches a caller, by path
	for i := range grants {
		never[grants[i].At.Path] = grants[i].State == access.StateNeverMatches
	}
	principals := in.Document.Map.Principals()
	for i := range principals {
		if slices.ContainsFunc(principals[i].Matches, func(e *awsauth.Entry) bool { return !never[e.Path()] }) {
			p.principal(&principals[i])
		}
	}
	for i := range grants {
		p.grant(&grants[i])
	}
	return p.plan
}

// planner computes one plan.
type planner struct {
	*Input

	plan Plan
	// account and partition are the account and the partition of the cluster, from the input or from infer. They are empty if they are not
	// known.
	account, partition string
	existing           map[string]*access.AccessEntry // by awsauth.PrincipalKey
}

func newPlanner(in *Input) *planner {
	p := &planner{
		Input: in, account: in.Account, partition: in.Partition, existing: make(map[string]*access.AccessEntry),
		plan: Plan{Move: []Move{}, Decide: []Decision{}, LeaveBehind: []Leftover{}},
	}
	if in.Cluster != nil {
		for i := range in.Cluster.AccessEntries {
			e := &in.Cluster.AccessEntries[i]
			p.existing[awsauth.PrincipalKey(e.PrincipalARN)] = e
		}
	}
	p.infer()
	return p
}

// infer sets the account and the partition of the cluster if they are unknown and follow from the principals. It uses these facts:
//
//   - EKS accepts an access entry only for a principal of the cluster's partition, and an access entry for nodes only for a role of the
//     cluster's account (EKS user guide, "Create access entries").
//   - By aws-auth, a node can log in only with a role of the cluster's account, because the authenticator looks up EC2 instances only in
//     this account (aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate).
func (p *planner) infer() {
	byEntries, byDocument := newFacts(), newFacts()
	for _, e := range p.existing {
		byEntries.add(e.PrincipalARN, e.IsNode())
	}
	for _, principal := range p.Document.Map.Principals() {
		byDocument.add(principal.ARN, nodeUsername(principal.Matches[0]) == instanceUsername)
	}
	p.account = cmp.Or(p.account, only(byEntries.accounts), only(byDocument.accounts))
	p.partition = cmp.Or(p.partition, only(byEntries.partitions), only(byDocument.partitions))
}

// facts has the accounts of the node roles, and the partitions of all principals. infer uses them.
type facts struct{ accounts, partitions map[string]bool }

func newFacts() facts { return facts{make(map[string]bool), make(map[string]bool)} }

func (f facts) add(text string, node bool) {
	arn, err := awsauth.ParseARN(text)
	if err != nil {
		return
	}
	f.partitions[arn.Partition] = true
	if node && arn.IsRole() {
		f.accounts[arn.Account] = true
	}
}

// only returns the key of a set with exactly one key, and otherwise "".
func only(set map[string]bool) string {
	if len(set) != 1 {
		return ""
	}
	for key := range set {
		return key
	}
	return ""
}

// principal adds a principal of aws-auth to the plan.
func (p *planner) principal(principal *awsauth.Principal) {
	e := principal.Matches[0]
	arn, err := e.Principal()
	if err != nil { // can't happen, because the authenticator loads only principals with valid ARNs
		return
	}
	if p.partition != "" && arn.Partition != p.partition {
		p.plan.LeaveBehind = append(p.plan.LeaveBehind, Leftover{
			Place: e.Path(), ARN: e.ARN,
			Reason: "the principal is in partition " + arn.Partition + " and can't log in to a cluster in partition " + p.partition,
		})
		return
	}
	t := p.target(principal, arn)
	existing := p.existing[awsauth.PrincipalKey(e.ARN)]
	if existing == nil {
		p.add(t, "")
		return
	}
	comparison := t.compare(existing, principal.Matches, p.found(e.ARN))
	p.add(t, comparison)
}

// add adds a principal to the plan: to the moves if the target has no problems, and otherwise to the decisions.
func (p *planner) add(t *target, existing Comparison) {
	if len(t.problems) == 0 {
		p.plan.Move = append(p.plan.Move, Move{Entry: t.entry, Place: t.place, Existing: existing})
		return
	}
	p.plan.Decide = append(p.plan.Decide, t.decision(existing))
}

// found returns the result of the lookup of a principal in IAM, or nil if there was no lookup.
func (p *planner) found(arn string) *Found {
	if f, ok := p.IAM[awsauth.PrincipalKey(arn)]; ok {
		return &f
	}
	return nil
}

// grant adds an element of aws-auth to the plan if it is an account of mapAccounts, if it has no effect, or if it can't be evaluated. It
// ignores all other elements, because the method principal adds these.
func (p *planner) grant(g *access.Grant) {
	switch {
	case g.State == access.StateUnknown:
		p.plan.Decide = append(p.plan.Decide, Decision{
			PrincipalARN: g.Principal, Place: g.At.Path, Reason: "cannot determine the access: " + g.Reason,
			Options: []Option{{Option: "make aws-auth smaller, and plan again", Change: "none"}},
		})
	case g.State != access.StateOK:
		p.plan.LeaveBehind = append(p.plan.LeaveBehind, Leftover{Place: g.At.Path, Line: g.At.Line, ARN: g.Principal, Reason: string(g.State) + ": " + g.Reason})
	case g.Source == access.SourceMapAccounts:
		p.plan.Decide = append(p.plan.Decide, Decision{
			PrincipalARN: g.Principal, Place: g.At.Path,
			Reason: "every principal of the account logs in, with its ARN as username and without groups; an access entry is for one principal",
			Options: []Option{
				{Option: "create an access entry for each principal of the account that uses the cluster", Change: "the other principals of the account lose their access in mode API"},
				{Option: "create none", Change: "principals of the account without an access entry lose their access in mode API"},
			},
		})
	}
}

// sortedSet returns the texts sorted and without duplicates.
func sortedSet(texts []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}
