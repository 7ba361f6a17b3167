package validate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

var selfLockout = &Rule{
	ID:       "self-lockout",
	Severity: Deny,
	Scope:    OfChange,
	Title:    "the requester would lose their own access",
	Doc: `
The requester, a person or a tool, logs in through an entry of aws-auth. After the change no entry lets them in, or
they lose an admin group. Then they might not be able to revert the change, so the guard refuses it.

If the requester's next login would have another username or lack a group, the guard warns: RBAC may bind the right
to edit aws-auth to the old username or group. The API server caches logins for minutes, so the requester would
notice the loss only later.

The rule does not apply to requesters who log in without aws-auth: the cluster's creator, and users with an access
entry or a client certificate. If the requester has an access entry but also a group that it doesn't give, they
probably logged in through aws-auth. Then the rule warns of a loss, because the access entry may not work.

Let another admin make this change, or keep your own entry.`,
	Source: "aws-iam-authenticator v0.7.18, pkg/server/server.go, authenticateEndpoint and renderTemplates",
	Check:  checkSelfLockout,
}

func checkSelfLockout(p *Pass) {
	arn := p.Change.Requester.ARN()
	switch {
	case arn == "": // not logged in through the authenticator
	case !p.hasAccessEntry(arn):
		p.checkNextLogin(arn)
	case p.entryDiffersFromLogin(arn):
		p.checkNextLogin(arn)
		if len(p.findings) > 0 {
			p.findings = nil
			p.Warnf(wholeObject, "first check with a new login that your access entry works",
				"you are logged in as %q with groups that your access entry doesn't give; if it belongs to an older role of this name, you could not log in again", arn)
		}
	}
}

// checkNextLogin compares the requester's current login with the login that aws-auth gives them after the change, and
// reports losses.
func (p *Pass) checkNextLogin(arn string) {
	caller := p.Change.Requester.caller()
	stored, after := p.answerBefore(arn), p.New.Resolve(arn)
	if !stored.Mapped {
		return // the requester logged in another way, and has no entry to lose
	}
	used, ok := p.entriesUsed(arn, stored)
	if !ok {
		return // the requester logged in another way: by an access entry, or as the cluster's creator
	}
	admits := func(e *awsauth.Entry) bool { return e.Admits(caller) }
	if caller.SessionUnknown && !slices.ContainsFunc(used, (*awsauth.Entry).OnlyInstances) {
		admits = func(e *awsauth.Entry) bool { return !e.OnlyInstances() } // the requester may be a caller that is not an instance
	}
	for _, m := range p.newMaps() {
		if r := m.Resolve(arn); admission(r, admits) < admission(after, admits) {
			after = r
		}
	}
	hint := "keep your own entry, or let another admin make this change"
	if admission(after, admits) < admission(stored, admits) {
		_, why := p.explain(after, caller.IsInstance())
		if !after.Mapped {
			hint = p.lossHint(hint, stored.Source, stored.CanonicalARN)
		}
		p.Reportf(p.lockoutPlace(stored, after), hint, "you are logged in as %q and could not log in again: %s", stored.CanonicalARN, why)
		return
	}
	for _, group := range p.Policy.adminGroups() {
		gives := func(e *awsauth.Entry) bool { return admits(e) && e.GivesTo(caller, group) }
		// If the authenticator picks a stored entry at random, only some of the requester's logins may have had the group.
		// Then it is no loss if still only some of them get it.
		if had := min(access.CertaintyOf(used, gives), access.CertaintyOf(stored.Matches, gives)); access.CertaintyOf(after.Matches, gives) < had {
			p.Reportf(p.lockoutPlace(stored, after), hint, "you are logged in as %q and would lose the group %s", stored.CanonicalARN, group)
		}
	}
	if len(p.findings) == 0 {
		p.warnOfNextLogin(stored, after, caller)
	}
}

// entryDiffersFromLogin reports whether the requester has a group that the access entry of their ARN doesn't give. Such
// a requester probably logged in through aws-auth: the access entry is newer than the login, or it has no effect because
// its role was deleted and created again. It is also possible that the access entry lost the group after the login.
func (p *Pass) entryDiffersFromLogin(arn string) bool {
	entry := p.entries.Get(arn)
	return entry != nil && len(entry.Lacks(p.Change.Requester.Groups)) > 0
}

// maxReplacedText limits the bytes of the replaced versions that are decoded for one change. Five versions of 300
// entries have fewer bytes. Decoding five versions of 1 MiB takes seconds.
const maxReplacedText = 256 << 10

