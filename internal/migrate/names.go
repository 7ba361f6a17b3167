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

// reservedPrefixes begin usernames and groups that EKS refuses (EKS user guide, "Set a custom username for EKS access entries"). For groups the
// guide names only system:, and EKS refuses the others too: "The kubernetes group name X is invalid, it cannot start with Y".
var reservedPrefixes = []string{"system:", "eks:", "aws:", "amazon:", "iam:"}

// reserved returns the reserved prefix of a username or group, or "".
func reserved(name string) string {
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(name, prefix) {
			return prefix
		}
	}
	return ""
}

// The templates that EKS accepts in a username, if a colon is before them (EKS user guide, "Set a custom username for EKS access entries").
const (
	sessionName    = "{{SessionName}}"
	sessionNameRaw = "{{SessionNameRaw}}"
)

// DefaultUsername returns the username that EKS gives to a principal without one (EKS user guide, "Set a custom username for EKS access entries").
func DefaultUsername(arn awsauth.ARN) string {
	if !arn.IsRole() {
		return arn.String()
	}
	return "arn:" + arn.Partition + ":sts::" + arn.Account + ":assumed-role/" + arn.Name() + "/" + sessionName
}

// addUsername checks that EKS accepts the username of a principal that is no node.
func (t *target) addUsername(arn awsauth.ARN) {
	own := DefaultUsername(arn)
	byDefault := choice{
		"create the access entry with the username of EKS, " + own, "the username changes, so RBAC and audit rules for the old one no longer apply",
		func(e *Entry) { e.Username = own },
	}
	name := t.from.Username
	prefix := reserved(name)
	literal := strings.ReplaceAll(name, "{{AccountID}}", arn.Account)
	if !arn.IsRole() { // which has no session; the authenticator inserts nothing
		literal = strings.NewReplacer(sessionName, "", sessionNameRaw, "").Replace(literal)
	}
	rest := strings.NewReplacer(sessionName, "", sessionNameRaw, "").Replace(name)
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

// usable reports whether EKS accepts a username.
func usable(name string) bool {
	rest := strings.NewReplacer(sessionName, "", sessionNameRaw, "").Replace(name)
	return name != "" && reserved(name) == "" && !strings.Contains(rest, "{{") && colonFirst(name) && !odd(name)
}

// colonFirst reports whether a colon is before each template of the session.
func colonFirst(name string) bool {
	before, _, found := strings.Cut(name, "{{SessionName")
	return !found || strings.Contains(before, ":")
}

// odd reports whether a name has white space at an end or characters that are not printable.
func odd(name string) bool {
	return strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// addGroups adds the groups of a principal that is no node. The group system:masters becomes the access policy whose members EKS allows
// everything. The group system:authenticated is left out, because every login has it.
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
		case reserved(g) != "":
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

// addLost adds the problem that the access entry can't have some groups. format is the reason, with a verb for the quoted groups.
func (t *target) addLost(groups []string, format string) {
	if len(groups) == 0 {
		return
	}
	groups = sortedSet(groups)
	t.problem(fmt.Sprintf(format, quoted(groups)),
		choice{"create the access entry without these groups", "loses " + quoted(groups), func(*Entry) {}},
		choice{option: "bind the same roles to a group of another name, and give this group in aws-auth first", change: "none if every binding has the new group"})
}

// clusterAdminPolicy returns the ARN of the policy AmazonEKSClusterAdminPolicy. EKS finds an access policy only by the ARN of the cluster's own
// partition ("The specified policyArn could not be found."), and that is the partition of every principal that can log in.
func (p *planner) clusterAdminPolicy(arn awsauth.ARN) string {
	return cmp.Or(p.ClusterAdminPolicy, "arn:"+arn.Partition+":eks::aws:cluster-access-policy/"+access.ClusterAdminPolicy)
}

// withoutAuthenticated returns the groups as a sorted set without the group that every login has.
func withoutAuthenticated(groups []string) []string {
	return without(groups, []string{awsauth.AuthenticatedGroup})
}

// without returns the texts that are not in others, as a sorted set.
func without(texts, others []string) []string {
	return slices.DeleteFunc(sortedSet(texts), func(text string) bool { return slices.Contains(others, text) })
}

// quoted lists the texts in quotes.
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
