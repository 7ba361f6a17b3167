package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// Source is a source of access.
type Source string

// SourceNone means that no source maps the caller. The other sources are access entries and the sections of aws-auth.
const (
	SourceNone        Source = ""
	SourceAccessEntry Source = "access entry"
	SourceMapRoles           = Source(awsauth.MapRoles)
	SourceMapUsers           = Source(awsauth.MapUsers)
	SourceMapAccounts        = Source(awsauth.MapAccounts)
)

// Caller is a caller of the cluster, with the values for the templates of entries. Use [NewCaller] to make one.
type Caller struct {
	// ARN is the ARN that STS returns for the caller. If the session of a role is not known, ARN is the ARN of the
	// role.
	ARN string
	awsauth.Caller
}

// NewCaller returns the caller with an ARN. The ARN of a role stands for all sessions of the role. NewCaller removes
// the path of a role, because the ARN of a session has no path. It does not change an ARN that the authenticator
// refuses.
func NewCaller(arn string) Caller {
	c := Caller{ARN: arn}
	parsed, err := awsauth.ParseARN(arn)
	if err != nil {
		return c
	}
	c.AccountID = parsed.Account
	if _, ok := parsed.SessionRole(); ok {
		c.SessionName = parsed.Name()
	}
	c.SessionUnknown = parsed.IsRole()
	if _, err := awsauth.Canonicalize(arn); err != nil {
		return c
	}
	if role, ok := parsed.WithoutPath(); ok {
		c.ARN = role.String()
	}
	return c
}

// User is the user that the authenticator returns to the API server for a caller.
type User struct {
	// Username and Groups hold a template of the authenticator only if its value is not known. The value of
	// {{EC2PrivateDNSName}} is never known, because it comes from the EC2 API. The session name and the id of the
	// access key may be unknown, see [awsauth.Caller].
	Username string
	// Groups are in the order of the entry. The API server adds system:authenticated.
	Groups []string
}

// Login is the result of a caller's login.
type Login struct {
	// Source is the source that answers for the caller, even if it refuses the caller.
	Source Source
	// Admitted is how often the authenticator admits the caller. An answer of aws-auth may be random, see [Certainty].
	Admitted Certainty
	// Users are the users that the caller may be, without duplicates. There are several only if the authenticator picks
	// one of several entries at random.
	Users []User
	// Policies are the access policies of the caller's access entry.
	Policies []AccessPolicy
	// Reason is the reason why the authenticator refuses the caller, or why its answer is random. Otherwise it is
	// empty.
	Reason string
	// Unknown is the reason why the login is not certain. It is empty if the login is certain. If it is set, the other
	// fields are not reliable. There is one exception: if Source is SourceAccessEntry, it is right.
	Unknown string
}

// Login returns the result of a caller's login. m is the loaded aws-auth. The authenticator asks the access entries
// first. If one of them matches, the authenticator doesn't ask aws-auth, even if the access entry doesn't admit the
// caller (aws-iam-authenticator v0.7.18, pkg/server/server.go, doMapping). If a principal was deleted and created
// again, its access entry matches no caller. Login ignores this: code that knows it, see [AccessEntry.Stale], must leave
// out the access entry.
func (e Entries) Login(m *awsauth.Map, c Caller) Login {
	if _, err := awsauth.Canonicalize(c.ARN); err != nil {
		return Login{Reason: "the authenticator refuses the ARN: " + err.Error()}
	}
	switch entry := e.Get(c.ARN); {
	case entry != nil:
		return entry.login(c.Caller)
	case e.Has(c.ARN):
		return Login{Source: SourceAccessEntry, Unknown: "the configuration declares an access entry, but not its access"}
	case e.IgnoreAWSAuth():
		return Login{Reason: "no access entry has the ARN " + c.ARN + ", and the cluster's authentication mode is API"}
	}
	return loginBy(m.Resolve(c.ARN), c.Caller)
}

// login returns the login of a caller whom the access entry matches. The username and groups of the access entry may
// hold templates, as in aws-auth.
func (e *AccessEntry) login(c awsauth.Caller) Login {
	l := Login{Source: SourceAccessEntry, Policies: e.Policies}
	l.render([]*awsauth.Entry{{ARN: e.PrincipalARN, Username: e.Username, Groups: e.Groups}}, c, "the access entry of "+e.PrincipalARN)
	return l
}

// loginBy returns the login that aws-auth gives to a caller. r is the answer of aws-auth.
func loginBy(r awsauth.Resolution, c awsauth.Caller) Login {
	l := Login{Reason: r.Reason, Unknown: r.Unknown}
	switch {
	case !r.Mapped:
		return l
	case len(r.Matches) == 0: // mapAccounts has no templates
		l.Source, l.Admitted, l.Users = SourceMapAccounts, Always, []User{{r.Username, r.Groups}}
		return l
	}
	l.Source = Source(r.Source)
	l.render(r.Matches, c, r.Matches[0].Path())
	return l
}

// render sets Admitted, and adds the users that the caller can be, from each entry that admits the caller. The entries
// are those with which the authenticator may answer. If none admits the caller, render also sets Reason, in which name
// stands for the first entry.
func (l *Login) render(entries []*awsauth.Entry, c awsauth.Caller, name string) {
	l.Admitted = CertaintyOf(entries, func(e *awsauth.Entry) bool { return e.Admits(c) })
	if l.Admitted == Never {
		l.Reason = InstancesOnly(name)
	}
	for _, e := range entries {
		if !e.Admits(c) {
			continue
		}
		u := User{e.RenderedUsername(c), e.RenderedGroups(c)}
		if !slices.ContainsFunc(l.Users, u.equal) {
			l.Users = append(l.Users, u)
		}
	}
}

// InstancesOnly returns the message that only EC2 instances can log in with an entry. name stands for the entry in the
// message.
func InstancesOnly(name string) string {
	return fmt.Sprintf("only EC2 instances can log in with %s, because it uses %s", name, awsauth.InstanceTemplate)
}

func (u User) equal(other User) bool {
	return u.Username == other.Username && slices.Equal(u.Groups, other.Groups)
}

// String returns the user in one line, such as "admin" [system:masters, ops].
func (u User) String() string {
	return fmt.Sprintf("%q [%s]", u.Username, strings.Join(u.Groups, ", "))
}
