package migrate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Comparison says how an existing access entry differs from the access by aws-auth.
type Comparison string

// The results of a comparison.
const (
	Equal     Comparison = "equal"
	Weaker    Comparison = "weaker"    // the access entry lacks rights that aws-auth gives
	Stronger  Comparison = "stronger"  // the access entry gives rights that aws-auth doesn't give
	Different Comparison = "different" // the access entry lacks rights and gives others, for example another username
	Stale     Comparison = "stale"     // the access entry matches no caller, because its principal was deleted, and maybe created again
	Unknown   Comparison = "unknown"   // a field of the access entry is not known
)

// compare compares the existing access entry of a principal with the principal's access by aws-auth.
//   - If they differ, it adds a problem.
//   - If they are equal, it removes the target's other problems, because the access entry exists already. But if a part of aws-auth can't be
//     evaluated, the problems stay.
//   - If IAM has no such principal, it returns Stale and adds no problem, because addARN has already added one.
//   - If the principal was created after the access entry, it returns Stale and adds a problem.
//   - If a field of the access entry is unknown, it returns Unknown and adds a problem.
func (t *target) compare(existing *access.AccessEntry, matches []*awsauth.Entry, found *Found) Comparison {
	if found != nil && found.Missing() {
		return Stale
	}
	if found != nil && existing.Freshness(access.IAMFacts{Created: found.Created}) == access.Stale {
		t.problem(fmt.Sprintf("the principal has an access entry that matches no caller, because the principal was created at %s, after it",
			found.Created.UTC().Format(time.RFC3339)), choice{
			"delete the access entry, and create it again", "none in mode API_AND_CONFIG_MAP, where aws-auth applies now; in mode API the principal keeps its access", func(*Entry) {},
		})
		return Stale
	}
	if len(existing.Unknown) > 0 {
		t.problem("the principal has an access entry, and its "+strings.Join(existing.Unknown, ", ")+" can't be read",
			choice{option: "read the access entry with the missing permissions, and plan again", change: "none"})
		return Unknown
	}
	gained, lost := diff(byDocument(matches), byEntry(existing))
	var result Comparison
	switch {
	case len(gained)+len(lost) == 0 && t.unknown:
		return Equal
	case len(gained)+len(lost) == 0:
		t.problems = nil
		t.entry = describe(existing)
		return Equal
	case len(gained) == 0:
		result = Weaker
	case len(lost) == 0:
		result = Stronger
	default:
		result = Different
	}
	t.problem("the principal has an access entry, which wins over aws-auth; compared with aws-auth it "+describeChange(gained, lost),
		choice{option: "keep the access entry", change: "none: in every mode with access entries it applies now"},
		choice{"change the access entry to the access of aws-auth", "the principal gets exactly its access by aws-auth", func(*Entry) {}})
	return result
}

// describe converts an existing access entry into an Entry. An Entry for nodes has no groups and no policies.
func describe(e *access.AccessEntry) Entry {
	d := Entry{PrincipalARN: e.PrincipalARN, Type: e.Type, Username: e.Username, Groups: []string{}, Policies: []Policy{}}
	if e.IsNode() {
		return d
	}
	d.Groups = append(d.Groups, e.Groups...)
	for _, p := range e.Policies {
		d.Policies = append(d.Policies, Policy{p.ARN, Scope{p.Scope, p.Namespaces}})
	}
	return d
}

// AccessEntry converts the planned access entry into the type that package eks uses for existing access entries.
func (e Entry) AccessEntry() access.AccessEntry {
	made := access.AccessEntry{PrincipalARN: e.PrincipalARN, Type: e.Type, Username: e.Username, Groups: e.Groups}
	for _, p := range e.Policies {
		made.Policies = append(made.Policies, access.AccessPolicy{ARN: p.ARN, Scope: p.Scope.Type, Namespaces: p.Scope.Namespaces})
	}
	return made
}

// rights is the set of rights of a caller, such as a username or a group. Each right is a phrase for a report, such as the group "dev".
type rights map[string]bool

