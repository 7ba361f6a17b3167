package access

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
)

// State is the effect of a grant.
type State string

// The states of a grant. In StateOK callers log in by the grant. In StateUnknown they may log in by it. In every other
// state they don't.
const (
	StateOK           State = "ok"
	StateShadowed     State = "shadowed"     // callers log in by another grant of the same principal
	StateNeverMatches State = "neverMatches" // no caller has its ARN or account and fulfils its conditions
	StateDropped      State = "dropped"      // the authenticator does not load it
	StateStale        State = "stale"        // the principal was deleted, and may have been created again
	StateIgnored      State = "ignored"      // the authentication mode excludes its source
	StateUnknown      State = "unknown"      // a section, a part of the cluster or a fact of IAM is not known
)

// Grant is an element of a source of access: an access entry, an element of mapRoles or mapUsers, or an account of
// mapAccounts. It can also be an ARN in a part of aws-auth that the authenticator does not read, or a whole section
// that can't be evaluated or decoded.
type Grant struct {
	// Principal is the ARN as the source has it, or an account of mapAccounts. For an element with the key sso it is the
	// pattern of the ARNs of its roles. It is empty if the element names no principal, and for a whole section.
	Principal string
	Source    Source
	// Username and Groups are those of the source, and may hold templates. For an account of mapAccounts they are
	// empty: each caller has its ARN as username, and no groups.
	Username string
	Groups   []string
	Policies []AccessPolicy
	State    State
	// Reason is the reason why the state is not StateOK, or why the authenticator's answer is random. Otherwise it is
	// empty.
	Reason string
	// At is the position of a grant of aws-auth. Index is the index of an access entry in the cluster's list.
	At    awsauth.Position
	Index int
	// Unknown lists the fields that can't be determined, by their names in the JSON output of kubectl awsauth get.
	Unknown []string

	node, admin bool
}

// HasEffect reports whether callers log in by the grant. It also returns true if the state is unknown, because callers
// may then log in by the grant.
func (g *Grant) HasEffect() bool { return g.State == StateOK || g.State == StateUnknown }

// IsNode reports whether the grant is for nodes and has an effect.
func (g *Grant) IsNode() bool { return g.node && g.HasEffect() }

// AllowsAll reports whether the grant itself allows everything, by the group system:masters or by the cluster admin
// policy. A grant that admits only EC2 instances counts, because programs on an instance can use it. The rules of the
// webhook don't count such a grant.
func (g *Grant) AllowsAll() bool { return g.admin && g.HasEffect() }

// Key returns a key that is equal for all grants of one principal. For a grant of mapAccounts the key is the account.
func (g *Grant) Key() string { return CallerKey(g.Principal) }

// CallerKey returns the [awsauth.PrincipalKey] of a principal. For the ARN of a session it returns the key of the
// session's role.
func CallerKey(arn string) string {
	if parsed, err := awsauth.ParseARN(strings.TrimSpace(arn)); err == nil {
		if role, ok := parsed.SessionRole(); ok {
			return awsauth.PrincipalKey(role.String())
		}
	}
	return awsauth.PrincipalKey(arn)
}

// Grants lists the grants of a cluster, including those by which no caller logs in. First come the access entries, and
// then the grants of aws-auth in the order in which the authenticator searches the sections. d is aws-auth, and may be
// nil. If cluster is nil, the states are those of a cluster without access entries. An empty mode of the cluster counts
// as API_AND_CONFIG_MAP.
func Grants(d *awsauth.Document, cluster *Cluster) []Grant {
	var list []Grant
	if cluster != nil {
		for i := range cluster.AccessEntries {
			list = append(list, entryGrant(cluster, i))
		}
	}
	if d == nil {
		return list
	}
	from := len(list)
	list = append(list, documentGrants(d)...)
	entries := NewEntries(cluster, nil)
	for i := range list[from:] {
		list[from+i].precede(entries)
	}
	return list
}

