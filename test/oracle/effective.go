package oracle

import (
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/test/oracle/authenticator"
)

// login is what the authenticator tells kube-apiserver about a caller, as its own code renders it.
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

// loggedIn is the group that kube-apiserver gives every caller that logs in.
const loggedIn = "system:authenticated"

// has reports whether the caller logs in and is in a group.
func (l login) has(group string) bool {
	return l.ok && (group == loggedIn || slices.Contains(l.groups, group))
}

func (l login) hasAny(groups []string) bool { return slices.ContainsFunc(groups, l.has) }

// node reports whether the login is that of a node: a name and the group that node authorization asks for.
func (l login) node() bool {
	name, ok := strings.CutPrefix(l.username, "system:node:")
	return ok && name != "" && !strings.Contains(name, "{{") && l.has("system:nodes")
}

// share says how many of a caller's possible logins are as asked: none, some, which the
// authenticator picks at random, or all.
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

// access is what the authenticator answers to callers about one version of an object.
type access struct {
	callers []string
	answers map[string][]authenticator.Answer
	logins  map[string][]login
}

// accessOf asks for every caller. The object is loaded, or nil for none.
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

// adminShare is the share of the most certain of those callers who get an admin group. Instances
// are no administrators: nobody can sit down at one and repair aws-auth.
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

// mapped counts the callers who may log in.
func (v *access) mapped() int {
	n := 0
	for _, answers := range v.answers {
		if answers[0].Mapped {
			n++
		}
	}
	return n
}

// covers reports whether every caller's answer in the other version is theirs here too, with at least
// the same groups. What is random in either must be the same in both.
func (v *access) covers(other *access) bool {
	for _, caller := range other.callers {
		was, is := other.answers[caller], v.answers[caller]
		if len(was) == 1 && !was[0].Mapped {
			continue
		}
		if len(was) == 1 && len(is) == 1 {
			if !is[0].Mapped || is[0].Username != was[0].Username || !subset(was[0].Groups, is[0].Groups) {
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
