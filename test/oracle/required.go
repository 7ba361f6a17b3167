package oracle

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// requiredFinding is a finding that the guard must report on a change. It is derived from the authenticator's answers. The
// findings about lockouts are not among them; checkLockouts checks these.
type requiredFinding struct {
	kind string
	// deny reports whether the verdict must be deny. Otherwise a warning is enough.
	deny bool
	// matches reports whether a finding is the required one.
	matches func(validate.Finding) bool
}

// The kinds of required findings.
const (
	requiredRequesterGroup    = "requester-group"    // the requester's next login lacks a group
	requiredRequesterUsername = "requester-username" // the requester's next login has another username
	requiredNodeGroup         = "node-group"         // nodes no longer get a group that nodes of their kind need
	requiredLastOfKind        = "last-of-its-kind"   // after the change, no nodes get a group that kube-proxy needs
	requiredBypass            = "bypass-grant"       // a caller gets a group whose members bypass the guard
)

// RequiredFindings returns the kinds of required findings that every run must contain.
func RequiredFindings() []string {
	return []string{requiredRequesterGroup, requiredRequesterUsername, requiredNodeGroup, requiredLastOfKind, requiredBypass}
}

// nodeNeeds are the groups that nodes need besides system:nodes. They give nodes the rights of ClusterRoles:
// eks:node-bootstrapper, and system:node-proxier for kube-proxy (EKS user guide, "Enable Windows support" and "Get started
// with Fargate").
var nodeNeeds = []string{"system:bootstrappers", "system:node-proxier", "eks:kube-proxy-windows"}

// proxyGroups are the groups in nodeNeeds that kube-proxy needs. Nodes without the group for their kind have no network.
var proxyGroups = nodeNeeds[1:]

// hasNodes reports whether at least one caller logs in as a node with the group in all its possible logins.
func (v *access) hasNodes(group string) bool {
	return slices.ContainsFunc(v.callers, func(caller string) bool {
		return shareOf(v.logins[caller], func(l login) bool { return l.isNode() && l.has(group) }) == all
	})
}

// checkRequired checks that the verdict has the required findings of a change. If the verdict is deny, it doesn't check
// which finding denies the change.
func (k *Checker) checkRequired(c *generate.Change, before, after *access, verdict validate.Verdict) {
	for _, requiredFinding := range k.requiredFindings(c, before, after) {
		k.Stats.add("required " + requiredFinding.kind)
		if requiredFinding.deny && verdict.Action != validate.ActionDeny || !requiredFinding.deny && verdict.Action == validate.ActionAllow {
			k.fail(checkRequired, requiredFinding.kind, "the verdict is %s%s", verdict.Action, findings(verdict))
			continue
		}
		if verdict.Action != validate.ActionDeny && !slices.ContainsFunc(verdict.Findings, requiredFinding.matches) {
			k.fail(checkRequired, requiredFinding.kind+", by another finding", "the verdict is %s%s", verdict.Action, findings(verdict))
		}
	}
}

// requiredFindings derives the required findings of a change from the authenticator's answers before and after it. It also
// records in k.grants, for checkHarmless, whether the change grants the bypass.
func (k *Checker) requiredFindings(c *generate.Change, before, after *access) []requiredFinding {
	requiredFindings := requiredForRequester(c, before, after)
	lost := make(map[string]bool)
	for _, caller := range before.callers {
		was, is := before.logins[caller], after.logins[caller]
		if len(was) != 1 || len(is) != 1 || !was[0].isNode() || !is[0].isNode() {
			continue
		}
		for _, group := range nodeNeeds {
			if was[0].has(group) && !is[0].has(group) && !lost[group] {
				lost[group] = true
				about := func(f validate.Finding) bool { return strings.Contains(f.Message, group) }
				requiredFindings = append(requiredFindings, requiredFinding{requiredNodeGroup, false, about})
				if slices.Contains(proxyGroups, group) && !after.hasNodes(group) {
					requiredFindings = append(requiredFindings, requiredFinding{requiredLastOfKind, true, about})
				}
			}
		}
	}
	if k.grants = k.grantsBypass(c, before, after); k.grants {
		requiredFindings = append(requiredFindings, requiredFinding{requiredBypass, true, func(f validate.Finding) bool { return f.Rule == "bypass-grant" }})
	}
	return requiredFindings
}

// requiredForRequester returns the required findings for a requester who keeps access, but with another username or fewer
// groups. It returns none for a requester without extra fields, because the guard can't find the entry of this requester.
func requiredForRequester(c *generate.Change, before, after *access) []requiredFinding {
	was, is := before.logins[c.Requester], after.logins[c.Requester]
	if len(was) != 1 || !was[0].ok || len(is) != 1 || !is[0].ok || c.Form == generate.NoExtra {
		return nil
	}
	about := func(f validate.Finding) bool { return f.Rule == "self-lockout" }
	var requiredFindings []requiredFinding
	if !subset(was[0].groups, append(slices.Clone(is[0].groups), loggedIn)) {
		requiredFindings = append(requiredFindings, requiredFinding{requiredRequesterGroup, false, about})
	}
	if was[0].username != is[0].username {
		requiredFindings = append(requiredFindings, requiredFinding{requiredRequesterUsername, false, about})
	}
	return requiredFindings
}

// grantsBypass reports whether the change gives a caller the bypass group, or an override group that is not an admin group.
// A person who assumes a role can choose the name of the session, so templates can give such a group. grantsBypass returns
// false if a section of the old version has invalid bytes, because repairing a byte is no grant.
func (k *Checker) grantsBypass(c *generate.Change, before, after *access) bool {
	if !sectionsAreUTF8(c.Old) {
		return false
	}
	groups := []string{generate.Bypass}
	for _, group := range overrideGroups(c) {
		if !slices.Contains(adminGroups(c), group) { // the rule admin-grant warns of admin groups
			groups = append(groups, group)
		}
	}
	may := func(group string) bool { return strings.Contains(group, "{{") || slices.Contains(groups, group) }
	for _, caller := range after.callers {
		if !slices.ContainsFunc(after.answers[caller], func(a authenticator.Answer) bool { return slices.ContainsFunc(a.Groups, may) }) {
			continue
		}
		for _, form := range chosen(caller, groups) {
			logins := func(answers []authenticator.Answer) (list []login) {
				for _, answer := range answers {
					list = append(list, render(k.a, form, answer))
				}
				return list
			}
			is, was := logins(after.answers[caller]), logins(before.answers[caller])
			for _, group := range groups {
				has := func(l login) bool { return l.has(group) }
				if slices.ContainsFunc(is, has) && !slices.ContainsFunc(was, has) {
					return true
				}
			}
		}
	}
	return false
}

// chosen returns the callers as which a person can log in. These are the caller itself and, for a session of a role, the
// sessions with a chosen name. The chosen names are the parts of each group before and after its first colon, because a
// template may complete such a part to the group.
func chosen(caller string, groups []string) []string {
	if sessionOf(caller) != person {
		return []string{caller}
	}
	forms := []string{caller}
	role := strings.TrimSuffix(caller, person)
	for _, group := range groups {
		head, tail, ok := strings.Cut(group, ":")
		if ok {
			forms = append(forms, role+head, role+tail)
		}
	}
	return forms
}
