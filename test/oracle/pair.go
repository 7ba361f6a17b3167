package oracle

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	guardaccess "github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
	"github.com/awsauth-guard/awsauth-guard/test/oracle/generate"
)

// The kinds of lockouts. Kinds that end with -random are those in which an answer that was certain is
// given at random after the change, or one that was random is not given any more.
const (
	lockedProtected = "protected"
	lockedRequester = "requester"
	lockedGroup     = "requester-admin-group"
	lockedLastAdmin = "last-admin"
	lockedForeign   = "last-admin-foreign" // the last administrator is of a partition or an account that no other ARN is of
	lockedNode      = "node-ec2"
	lockedFargate   = "node-fargate"
	lockedAll       = "everybody"
)

// checkChange asks the authenticator what a change does, and compares that with the verdict.
func (k *Checker) checkChange(c *generate.Change, now *version, object *awsauth.Object) {
	old := newVersion(c.Old)
	callers := k.forms.of(old.arns, now.arns, []string{c.Requester}, slices.Collect(maps.Keys(c.Protected)))
	before := accessOf(k.a, c.Old, callers)
	after := accessOf(k.a, c.New, callers) // stays loaded
	if object != nil {                     // a request is reviewed, also where the text is read from a manifest
		reviewed := *object
		reviewed.Reviewed = true
		object = &reviewed
	}
	change := validate.Change{Operation: operation(c), New: object, Requester: requester(c.Requester, c.Form, loginOf(c.Requester, before))}
	if c.Old != nil {
		change.Old = &awsauth.Object{Data: shown(c.Old), Reviewed: true}
	}
	policy := validate.Policy{AdminGroups: c.AdminGroups, OverrideGroups: c.OverrideGroups}
	for _, arn := range slices.Sorted(maps.Keys(c.Protected)) {
		policy.Protected = append(policy.Protected, guardaccess.Protected{ARN: arn, Groups: c.Protected[arn]})
	}
	verdict := validate.Judge(change, policy)
	k.Stats.add("changes judged")
	k.Stats.add("changes " + string(verdict.Action))
	lockouts := k.lockouts(c, before, after)
	k.checkLockouts(lockouts, change, policy, verdict)
	k.checkClaims(c, before, after, verdict)
	k.checkFresh(change, policy, verdict, old, now)
	if after.covers(before) {
		k.checkWolf(change, policy, verdict, len(lockouts) > 0, old, now)
	}
}

// checkLockouts: what locks somebody out is refused, and would be if no rule of the document had
// something against it: those are lenient on faults that are not new, and can be turned off.
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
	alone := validate.Judge(change, policy)
	for _, kind := range kinds {
		k.Stats.add("lockout " + kind)
		if verdict.Action != validate.Refuse {
			k.fail(checkLockout, kind, "the verdict is %s%s", verdict.Action, findings(verdict))
		}
		if alone.Action != validate.Refuse {
			k.fail(checkLockout, kind+", rules of the change alone", "the verdict is %s%s", alone.Action, findings(alone))
		}
	}
}

// storedBefore is how the message of a finding ends that the old version had, too.
const storedBefore = "already so before this change"

// checkFresh: a rule that finds more faults in the new version than in the old one refuses the change. It may excuse a
// fault only where the old version has it, or has it in a text that the authenticator does not read.
func (k *Checker) checkFresh(change validate.Change, policy validate.Policy, verdict validate.Verdict, old, now *version) {
	excused := func(f validate.Finding) bool { return strings.Contains(f.Message, storedBefore) }
	if verdict.Action == validate.Refuse || change.Old == nil || change.New == nil || !slices.ContainsFunc(verdict.Findings, excused) || k.unread(change.Old) {
		return
	}
	k.Stats.add("changes with faults of the old version")
	// What an element gives is old for every element of the same principal that gives it.
	grants := []string{"node-shape", "reserved-username"}
	byRule := func(faults map[string]int) map[string]int {
		count := make(map[string]int)
		for fault, n := range faults {
			rule, _, _ := strings.Cut(fault, " ")
			if slices.Contains(grants, rule) {
				n = 1
			}
			count[rule] += n
		}
		return count
	}
	policy.Protected = nil
	was, is := byRule(faults(change.Old, old, policy)), byRule(faults(change.New, now, policy))
	for _, rule := range slices.Sorted(maps.Keys(is)) {
		if is[rule] > was[rule] {
			k.fail(checkFresh, rule, "the old version has %d faults, the new one %d, and the verdict is %s%s", was[rule], is[rule], verdict.Action, findings(verdict))
		}
	}
}

// unread reports whether an object may hold text that the authenticator does not read: a section that is lost, one
// that goes on behind its end, or one below another key.
func (k *Checker) unread(o *awsauth.Object) bool {
	unread := []string{"yaml-syntax", "not-a-list", "trailing-content", "misspelt-data-key", "unknown-data-key"}
	return slices.ContainsFunc(validate.Judge(validate.Change{New: o}, validate.Policy{}).Rules(), func(rule string) bool { return slices.Contains(unread, rule) })
}