// admin is the right to everything. The group system:masters and the policy AmazonEKSClusterAdminPolicy give this right.
const admin = "the right to everything"

// add adds a username and its groups. It adds the right admin in place of system:masters, and omits system:authenticated.
func (r rights) add(username string, groups []string) {
	r[fmt.Sprintf("the username %q", username)] = true
	for _, g := range withoutAuthenticated(groups) {
		if g == access.Masters {
			r[admin] = true
			continue
		}
		r[fmt.Sprintf("the group %q", g)] = true
	}
}

// byEntry returns the rights that an access entry gives.
func byEntry(e *access.AccessEntry) rights {
	r := make(rights)
	user := &awsauth.Entry{ARN: e.PrincipalARN, Username: e.Username, Groups: slices.Concat(e.Groups, groupsOf(e.Type))}
	caller := access.NewCaller(e.PrincipalARN).Caller
	r.add(user.RenderedUsername(caller), user.RenderedGroups(caller))
	r.addPolicies(e.Policies)
	return r
}

// groupsOf returns the groups that nodes get by an access entry of this type. The EKS API doesn't return all of these groups. groupsOf
// returns nil for a type that is not for nodes.
func groupsOf(kind string) []string {
	for _, t := range nodeTypes {
		if t.name == kind {
			return t.groups
		}
	}
	return nil
}

// addPolicies adds the rights that access policies give.
func (r rights) addPolicies(policies []access.AccessPolicy) {
	for _, p := range policies {
		switch {
		case p.Scope != access.ScopeCluster:
			r[fmt.Sprintf("the policy %s in %s", p.Name(), strings.Join(sortedSet(p.Namespaces), ", "))] = true
		case p.Name() == access.ClusterAdminPolicy:
			r[admin] = true
		default:
			r["the policy "+p.Name()] = true
		}
	}
}

// byDocument returns the rights that aws-auth gives to a principal. matches are the entries of the principal. If there are several, merge
// combines their rights.
func byDocument(matches []*awsauth.Entry) rights {
	var all []rights
	for _, e := range matches {
		r := make(rights)
		caller := access.NewCaller(e.ARN).Caller
		r.add(e.RenderedUsername(caller), e.RenderedGroups(caller))
		all = append(all, r)
	}
	return merge(all)
}

// merge combines the rights by several entries of a principal. The authenticator picks one of these entries at random. So a right that
// only some of the entries give begins with "sometimes".
func merge(all []rights) rights {
	merged := make(rights)
	for _, r := range all {
		for right := range r {
			if slices.ContainsFunc(all, func(other rights) bool { return !other[right] }) {
				right = "sometimes " + right
			}
			merged[right] = true
		}
	}
	return merged
}

// diff compares two sets of rights. gained are the rights that only after has, and lost the rights that only before has. Both lists are
// sorted.
func diff(before, after rights) (gained, lost []string) {
	for right := range after {
		if !before[right] {
			gained = append(gained, right)
		}
	}
	for right := range before {
		if !after[right] {
			lost = append(lost, right)
		}
	}
	slices.Sort(gained)
	slices.Sort(lost)
	return gained, lost
}

// describeChange describes gained and lost rights as a phrase, such as: adds the username "a" and lacks the group "b".
func describeChange(gained, lost []string) string {
	var parts []string
	if len(gained) > 0 {
		parts = append(parts, "adds "+strings.Join(gained, ", "))
	}
	if len(lost) > 0 {
		parts = append(parts, "lacks "+strings.Join(lost, ", "))
	}
	return strings.Join(parts, " and ")
}

// SameAs reports whether an access entry from EKS has the type and the rights of the planned access entry.
func (e Entry) SameAs(described *access.AccessEntry) bool {
	planned := e.AccessEntry()
	gained, lost := diff(byEntry(&planned), byEntry(described))
	return planned.Type == described.Type && len(gained)+len(lost) == 0
}