// precede sets the state of a grant of aws-auth that has no effect. The reason is the authentication mode, or an access
// entry of the principal.
func (g *Grant) precede(entries Entries) {
	switch {
	case entries.IgnoreAWSAuth():
		g.State, g.Reason = StateIgnored, "the cluster's authentication mode is API, so aws-auth has no effect"
	case g.State == StateOK && g.Source != SourceMapAccounts:
		// A stale access entry matches no caller, so the authenticator asks aws-auth.
		if e := entries.Get(g.Principal); e != nil && e.Stale == "" {
			g.State, g.Reason = StateShadowed, "the principal has the access entry "+e.PrincipalARN+", which wins over aws-auth"
		}
	}
}

// entryGrant returns the grant of an access entry.
func entryGrant(c *Cluster, i int) Grant {
	e := &c.AccessEntries[i]
	g := Grant{
		Principal: e.PrincipalARN, Source: SourceAccessEntry, Username: e.Username, Groups: e.Groups, Policies: e.Policies,
		State: StateOK, Index: i, Unknown: e.Unknown, node: e.IsNode(), admin: e.IsAdmin(nil),
	}
	reason := unmatched(awsauth.ParseARN(e.PrincipalARN))
	switch {
	case c.Mode == ModeConfigMap:
		g.State, g.Reason = StateIgnored, "the cluster's authentication mode is CONFIG_MAP, so access entries have no effect"
	case reason != "":
		g.State, g.Reason = StateNeverMatches, reason
	case e.Stale != "":
		g.State, g.Reason = StateStale, e.Stale
	}
	return g
}

// unmatched returns the reason why no caller can have an ARN, or "" if a caller can. arn and err are the results of
// [awsauth.ParseARN]. unmatched accepts the ARN of a role with its path.
func unmatched(arn awsauth.ARN, err error) string {
	if err != nil {
		return err.Error()
	}
	if role, ok := arn.SessionRole(); ok {
		return "the ARN is that of a session, and the authenticator searches for that of the role, " + role.String()
	}
	return ""
}

// documentGrants returns the grants of aws-auth, with the states that they have without access entries.
func documentGrants(d *awsauth.Document) []Grant {
	inForce := make(map[*awsauth.Entry]*awsauth.Principal)
	principals := d.Map.Principals()
	for i := range principals {
		for _, e := range principals[i].Matches {
			inForce[e] = &principals[i]
		}
	}
	var list []Grant
	for _, s := range awsauth.Sections() {
		if err := d.Map.Unknown(s); err != nil {
			list = append(list, Grant{Source: Source(s), State: StateUnknown, Reason: err.Error(), At: sectionAt(d, s)})
			continue
		}
		switch s {
		case awsauth.MapRoles:
			for i := range d.Roles {
				list = append(list, mappingGrant(d, d.Roles[i], &d.Map.Roles[i], inForce))
			}
		case awsauth.MapUsers:
			for i := range d.Users {
				list = append(list, mappingGrant(d, d.Users[i], &d.Map.Users[i], inForce))
			}
		case awsauth.MapAccounts:
			list = append(list, accountGrants(d)...)
		}
		list = append(list, unreadGrants(d, s)...)
	}
	return list
}

// sectionAt returns the position of a section.
func sectionAt(d *awsauth.Document, s awsauth.Section) awsauth.Position {
	return d.Locate(awsauth.Position{Path: s.Path()})
}

