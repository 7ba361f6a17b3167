package oracle

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// claim is a finding that a change must draw beside the lockouts, or a worse one: each is worked out from the
// authenticator's answers.
type claim struct {
	kind string
	// deny: a warning is not enough.
	deny bool
	// meets reports whether a finding is the one that is claimed.
	meets func(validate.Finding) bool
}

// The kinds of claims.
const (
	claimRequesterGroup    = "requester-group"    // the requester's next login lacks a group
	claimRequesterUsername = "requester-username" // the requester's next login has another username
	claimNodeGroup         = "node-group"         // nodes lose a group that nodes of their kind need
	claimLastOfKind        = "last-of-its-kind"   // the last nodes with a group of kube-proxy lose it
	claimBypass            = "bypass-grant"       // a caller gets a group whose members are not checked
)

// Claimed returns the kinds of claims that a run must meet.
func Claimed() []string {
	return []string{claimRequesterGroup, claimRequesterUsername, claimNodeGroup, claimLastOfKind, claimBypass}
}

// nodeNeeds are the groups that nodes need beside system:nodes, by what binds them: eks:node-bootstrapper and
// system:node-proxier for kube-proxy (EKS user guide, "Enable Windows support" and "Get started with Fargate").
var nodeNeeds = []string{"system:bootstrappers", "system:node-proxier", "eks:kube-proxy-windows"}

// proxyGroups are those of nodeNeeds without which a kind of nodes has no network.
var proxyGroups = nodeNeeds[1:]

// hasNodes reports whether nodes certainly get a group.
func (v *access) hasNodes(group string) bool {
	return slices.ContainsFunc(v.callers, func(caller string) bool {
		return shareOf(v.logins[caller], func(l login) bool { return l.node() && l.has(group) }) == all
	})
}

// checkClaims compares what a change must draw with the verdict.
func (k *Checker) checkClaims(c *generate.Change, before, after *access, verdict validate.Verdict) {
	for _, claim := range k.claims(c, before, after) {
		k.Stats.add("claim " + claim.kind)
		if claim.deny && verdict.Action != validate.Refuse || !claim.deny && verdict.Action == validate.Allow {
			k.fail(checkClaim, claim.kind, "the verdict is %s%s", verdict.Action, findings(verdict))
			continue
		}
		if verdict.Action != validate.Refuse && !slices.ContainsFunc(verdict.Findings, claim.meets) {
			k.fail(checkClaim, claim.kind+", by another finding", "the verdict is %s%s", verdict.Action, findings(verdict))
		}
	}
}

func (k *Checker) claims(c *generate.Change, before, after *access) []claim {
	claims := requesterClaims(c, before, after)
	lost := make(map[string]bool)
	for _, caller := range before.callers {
		was, is := before.logins[caller], after.logins[caller]
		if len(was) != 1 || len(is) != 1 || !was[0].node() || !is[0].node() {
			continue
		}
		for _, group := range nodeNeeds {
			if was[0].has(group) && !is[0].has(group) && !lost[group] {
				lost[group] = true
				about := func(f validate.Finding) bool { return strings.Contains(f.Message, group) }
				claims = append(claims, claim{claimNodeGroup, false, about})
				if slices.Contains(proxyGroups, group) && !after.hasNodes(group) {
					claims = append(claims, claim{claimLastOfKind, true, about})
				}
			}
		}
	}
	if k.grants = k.grantsBypass(c, before, after); k.grants {
		claims = append(claims, claim{claimBypass, true, func(f validate.Finding) bool { return f.Rule == "bypass-grant" }})
	}
	return claims
}

// requesterClaims: a requester who may log in again, but as another user or with fewer groups, is told so.
func requesterClaims(c *generate.Change, before, after *access) []claim {
	was, is := before.logins[c.Requester], after.logins[c.Requester]
	if len(was) != 1 || !was[0].ok || len(is) != 1 || !is[0].ok || c.Form == generate.NoExtra {
		return nil
	}
	about := func(f validate.Finding) bool { return f.Rule == "self-lockout" }
	var claims []claim
	if !subset(was[0].groups, append(slices.Clone(is[0].groups), loggedIn)) {
		claims = append(claims, claim{claimRequesterGroup, false, about})
	}
	if was[0].username != is[0].username {
		claims = append(claims, claim{claimRequesterUsername, false, about})
	}
	return claims
}

// grantsBypass reports whether a caller gets a group whose members the guard does not check, and did not have it.
// A person who may assume a role chooses the name of the session. What a stored byte has lost counts as there, so that a
// repair of the byte is no grant.
func (k *Checker) grantsBypass(c *generate.Change, before, after *access) bool {
	if !valid(c.Old) {
		return false
	}
	groups := []string{generate.Bypass}
	for _, group := range overrideGroups(c) {
		if !slices.Contains(adminGroups(c), group) { // of admins admin-grant warns
			groups = append(groups, group)
		}
	}
	had := func(l login) bool { return l.hasAny(groups) }
	may := func(group string) bool { return strings.Contains(group, "{{") || slices.Contains(groups, group) }
	for _, caller := range after.callers {
		if !slices.ContainsFunc(after.answers[caller], func(a authenticator.Answer) bool { return slices.ContainsFunc(a.Groups, may) }) {
			continue
		}
		for _, form := range chosen(caller, groups) {
			var is, was []login
			for _, answer := range after.answers[caller] {
				is = append(is, render(k.a, form, answer))
			}
			if !slices.ContainsFunc(is, had) {
				continue
			}
			for _, answer := range before.answers[caller] {
				was = append(was, render(k.a, form, answer))
			}
			if !slices.ContainsFunc(was, had) {
				return true
			}
		}
	}
	return false
}

// chosen returns a caller and, for a person's session of a role, those with every end and beginning of the groups
// as the name of the session.
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
