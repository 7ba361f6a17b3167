// Package migrate plans the way from aws-auth to EKS access entries. From effective access it computes the access entries that give the same
// access, names the principals about which a person must decide, and lists the elements of aws-auth that give no access.
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

// Input is the source of a plan.
type Input struct {
	Document *awsauth.Document
	// Cluster has the access entries that exist. It is nil if they are not known. Its mode has no effect on a plan, because a plan moves
	// the access that aws-auth gives by itself.
	Cluster *access.Cluster
	// Account and Partition are those of the cluster, or empty if they are not known.
	Account, Partition string
	// IAM has the result of looking up a principal, by its [awsauth.PrincipalKey]. It is nil if IAM was not asked.
	IAM map[string]Found
	// NoRolePaths is the assurance of the user that the roles have no path, for a user who can't read IAM. It has no effect on roles of
	// IAM Identity Center, which have a path.
	NoRolePaths bool
	// ClusterAdminPolicy is the ARN of AmazonEKSClusterAdminPolicy as EKS lists it. If it is empty, the plan uses the partition of the principal.
	ClusterAdminPolicy string
}

// Found is the result of looking up a principal in IAM.
type Found struct {
	// ARN is the ARN with the path. It is empty if IAM has no such principal, or if Unknown is set.
	ARN string
	// Created is the time at which the principal was created.
	Created time.Time
	// Replacement is the ARN of the role that IAM Identity Center made in place of a missing one, or empty.
	Replacement string
	// Unknown says why IAM gave no answer, or is empty.
	Unknown string
}

// Missing reports whether IAM has no such principal.
func (f Found) Missing() bool { return f.ARN == "" && f.Unknown == "" }

// Plan says for each principal and element of aws-auth how it is moved to access entries. All lists are in the order in which the
// authenticator searches aws-auth, and are never nil.
type Plan struct {
	// Move has the principals that get the same access from an access entry.
	Move []Move `json:"move"`
	// Decide has the principals about which a person must decide.
	Decide []Decision `json:"decide"`
	// LeaveBehind has the elements of aws-auth that give no access, and so must not become access entries.
	LeaveBehind []Leftover `json:"leaveBehind"`
}

// Move is a principal with the access entry that gives it the same access.
type Move struct {
	Entry

	// Place is the path of the entry in aws-auth.
	Place string `json:"place"`
	// Existing is [Equal] if the principal has this access entry, and empty if it has none.
	Existing Comparison `json:"existing,omitempty"`
}

// Entry is an access entry, with the names that the EKS API uses.
type Entry struct {
	PrincipalARN string `json:"principalArn"`
	Type         string `json:"type"`
	// Username is the username that callers get. For a type other than STANDARD, EKS sets it and accepts no other.
	Username string   `json:"username"`
	Groups   []string `json:"kubernetesGroups"`
	Policies []Policy `json:"accessPolicies"`
}

// Policy is an access policy of an access entry.
type Policy struct {
	ARN   string `json:"policyArn"`
	Scope Scope  `json:"accessScope"`
}

// Scope is the part of the cluster in which an access policy applies: cluster, or namespace with the namespaces.
type Scope struct {
	Type       string   `json:"type"`
	Namespaces []string `json:"namespaces,omitempty"`
}

// Decision is a principal about which a person must decide.
type Decision struct {
	// PrincipalARN is the ARN, or an account of mapAccounts. It is empty if a section can't be evaluated.
	PrincipalARN string `json:"principalArn"`
	Place        string `json:"place"`
	// Reason says why no access entry certainly gives the same access.
	Reason  string   `json:"reason"`
	Options []Option `json:"options"`
	// Existing compares the access entry that the principal has with its access by aws-auth. It is empty if it has none.
	Existing Comparison `json:"existing,omitempty"`
}

// Option is a choice for a [Decision].
type Option struct {
	Option string `json:"option"`
	// Change says how the access differs from that by aws-auth.
	Change string `json:"change"`
	// Entry is the access entry of the option, if it has one.
	Entry *Entry `json:"entry,omitempty"`
}

// Leftover is an element of aws-auth that gives no access.
type Leftover struct {
	Place  string `json:"place"`
	Line   int    `json:"line,omitempty"` // in the file, from 1
	ARN    string `json:"arn"`
	Reason string `json:"reason"`
}

// New returns the plan for an input.
func New(in Input) Plan {
	p := newPlanner(&in)
	grants := access.Grants(in.Document, nil)
	never := make(map[string]bool) // by path
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

// planner makes one plan.
type planner struct {
	*Input

	plan Plan
	// account and partition are those of the cluster, as far as they can be inferred.
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

// infer finds the account and the partition of the cluster where they are certain. EKS accepts an access entry for nodes only for a role of
// the cluster's account (EKS user guide, "Create access entries"), and an access entry only for a principal of its partition. The
// authenticator finds the name of an EC2 instance only in the cluster's account, so a node role of another account logs no node in
// (aws-iam-authenticator v0.7.18, pkg/server/server.go, renderTemplate).
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

// facts are the accounts of node roles and the partitions of principals.
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

// only returns the only key of a set, or "".
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
	if err != nil { // can't happen: the authenticator's principals have valid ARNs
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

// add adds a principal to the moves, or to the decisions if there are problems.
func (p *planner) add(t *target, existing Comparison) {
	if len(t.problems) == 0 {
		p.plan.Move = append(p.plan.Move, Move{Entry: t.entry, Place: t.place, Existing: existing})
		return
	}
	p.plan.Decide = append(p.plan.Decide, t.decision(existing))
}

// found returns the result of looking up a principal, and nil if IAM was not asked for it.
func (p *planner) found(arn string) *Found {
	if f, ok := p.IAM[awsauth.PrincipalKey(arn)]; ok {
		return &f
	}
	return nil
}

// grant adds an element of aws-auth that is not a principal's own entry: an account, or an element without effect.
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

// sortedSet returns the texts sorted, each once.
func sortedSet(texts []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(texts)))
}
