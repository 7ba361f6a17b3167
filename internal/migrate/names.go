package migrate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// The templates that EKS accepts in a username. A colon must precede them (EKS user guide, "Set a custom username for EKS access entries").
const (
	sessionName    = "{{SessionName}}"
	sessionNameRaw = "{{SessionNameRaw}}"
)

// withoutSession removes the templates of the session from a username.
func withoutSession(name string) string {
	return strings.NewReplacer(sessionName, "", sessionNameRaw, "").Replace(name)
}

// DefaultUsername returns the username that EKS sets if a request creates an access entry and has no username (EKS user guide, "Set a
// custom username for EKS access entries").
func DefaultUsername(arn awsauth.ARN) string {
	if !arn.IsRole() {
		return arn.String()
	}
	return "arn:" + arn.Partition + ":sts::" + arn.Account + ":assumed-role/" + arn.Name() + "/" + sessionName
}

// addUsername adds a problem if EKS may refuse or change the username of a principal that is not a node role.
func (t *target) addUsername(arn awsauth.ARN) {
	own := DefaultUsername(arn)
	byDefault := choice{
		"create the access entry with the username of EKS, " + own, "the username changes, so RBAC and audit rules for the old one no longer apply",
		func(e *Entry) { e.Username = own },
	}
	name := t.from.Username
	prefix := access.ReservedPrefix(name)
	literal := strings.ReplaceAll(name, "{{AccountID}}", arn.Account)
	if !arn.IsRole() { // a user has no session, so the authenticator replaces the template by an empty text
		literal = withoutSession(literal)
	}
	rest := withoutSession(name)
	switch {
	case name == "":
		t.problem("the username is empty, and EKS gives every access entry a username", choice{
			byDefault.option, "the caller gains a username; the groups stay", byDefault.apply,
		})
	case prefix != "":
		t.problem(fmt.Sprintf("EKS refuses the username %q, because it begins with %s", name, prefix), byDefault)
	case literal != name && usable(literal) && !strings.Contains(name, "{{AccountID}}"):
		t.problem("EKS documents the template of the session only for roles, and a user has no session", choice{
			"create the access entry with the username " + literal, "none: the template has no text for a user", func(e *Entry) { e.Username = literal },
		})
	case literal != name && usable(literal):
		t.problem("EKS has no template {{AccountID}} in usernames", choice{
			"create the access entry with the username " + literal, "none: the template has this value for all callers of the principal",
			func(e *Entry) { e.Username = literal },
		})
	case strings.Contains(rest, "{{"):
		t.problem(fmt.Sprintf("the username %q has a template, and EKS has only the templates %s and %s", name, sessionName, sessionNameRaw), byDefault)
	case !colonFirst(name):
		t.problem(fmt.Sprintf("EKS refuses the username %q, because no colon is before the template", name), byDefault, choice{
			option: "create the access entry with a username that has a colon before the template", change: "the username changes, so RBAC and audit rules for the old one no longer apply",
		})
	case odd(name):
		t.problem(fmt.Sprintf("the username %q has white space at an end, or characters that are not printable, and it is not known whether EKS keeps them", name), byDefault)
	}
}

// usable reports whether EKS accepts a username in an access entry.
func usable(name string) bool {
	rest := withoutSession(name)
	return name != "" && access.ReservedPrefix(name) == "" && !strings.Contains(rest, "{{") && colonFirst(name) && !odd(name)
}

// colonFirst reports whether a colon precedes each template of the session in a username.
func colonFirst(name string) bool {
	before, _, found := strings.Cut(name, "{{SessionName")
	return !found || strings.Contains(before, ":")
}

// odd reports whether a name begins or ends with white space, or contains unprintable characters.
func odd(name string) bool {
	return strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// addGroups sets the groups of a principal that is not a node role. In place of system:masters it adds AmazonEKSClusterAdminPolicy,
// because EKS refuses this group and the policy also allows everything. It omits system:authenticated, because every caller gets this
// group at login. It adds a problem for groups that the access entry can't have.
func (p *planner) addGroups(t *target, arn awsauth.ARN) {
	var refused, templates, strange []string
	for _, g := range t.from.Groups {
		switch {
		case g == access.Masters:
			if len(t.entry.Policies) == 0 {
				t.entry.Policies = append(t.entry.Policies, Policy{p.clusterAdminPolicy(arn), Scope{Type: access.ScopeCluster}})
			}
		case g == awsauth.AuthenticatedGroup, slices.Contains(t.entry.Groups, g):
		case strings.Contains(g, "{{"):
			templates = append(templates, g)
		case access.ReservedPrefix(g) != "":
			refused = append(refused, g)
		case g == "" || odd(g):
			strange = append(strange, g)
		default:
			t.entry.Groups = append(t.entry.Groups, g)
		}
	}
	t.addLost(refused, "EKS refuses the groups %s, because they begin with a reserved prefix")
	t.addLost(templates, "the groups %s have templates, and it is not known whether EKS renders them")
	t.addLost(strange, "the groups %s are empty or have characters that are not printable, and it is not known whether EKS keeps them")
}

// addLost adds a problem for groups that the access entry can't have. If groups is empty, it adds none. format is the reason of the problem;
// its %s stands for the groups in quotes.
func (t *target) addLost(groups []string, format string) {
	if len(groups) == 0 {
		return
	}
	groups = sortedSet(groups)
	t.problem(fmt.Sprintf(format, quoted(groups)),
		choice{"create the access entry without these groups", "loses " + quoted(groups), func(*Entry) {}},
		choice{option: "bind the same roles to a group of another name, and give this group in aws-auth first", change: "none if every binding has the new group"})
}

// clusterAdminPolicy returns the ARN of AmazonEKSClusterAdminPolicy. EKS accepts only an ARN in the cluster's partition ("The specified
// policyArn could not be found."). If the input has no ARN, clusterAdminPolicy uses the partition of the principal, because a principal
// can log in only to a cluster in its own partition.
func (p *planner) clusterAdminPolicy(arn awsauth.ARN) string {
	return cmp.Or(p.ClusterAdminPolicy, "arn:"+arn.Partition+":eks::aws:cluster-access-policy/"+access.ClusterAdminPolicy)
}

// withoutAuthenticated returns the groups without system:authenticated, because every caller gets this group at login. The result is
// sorted and has no duplicates.
func withoutAuthenticated(groups []string) []string {
	return without(groups, []string{awsauth.AuthenticatedGroup})
}

// without returns the texts that are not in others, sorted and without duplicates.
func without(texts, others []string) []string {
	return slices.DeleteFunc(sortedSet(texts), func(text string) bool { return slices.Contains(others, text) })
}

// quoted returns the texts in quotes, separated by commas, or "none".
func quoted(texts []string) string {
	if len(texts) == 0 {
		return "none"
	}
	list := make([]string, len(texts))
	for i, text := range texts {
		list[i] = fmt.Sprintf("%q", text)
	}
	return strings.Join(list, ", ")
}
