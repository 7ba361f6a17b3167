package oracle

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// login is the username and groups that the authenticator returns to kube-apiserver for a caller.
type login struct {
	ok       bool
	username string
	groups   []string
}

func render(a *authenticator.Authenticator, caller string, answer authenticator.Answer) login {
	l := a.Render(caller, answer)
	return login{l.OK, l.Username, l.Groups}
}

func sessionOf(caller string) string { return authenticator.SessionOf(caller) }

// loggedIn is the group that kube-apiserver adds to every login.
const loggedIn = "system:authenticated"

// has reports whether the caller logs in and is in a group.
func (l login) has(group string) bool {
	return l.ok && (group == loggedIn || slices.Contains(l.groups, group))
}

func (l login) hasAny(groups []string) bool { return slices.ContainsFunc(groups, l.has) }

// isNode reports whether a login has the username and the group that node authorization requires.
func (l login) isNode() bool {
	name, ok := strings.CutPrefix(l.username, "system:node:")
	return ok && name != "" && !strings.Contains(name, "{{") && l.has("system:nodes")
}

// share is the share of a caller's possible logins that have a property: none, some or all. A caller has several possible
// logins if the authenticator picks an entry at random.
type share int

const (
	none share = iota
	some
	all
)

func shareOf(logins []login, holds func(login) bool) share {
	n := 0
	for _, l := range logins {
		if holds(l) {
			n++
		}
	}
	switch n {
	case 0:
		return none
	case len(logins):
		return all
	}
	return some
}

// access holds the authenticator's answers to callers for one version of an object.
type access struct {
	callers []string
	answers map[string][]authenticator.Answer
	logins  map[string][]login
}

// accessOf loads an object with the data into the authenticator, and returns the answers to the callers. It deletes the
// object if data is nil.
func accessOf(a *authenticator.Authenticator, data map[string]string, callers []string) *access {
	if data == nil {
		a.Delete()
	} else {
		a.Load(data)
	}
	v := &access{callers: callers, answers: make(map[string][]authenticator.Answer), logins: make(map[string][]login)}
	for _, caller := range callers {
		v.answers[caller] = a.Possible(caller)
		for _, answer := range v.answers[caller] {
			v.logins[caller] = append(v.logins[caller], render(a, caller, answer))
		}
	}
	return v
}

// adminShare returns the largest share of admin logins that any caller has. It leaves out instances and pods, because no
// person can use them to repair aws-auth.
func (v *access) adminShare(groups []string) share {
	most := none
	for _, caller := range v.callers {
		if session := sessionOf(caller); session == instance || session == fargate {
			continue
		}
		most = max(most, shareOf(v.logins[caller], func(l login) bool { return l.hasAny(groups) }))
	}
	return most
}

// mapped returns the number of callers that the authenticator maps to a user.
func (v *access) mapped() int {
	n := 0
	for _, answers := range v.answers {
		if answers[0].Mapped {
			n++
		}
	}
	return n
}

// covers reports whether the version of v takes no access away from the callers of other, which is the earlier version. A
// mapped caller must keep the username and at least the same groups, and must still be able to log in. A caller with several
// possible answers must keep exactly these answers.
func (v *access) covers(other *access) bool {
	for _, caller := range other.callers {
		was, is := other.answers[caller], v.answers[caller]
		if len(was) == 1 && !was[0].Mapped {
			continue
		}
		if len(was) == 1 && len(is) == 1 {
			refused := other.logins[caller][0].ok && !v.logins[caller][0].ok // for example, if the authenticator can't render the template of a group
			if !is[0].Mapped || is[0].Username != was[0].Username || !subset(was[0].Groups, is[0].Groups) || refused {
				return false
			}
			continue
		}
		if len(was) != len(is) || slices.ContainsFunc(was, func(a authenticator.Answer) bool { return !slices.ContainsFunc(is, a.Equal) }) {
			return false
		}
	}
	return true
}

func subset(part, whole []string) bool {
	return !slices.ContainsFunc(part, func(s string) bool { return !slices.Contains(whole, s) })
}