// checkWolf: what takes nothing away and brings no new fault is not refused.
func (k *Checker) checkWolf(change validate.Change, policy validate.Policy, verdict validate.Verdict, locked bool, old, now *version) {
	k.Stats.add("superset changes")
	if change.New == nil || locked { // a random answer can be covered and, for a requester, be lost
		k.Stats.add("superset without object, or random")
		return
	}
	if verdict.Action != validate.Refuse {
		k.Stats.add("changes harmless")
		k.Stats.add("superset let through")
		return
	}
	if undecidable(change.New) || change.Old != nil && undecidable(change.Old) {
		k.Stats.add("superset with a replacement character")
		return
	}
	k.Stats.add("superset refused")
	if pastLimit(change.Old) || pastLimit(change.New) { // the guard does not know what the text means
		k.Stats.add("superset past a limit")
		return
	}
	policy.Protected = nil
	if k.grants {
		k.Stats.add("superset that grants the bypass group")
		return
	}
	fresh := faults(change.New, now, policy)
	if change.Old != nil {
		for fault, n := range faults(change.Old, old, policy) {
			fresh[fault] -= n
		}
	}
	for _, n := range fresh {
		if n > 0 {
			k.Stats.add("superset with a new fault refused")
			return
		}
	}
	k.fail(checkWolf, strings.Join(verdict.Denied(), ","), "nothing is taken away and no fault is new%s", findings(verdict))
}

// costly reports whether the texts may be past a limit: more than 16 directives, aliases that could unfold to much, or
// very many elements and keys. Comments cost nothing.
func costly(data map[string]string) bool {
	directives, tokens, aliases := 0, 0, false
	for _, text := range data {
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "#") && utf8.ValidString(text) && !strings.ContainsAny(line, `"'`): // else it may be no comment
			case strings.HasPrefix(line, "%"):
				directives++
			default:
				tokens += strings.Count(line, ",") + strings.Count(line, ":") + strings.Count(line, "-") + strings.Count(line, "[") + strings.Count(line, "{")
			}
		}
		aliases = aliases || len(text) > 1<<12 && strings.Contains(text, "&") && strings.Contains(text, "*")
	}
	return directives > 16 || tokens > 1<<16 || aliases
}

// pastLimit reports whether the guard does not decode a section because of what it could cost.
func pastLimit(o *awsauth.Object) bool {
	if o == nil {
		return false
	}
	m := o.Load()
	return costly(o.Data) && slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return m.Unknown(s) != nil })
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

// lockouts are the kinds of lockouts that a change brings about.
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
	// A requester without extra fields is known by the username alone, which several entries may give.
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

// addNodes adds the node roles whose callers do not become the same nodes any more.
func addNodes(add func(kind string, was, is share), before, after *access) {
	for _, caller := range before.callers {
		was := before.logins[caller]
		same := func(l login) bool {
			return l.node() && slices.ContainsFunc(was, func(w login) bool { return w.username == l.username })
		}
		kind := lockedFargate
		if sessionOf(caller) == instance {
			kind = lockedNode
		}
		add(kind, shareOf(was, login.node), shareOf(after.logins[caller], same))
	}
}

// foreignAdmin reports whether every administrator after the change is of a partition or an account of which no ARN
// was before, while all other principals are of one partition and account, before and after.
func foreignAdmin(before, after *access, groups []string) bool {
	if before.adminShare(groups) == none || after.adminShare(groups) == none {
		return false
	}
	home := ""
	for _, caller := range before.callers {
		if !before.answers[caller][0].Mapped {
			continue
		}
		if home != "" && placeOf(caller) != home {
			return false
		}
		home = placeOf(caller)
	}
	others, foreign := false, false
	for _, caller := range after.callers {
		if !after.answers[caller][0].Mapped {
			continue
		}
		admin := slices.ContainsFunc(after.logins[caller], func(l login) bool { return l.hasAny(groups) })
		atHome := placeOf(caller) == home
		if admin == atHome {
			return false
		}
		others, foreign = others || atHome, foreign || !atHome
	}
	return others && foreign
}

// placeOf is the partition and the account of a caller.
func placeOf(caller string) string {
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

// callerFor is the session with which a person or a node that is protected by its ARN calls.
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

// faults counts what the rules of the document refuse in one version, by rule, element and the
// value that it is about. An element is told by its JSON, wherever it stands.
func faults(object *awsauth.Object, v *version, policy validate.Policy) map[string]int {
	elements := make(map[string]element)
	for _, e := range slices.Concat(v.elements, v.accounts) {
		elements[e.path()] = e
	}
	count := make(map[string]int)
	for _, f := range validate.Judge(validate.Change{New: object}, policy).Findings {
		if f.Severity != validate.Deny {
			continue
		}
		fault := f.Rule + " " + f.Path
		if path := elementPath.FindString(f.Path); path != "" {
			e := elements[path]
			fault = f.Rule + " " + e.section + " " + string(e.raw) + " " + indexes.ReplaceAllString(f.Path[len(path):], "")
		}
		count[fault]++
	}
	return count
}

var indexes = regexp.MustCompile(`\[\d+\]`)

// Lockouts returns the kinds of lockouts that a run must meet, and refuse.
func Lockouts() []string {
	return []string{lockedProtected, lockedRequester, lockedGroup, lockedLastAdmin, lockedForeign, lockedNode, lockedFargate, lockedAll, "at random"}
}

// repairsNodes reports whether a change repairs a byte that is not UTF-8, and with it an entry by which a role
// makes nodes again. People who logged in by the role's account meanwhile can't any more: a repair comes first.
func repairsNodes(c *generate.Change, arn string, after *access) bool {
	return c.Old != nil && HasInvalidUTF8(c.Old) && c.New != nil && valid(c.New) &&
		slices.ContainsFunc(after.logins[callerFor(arn, true)], login.node)
}