// answerBefore returns the authenticator's answer for the requester in the stored version. If the stored text may hide
// bytes, there are several possible answers. Then answerBefore returns the first one that explains the requester's
// login. If no answer explains it, answerBefore returns the last one that maps the requester, or else the first one.
func (p *Pass) answerBefore(arn string) (answer awsauth.Resolution) {
	for i, m := range p.oldMaps() {
		stored := m.Resolve(arn)
		if _, ok := p.Change.Requester.loggedInBy(stored); ok {
			return stored
		}
		if i == 0 || stored.Mapped {
			answer = stored
		}
	}
	return answer
}

// entriesUsed returns the entries through which the requester can have logged in: those of the stored version, or of an
// earlier one. stored is the answer for the requester in the stored version. A login through mapAccounts uses no
// entries. entriesUsed returns false if no version explains the login.
func (p *Pass) entriesUsed(arn string, stored awsauth.Resolution) (used []*awsauth.Entry, ok bool) {
	requester := p.Change.Requester
	if used, ok = requester.loggedInBy(stored); ok {
		return used, true
	}
	left := maxReplacedText
	for _, replaced := range p.Change.Replaced {
		if p.Change.Old != nil && maps.Equal(replaced.Data, p.Change.Old.Data) {
			continue // the stored version, whose answer is known
		}
		for _, s := range awsauth.Sections() {
			left -= len(replaced.Data[string(s)])
		}
		if left < 0 {
			break
		}
		if used, ok = requester.loggedInBy(replaced.Load().Resolve(arn)); ok {
			return used, true
		}
	}
	return nil, false
}

// loggedInBy returns the matching entries that give the requester their current username and groups. ok reports whether
// the answer explains the requester's login.
func (r Requester) loggedInBy(answer awsauth.Resolution) (used []*awsauth.Entry, ok bool) {
	if answer.Mapped && len(answer.Matches) == 0 { // by mapAccounts, which gives no groups
		groups := slices.DeleteFunc(slices.Clone(r.Groups), func(g string) bool { return g == awsauth.AuthenticatedGroup })
		return nil, r.Username == answer.Username && len(groups) == 0
	}
	caller := r.caller()
	for _, e := range answer.Matches {
		if e.GivesLogin(caller, r.Username, r.Groups) {
			used = append(used, e)
		}
	}
	return used, len(used) > 0
}

// admission returns how certainly the authenticator lets a caller in. answer is the authenticator's answer for the
// caller, and admits reports whether an entry admits the caller.
func admission(answer awsauth.Resolution, admits func(*awsauth.Entry) bool) access.Certainty {
	if answer.Mapped && len(answer.Matches) == 0 {
		return access.Always // by mapAccounts, which has no templates
	}
	return access.CertaintyOf(answer.Matches, admits)
}

// maxLogins limits the logins of the stored version with which the next login is compared. The stored version has
// several logins only if the authenticator picks an entry at random.
const maxLogins = 100

// warnOfNextLogin warns if the requester's next login would differ from every login of the stored version: it has
// another username, or lacks a group.
func (p *Pass) warnOfNextLogin(stored, after awsauth.Resolution, caller awsauth.Caller) {
	was := loginsOf(stored, caller)
	was = was[:min(len(was), maxLogins)]
	for _, l := range loginsOf(after, caller) {
		if !slices.ContainsFunc(was, l.covers) {
			p.Warnf(p.lockoutPlace(stored, after), "check that RBAC gives the next login the rights that you need, or let another admin make this change",
				"you are logged in as %q, and your next login would be %s instead of %s", stored.CanonicalARN, l.String(), was[0].String())
			return
		}
	}
}

// login is the username and the groups that the API server gets for a caller.
type login struct {
	username string
	groups   []string // sorted, each once, without system:authenticated
}

func (l login) String() string {
	return fmt.Sprintf("%q with the groups [%s]", l.username, strings.Join(l.groups, ", "))
}

// covers reports whether this login has the username and all groups of the other one.
func (l login) covers(other login) bool {
	return l.username == other.username && !slices.ContainsFunc(other.groups, func(g string) bool {
		_, found := slices.BinarySearch(l.groups, g)
		return !found
	})
}

// loginsOf returns the logins that the authenticator's answer can give a caller. It returns at least one if the caller
// is mapped.
func loginsOf(answer awsauth.Resolution, caller awsauth.Caller) (logins []login) {
	if answer.Mapped && len(answer.Matches) == 0 {
		return []login{{username: answer.Username}}
	}
	for _, e := range answer.Matches {
		groups := slices.DeleteFunc(e.RenderedGroups(caller), func(g string) bool { return g == awsauth.AuthenticatedGroup })
		slices.Sort(groups)
		logins = append(logins, login{e.RenderedUsername(caller), slices.Compact(groups)})
	}
	return logins
}

func (p *Pass) lockoutPlace(before, after awsauth.Resolution) locator {
	if after.Mapped {
		return p.Doc.EntryAt(after)
	}
	return sectionPlace(before.Source)
}
