package oracle

import (
	"maps"
	"slices"
	"strings"

	guardaccess "github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// The kinds of lockouts. A kind has the suffix -random if the principal has the access in only some of its possible logins,
// before or after the change.
const (
	lockedProtected = "protected"
	lockedRequester = "requester"
	lockedGroup     = "requester-admin-group"
	lockedLastAdmin = "last-admin"
	lockedForeign   = "last-admin-foreign" // all administrators are outside of the partition and account of the other principals
	lockedNode      = "node-ec2"
	lockedFargate   = "node-fargate"
	lockedAll       = "everybody"
)

// checkChange derives the effect of a change from the authenticator's answers, and compares it with the verdict.
func (k *Checker) checkChange(c *generate.Change, now *version, object *awsauth.Object) {
	old := newVersion(c.Old)
	callers := k.forms.of(old.arns, now.arns, []string{c.Requester}, slices.Collect(maps.Keys(c.Protected)))
	before := accessOf(k.a, c.Old, callers)
	after := accessOf(k.a, c.New, callers) // checkDocument needs the new version loaded
	if object != nil {                     // the webhook reviews the change, even if the text comes from a manifest
		reviewed := *object
		reviewed.Reviewed = true
		object = &reviewed
	}
	change := validate.Change{Operation: operation(c), New: object, Requester: requester(c.Requester, c.Form, loginOf(c.Requester, before))}
	if c.Old != nil {
		change.Old = &awsauth.Object{Data: replaceInvalidUTF8(c.Old), Reviewed: true}
	}
	policy := validate.Policy{AdminGroups: c.AdminGroups, OverrideGroups: c.OverrideGroups}
	for _, arn := range slices.Sorted(maps.Keys(c.Protected)) {
		policy.Protected = append(policy.Protected, guardaccess.Protected{ARN: arn, Groups: c.Protected[arn]})
	}
	verdict := validate.Evaluate(change, policy)
	k.Stats.add("changes evaluated")
	k.Stats.add("changes " + string(verdict.Action))
	lockouts := k.lockouts(c, before, after)
	k.checkLockouts(lockouts, change, policy, verdict)
	k.checkRequired(c, before, after, verdict)
	k.checkNodeFindings(change, lockouts, verdict)
	k.checkNewFaults(change, policy, verdict, old, now)
	k.checkNewlyFaultyElements(change, policy, verdict, old, now)
	if after.covers(before) {
		k.checkHarmless(change, policy, verdict, len(lockouts) > 0, old, now)
	}
}

// checkLockouts checks that the guard denies a change that locks a principal out. The guard must also deny the change with
// all document rules (validate.OfDocument) off, because users can turn these rules off, and because they only warn if the
// old version has the same fault.
func (k *Checker) checkLockouts(kinds []string, change validate.Change, policy validate.Policy, verdict validate.Verdict) {
	if len(kinds) == 0 {
		return
	}
	k.Stats.add("changes that lock out")
	policy.Rules = make(map[string]validate.Severity)
	for _, rule := range validate.Rules() {
		if rule.Scope == validate.OfDocument {
			policy.Rules[rule.ID] = validate.Off
		}
	}
	alone := validate.Evaluate(change, policy)
	for _, kind := range kinds {
		k.Stats.add("lockout " + kind)
		if verdict.Action != validate.ActionDeny {
			k.fail(checkLockout, kind, "the verdict is %s%s", verdict.Action, findings(verdict))
		}
		if alone.Action != validate.ActionDeny {
			k.fail(checkLockout, kind+", rules of the change alone", "the verdict is %s%s", alone.Action, findings(alone))
		}
	}
}

// checkNodeFindings checks that the guard reports that nodes turn NotReady only if the change locks nodes out.
func (k *Checker) checkNodeFindings(change validate.Change, lockouts []string, verdict validate.Verdict) {
	for _, o := range []*awsauth.Object{change.Old, change.New} {
		if o != nil && (hasReplacementCharacter(o) || pastLimit(o)) {
			return // the guard assumes the worst of such a text
		}
	}
	lost := func(kind string) bool {
		return strings.HasPrefix(kind, lockedNode) || strings.HasPrefix(kind, lockedFargate)
	}
	if slices.ContainsFunc(lockouts, lost) {
		return
	}
	for _, f := range verdict.Findings {
		if f.Rule == "node-role-removed" && strings.Contains(f.Message, "turn NotReady") {
			k.fail(checkHarmless, "node role", "no node is locked out%s", findings(verdict))
			return
		}
	}
}

func operation(c *generate.Change) validate.Operation {
	switch {
	case c.New == nil:
		return validate.Delete
	case c.Old == nil:
		return validate.Create
	}
	return validate.Update
}

// lockouts returns the kinds of lockouts that a change causes.
func (k *Checker) lockouts(c *generate.Change, before, after *access) []string {
	var kinds []string
	add := func(kind string, was, is share) {
		switch {
		case was <= is:
			return
		case was == some || is == some:
			k.Stats.add("lockout at random")
			kind += "-random"
		}
		if !slices.Contains(kinds, kind) {
			kinds = append(kinds, kind)
		}
	}
	for arn, groups := range c.Protected {
		caller := callerFor(arn, slices.Contains(groups, "system:nodes"))
		for _, group := range groups {
			had := func(l login) bool { return l.has(group) }
			if group == loggedIn && repairsNodes(c, arn, after) {
				continue
			}
			add(lockedProtected, shareOf(before.logins[caller], had), shareOf(after.logins[caller], had))
		}
	}
	// Without extra fields, the guard knows only the requester's username. Several entries can give this username, so the
	// guard can't find the requester's entry.
	if l := loginOf(c.Requester, before); l.ok && len(before.logins[c.Requester]) == 1 && c.Form != generate.NoExtra {
		ok := func(l login) bool { return l.ok }
		add(lockedRequester, all, shareOf(after.logins[c.Requester], ok))
		for _, group := range adminGroups(c) {
			if l.has(group) {
				add(lockedGroup, all, shareOf(after.logins[c.Requester], func(l login) bool { return l.has(group) }))
			}
		}
	}
	if foreignAdmin(before, after, adminGroups(c)) {
		add(lockedForeign, all, none)
	}
	add(lockedLastAdmin, before.adminShare(adminGroups(c)), after.adminShare(adminGroups(c)))
	addNodes(add, before, after)
	if before.mapped() > 0 && after.mapped() == 0 {
		add(lockedAll, all, none)
	}
	slices.Sort(kinds)
	return kinds
}

// addNodes adds a lockout for each node that no longer logs in as a node with its username.
func addNodes(add func(kind string, was, is share), before, after *access) {
	for _, caller := range before.callers {
		was := before.logins[caller]
		same := func(l login) bool {
			return l.isNode() && slices.ContainsFunc(was, func(w login) bool { return w.username == l.username })
		}
		kind := lockedFargate
		if sessionOf(caller) == instance {
			kind = lockedNode
		}
		add(kind, shareOf(was, login.isNode), shareOf(after.logins[caller], same))
	}
}

// foreignAdmin reports whether the change leaves administrators only outside of the cluster's partition and account. Before
// the change, all mapped callers are in this one partition and account. After it, all administrators are outside, and all
// other mapped callers are inside.
func foreignAdmin(before, after *access, groups []string) bool {
	if before.adminShare(groups) == none || after.adminShare(groups) == none {
		return false
	}
	home := ""
	for _, caller := range before.callers {
		if !before.answers[caller][0].Mapped {
			continue
		}
		if home != "" && partitionAndAccount(caller) != home {
			return false
		}
		home = partitionAndAccount(caller)
	}
	others, foreign := false, false
	for _, caller := range after.callers {
		if !after.answers[caller][0].Mapped {
			continue
		}
		admin := slices.ContainsFunc(after.logins[caller], func(l login) bool { return l.hasAny(groups) })
		atHome := partitionAndAccount(caller) == home
		if admin == atHome {
			return false
		}
		others, foreign = others || atHome, foreign || !atHome
	}
	return others && foreign
}

func partitionAndAccount(caller string) string {
	parts := strings.SplitN(caller, ":", 6)
	return parts[1] + ":" + parts[4]
}

func adminGroups(c *generate.Change) []string {
	if len(c.AdminGroups) > 0 {
		return c.AdminGroups
	}
	return []string{"system:masters"}
}

func overrideGroups(c *generate.Change) []string {
	if len(c.OverrideGroups) > 0 {
		return c.OverrideGroups
	}
	return []string{"system:masters"}
}

// callerFor returns the caller for a protected ARN. For a role, this is the session of an instance if node is set, or else
// the session of a person. callerFor returns "" if no caller has the ARN.
func callerFor(arn string, node bool) string {
	session := person
	if node {
		session = instance
	}
	for _, caller := range callersOf(arn) {
		if strings.EqualFold(canonical(caller), arn) && (sessionOf(caller) == "" || sessionOf(caller) == session) {
			return caller
		}
	}
	return ""
}

// Lockouts returns the kinds of lockouts that every run must contain.
func Lockouts() []string {
	return []string{lockedProtected, lockedRequester, lockedGroup, lockedLastAdmin, lockedForeign, lockedNode, lockedFargate, lockedAll, "at random"}
}

// repairsNodes reports whether a change repairs bytes that are not UTF-8, and nodes can log in with the role afterwards.
// While the invalid bytes kept the authenticator from reading the role's entry, people could log in with the role through
// mapAccounts. The repair may take this access away.
func repairsNodes(c *generate.Change, arn string, after *access) bool {
	return c.Old != nil && HasInvalidUTF8(c.Old) && c.New != nil && validUTF8(c.New) &&
		slices.ContainsFunc(after.logins[callerFor(arn, true)], login.isNode)
}