// mappingGrant returns the grant of an element of mapRoles or mapUsers. e is the entry of the element. inForce maps
// entries to their principals. It has only the entries that the authenticator may answer with.
func mappingGrant(d *awsauth.Document, m awsauth.Mapping, e *awsauth.Entry, inForce map[*awsauth.Entry]*awsauth.Principal) Grant {
	g := Grant{
		Principal: e.ARN, Source: Source(e.Section), Username: e.Username, Groups: e.Groups, At: d.Locate(m.At()), State: StateOK,
		node: IsNode(e), admin: e.Gives(Masters),
	}
	if e.ARN == "" && e.SSO != nil {
		g.Principal = "arn:" + cmp.Or(e.SSO.Partition, "aws") + ":iam::" + e.SSO.AccountID + ":role/AWSReservedSSO_" + e.SSO.PermissionSetName + "_*"
	}
	if e.Dropped != "" {
		g.State, g.Reason = StateDropped, "the element "+e.Dropped
		return g
	}
	if reason := neverMatches(e); reason != "" {
		g.State, g.Reason = StateNeverMatches, reason
		return g
	}
	p, ok := inForce[e]
	switch matches := d.Map.MatchesOf(e.ARN); {
	case ok && len(p.Matches) > 1:
		g.Reason = "the ARNs of several entries differ only in case, and the authenticator picks one at random for each request"
	case ok:
	case e.Shadowed():
		g.State, g.Reason = StateShadowed, e.ShadowedBy().Path()+" has the same ARN, and the authenticator uses the last one"
	case len(matches) > 0:
		g.State, g.Reason = StateShadowed, matches[0].Path()+" has the same ARN, and the authenticator searches mapRoles first"
	default:
		g.State, g.Reason = StateNeverMatches, "no ARN of a caller equals this spelling of the ARN"
	}
	return g
}

// neverMatches returns the reason why no caller can log in by an entry, or "" if a caller can.
func neverMatches(e *awsauth.Entry) string {
	if e.SSO != nil {
		return "the authenticator matches sso only with its feature gate SSORoleMatch, which is off by default"
	}
	arn, err := e.Principal()
	if reason := unmatched(arn, err); reason != "" {
		return reason
	}
	if role, ok := arn.WithoutPath(); ok {
		return "the role's ARN has a path, and STS leaves it out; the authenticator searches for " + role.String()
	}
	if !e.HasSessions() && e.OnlyInstances() {
		return InstancesOnly(e.Path()) + ", and a user is not an EC2 instance"
	}
	return ""
}

// accountGrants returns the grants of mapAccounts.
func accountGrants(d *awsauth.Document) []Grant {
	var list []Grant
	first := make(map[string]int)
	for i, f := range d.Accounts {
		g := Grant{Principal: f.Value, Source: SourceMapAccounts, At: d.Locate(f.At()), State: StateOK}
		switch before, again := first[f.Value]; {
		case !awsauth.IsAccountID(f.Value):
			g.State, g.Reason = StateNeverMatches, fmt.Sprintf("%q is not an account id of 12 digits", f.Value)
		case again:
			g.State, g.Reason = StateShadowed, fmt.Sprintf("%s[%d] has the same account", awsauth.MapAccounts.Path(), before)
		default:
			first[f.Value] = i
		}
		list = append(list, g)
	}
	for _, f := range d.BadAccounts {
		list = append(list, Grant{Source: SourceMapAccounts, At: d.Locate(f.At()), State: StateDropped, Reason: "the element is not a text"})
	}
	return list
}

// unreadGrants returns a grant for each ARN in the part of a section that the authenticator does not read. If the
// authenticator loads nothing from the section, and the text has no ARN, unreadGrants returns one grant without a
// principal.
func unreadGrants(d *awsauth.Document, s awsauth.Section) []Grant {
	var list []Grant
	for _, t := range d.Texts {
		if t.Section != s {
			continue
		}
		reason := "the authenticator does not read this part of " + string(s)
		lost := d.Map.LoadError(s) != nil
		if lost {
			reason = "the authenticator loads nothing from " + string(s) + ", because it can't decode the text"
		}
		for _, arn := range t.UnreadARNs() {
			list = append(list, Grant{Principal: arn.Value, Source: Source(s), State: StateDropped, Reason: reason, At: arn.Position})
		}
		if lost && len(list) == 0 {
			list = append(list, Grant{Source: Source(s), State: StateDropped, Reason: reason, At: sectionAt(d, s)})
		}
	}
	return list
}
