package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/fields"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/rbac"
)

// row is one row in the output of get. Its exported fields are the JSON output.
type row struct {
	Principal string        `json:"principal"` // an ARN, an account of mapAccounts, or empty
	Source    access.Source `json:"source"`
	Username  string        `json:"username"`
	Groups    []string      `json:"groups"`
	Policies  []string      `json:"policies"` // ARNs
	Admin     bool          `json:"admin"`
	Node      bool          `json:"node"`
	State     access.State  `json:"state"`
	Place     string        `json:"place"`

	Reason string `json:"reason,omitempty"` // the reason for the state
	// Scopes has the namespaces of the access policies that don't apply in the whole cluster, by the ARN of the policy.
	Scopes map[string][]string `json:"policyNamespaces,omitempty"`
	// Roles are the roles that RBAC binds to the user. PathsToAdmin are the requests by which the user can become an admin, according to
	// RBAC and access policies.
	Roles        []boundRole `json:"roles,omitempty"`
	PathsToAdmin []string    `json:"pathsToAdmin,omitempty"`
	Can          string      `json:"can,omitempty"`     // yes, unknown, or empty; only with --can
	Unknown      []string    `json:"unknown,omitempty"` // fields that can't be determined

	key      string // see access.CallerKey
	policies []access.AccessPolicy
	effect   bool // the row may have an effect on the access of callers
}

// boundRole is a role that RBAC binds to the user of a row.
type boundRole struct {
	Kind      string `json:"kind"`
	Name      string `json:"name"`
	Namespace string `json:"namespace,omitempty"` // the namespace of the RoleBinding; empty for a ClusterRoleBinding
	Binding   string `json:"binding"`             // the name of the binding
	inherited bool   // the binding applies to every authenticated user
}

// sourceAccessEntry is the name of access entries as a source in the output.
const sourceAccessEntry access.Source = "accessEntry"

// The values of row.Can.
const (
	canYes     = "yes"
	canUnknown = "unknown"
)

// rows returns a row for each grant, and a row for each source that can't be read and may have an effect. If request is not nil, rows sets
// the field Can of the rows by which callers may make the request, or possibly may.
func (s *accessSources) rows(request *rbac.Request) []row {
	if s.policy != nil {
		s.inherited = make(map[bindingKey]bool)
		for _, b := range s.policy.Bindings(rbac.Subject{Groups: []string{awsauth.AuthenticatedGroup}}) {
			s.inherited[keyOf(b)] = true
		}
		s.accountUsers = s.usersOfAccounts()
	}
	var list []row
	if s.entriesUnread && !s.entriesListed {
		list = append(list, s.unreadRow(sourceAccessEntry, s.entriesName, "the access entries can't be read"))
	}
	for _, g := range s.grants {
		if s.entriesUnread && g.Source != access.SourceAccessEntry && g.State == access.StateOK {
			g.State, g.Reason = access.StateUnknown, "the access entries or the authentication mode can't be read, and may exclude this row"
		}
		list = append(list, s.newRow(&g, request))
	}
	if s.unread && (s.cluster == nil || s.cluster.Mode != access.ModeAPI) {
		for _, section := range awsauth.Sections() {
			list = append(list, s.unreadRow(access.Source(section), s.name, "aws-auth can't be read"))
		}
	}
	return list
}

// unreadRow returns the row for a source that can't be read. reason is the text for the column REASON.
func (s *accessSources) unreadRow(source access.Source, place, reason string) row {
	return row{
		Source: source, Groups: []string{}, Policies: []string{}, State: access.StateUnknown, Place: place, Reason: reason,
		Unknown: []string{"principal", access.FieldUsername, access.FieldGroups, access.FieldPolicies, access.FieldAdmin, access.FieldNode},
	}
}

func (s *accessSources) newRow(g *access.Grant, request *rbac.Request) row {
	r := row{
		Principal: g.Principal, Source: g.Source, Username: g.Username, Groups: append([]string{}, g.Groups...), Policies: []string{},
		Admin: g.AllowsAll(), Node: g.IsNode(), State: g.State, Place: s.place(g), Reason: g.Reason, Unknown: slices.Clone(g.Unknown),
		key: g.Key(), policies: g.Policies, effect: g.HasEffect(),
	}
	if g.Source == access.SourceAccessEntry {
		r.Source = sourceAccessEntry
	}
	for _, p := range g.Policies {
		r.Policies = append(r.Policies, p.ARN)
		if p.Scope != access.ScopeCluster {
			if r.Scopes == nil {
				r.Scopes = make(map[string][]string)
			}
			r.Scopes[p.ARN] = append([]string{}, p.Namespaces...)
		}
	}
	if r.effect && !r.Admin && administersKubeSystem(g.Policies) {
		r.PathsToAdmin = []string{"create serviceaccounts/token in " + awsauth.Namespace}
	}
	if r.Principal == "" && r.State == access.StateUnknown {
		r.Unknown = s.unreadRow("", "", "").Unknown
	}
	if s.policy != nil && r.effect && r.Principal != "" {
		s.addRights(&r, request)
	}
	if !r.Admin && (slices.Contains(r.Unknown, access.FieldGroups) || slices.Contains(r.Unknown, access.FieldPolicies)) && r.effect && !slices.Contains(r.Unknown, access.FieldAdmin) {
		r.Unknown = append(r.Unknown, access.FieldAdmin)
	}
	return r
}

// place returns the place of a grant for the output. For an element of aws-auth this is a position in the file or in the live object. For
// an access entry it is the EKS cluster, or an index in the file.
func (s *accessSources) place(g *access.Grant) string {
	switch {
	case g.Source == access.SourceAccessEntry && strings.HasPrefix(s.entriesName, eksPrefix):
		return s.entriesName
	case g.Source == access.SourceAccessEntry:
		return fmt.Sprintf("%s[%d]", s.entriesName, g.Index)
	case g.At.Line == 0:
		return s.name + ": " + g.At.Path
	case s.inText:
		return fmt.Sprintf("%s: %s:%d:%d", s.name, g.At.Path, g.At.Line, g.At.Column)
	}
	return fmt.Sprintf("%s:%d:%d", s.name, g.At.Line, g.At.Column)
}

// bindingKey identifies a RoleBinding or ClusterRoleBinding.
type bindingKey struct{ kind, namespace, name string }

func keyOf(b rbac.Binding) bindingKey { return bindingKey{b.Kind, b.Namespace, b.Name} }

// addRights adds the rights that RBAC gives to the user of a row, and marks the fields that are unknown because a part of RBAC can't be
// read. If request is not nil, it also sets the field Can.
func (s *accessSources) addRights(r *row, request *rbac.Request) {
	subject := s.subject(r)
	for _, b := range s.policy.Bindings(subject) {
		r.Roles = append(r.Roles, boundRole{
			Kind: b.RoleKind, Name: b.RoleName, Namespace: b.Namespace, Binding: b.Name,
			inherited: s.inherited[keyOf(b)],
		})
	}
	r.Admin = r.Admin || s.policy.AllowsEverything(subject)
	if r.Admin {
		r.PathsToAdmin = nil
	} else {
		withAWSAuth := s.cluster == nil || s.cluster.Mode != access.ModeAPI
		paths := s.policy.PathsToAdmin(subject, withAWSAuth)
		r.PathsToAdmin = append(r.PathsToAdmin, slices.DeleteFunc(paths, func(path string) bool { return slices.Contains(r.PathsToAdmin, path) })...)
	}
	if s.rbacUnread {
		r.Unknown = append(r.Unknown, access.FieldRoles)
	}
	if s.adminUnread && !r.Admin {
		r.Unknown = append(r.Unknown, access.FieldAdmin)
	}
	if request == nil {
		return
	}
	switch _, ok := s.policy.Allows(subject, *request); {
	case ok, r.Admin:
		r.Can = canYes
	case s.rbacUnread, len(r.Unknown) > 0, mayApply(r.policies, request.Namespace):
		r.Can = canUnknown
	}
}

// administersKubeSystem reports whether an access policy allows everything in the namespace kube-system. A user with such a policy can
// create tokens of controllers that are admins.
func administersKubeSystem(policies []access.AccessPolicy) bool {
	return slices.ContainsFunc(policies, func(p access.AccessPolicy) bool {
		return p.Name() == access.ClusterAdminPolicy && mayApply([]access.AccessPolicy{p}, awsauth.Namespace)
	})
}

// mayApply reports whether one of the access policies applies in a namespace. If namespace is empty, it reports whether one applies in the
// whole cluster. It doesn't examine the rights of a policy, because AWS can change these rights.
func mayApply(policies []access.AccessPolicy, namespace string) bool {
	return slices.ContainsFunc(policies, func(p access.AccessPolicy) bool {
		return p.Scope == access.ScopeCluster || slices.ContainsFunc(p.Namespaces, func(pattern string) bool {
			prefix, wildcard := strings.CutSuffix(pattern, "*")
			return namespace != "" && (pattern == namespace || wildcard && strings.HasPrefix(namespace, prefix))
		})
	})
}

// subject returns the usernames and groups of a row for the evaluation of RBAC. A username or group with a template stands for several
// names. subject adds all names that RBAC binds and that the template can render to, because callers can often choose their session name.
// For an account of mapAccounts, it returns the usernames that usersOfAccounts found.
func (s *accessSources) subject(r *row) rbac.Subject {
	subject := rbac.Subject{Groups: []string{awsauth.AuthenticatedGroup}}
	if r.Source == access.SourceMapAccounts {
		subject.Usernames = s.accountUsers[r.Principal]
		return subject
	}
	caller := access.NewCaller(r.Principal).Caller
	subject.Usernames = append(rendered(s.policy.Usernames, caller, r.Username), r.Username)
	for _, group := range r.Groups {
		subject.Groups = append(append(subject.Groups, rendered(s.policy.Groups, caller, group)...), group)
	}
	return subject
}

// rendered returns the names that RBAC binds and that a template can render to for a caller. names returns the names in RBAC that satisfy
// a condition.
func rendered(names func(func(string) bool) []string, caller awsauth.Caller, template string) []string {
	if !strings.Contains(template, "{{") {
		return nil
	}
	prefix, holds := caller.Renderings(template)
	return names(func(name string) bool { return strings.HasPrefix(name, prefix) && holds(name) })
}

// usersOfAccounts returns the usernames in RBAC that callers of an account in mapAccounts can have, by account. The username of such a
// caller is the caller's ARN. usersOfAccounts leaves out a caller if another grant applies to the caller. If the access entries can't be
// read, it doesn't know these callers, and leaves out none.
func (s *accessSources) usersOfAccounts() map[string][]string {
	mapped := make(map[string]bool)
	for i := range s.grants {
		if g := &s.grants[i]; g.State == access.StateOK && g.Source != access.SourceMapAccounts && !s.entriesUnread {
			mapped[g.Key()] = true
		}
	}
	users := make(map[string][]string)
	for _, name := range s.policy.Usernames(func(name string) bool { return strings.HasPrefix(name, "arn:") }) {
		arn, err := awsauth.ParseARN(name)
		_, session := arn.SessionRole()
		_, path := arn.WithoutPath()
		if err == nil && !session && !path && !mapped[access.CallerKey(name)] {
			users[arn.Account] = append(users[arn.Account], name)
		}
	}
	return users
}

// admits reports whether the authenticator admits a caller whose ARN matches the row.
func (r *row) admits(c awsauth.Caller) bool {
	return (&awsauth.Entry{Username: r.Username, Groups: r.Groups}).Admits(c)
}

// rowFields are the fields for --sort-by. selectorFields are the fields for --field-selector.
var (
	rowFields      = []string{"principal", "source", "username", "groups", "policies", "admin", "node", "state", "place"}
	selectorFields = []string{"principal", "source", "username", "admin", "node", "state"}
)

// field returns the value of a field as text, for sorting and selecting.
func (r *row) field(name string) string {
	switch name {
	case "principal":
		return r.Principal
	case "source":
		return string(r.Source)
	case "username":
		return r.Username
	case "groups":
		return strings.Join(r.Groups, ",")
	case "policies":
		return strings.Join(r.Policies, ",")
	case "admin":
		return strconv.FormatBool(r.Admin)
	case "node":
		return strconv.FormatBool(r.Node)
	case "state":
		return string(r.State)
	}
	return r.Place
}

// selects reports whether the flags select a row. If a field that --admins, --nodes or --can needs is unknown in the row, this flag selects
// the row. --field-selector compares the fields as the row has them.
func (o *getOptions) selects(r *row) bool {
	set := make(fields.Set, len(selectorFields))
	for _, name := range selectorFields {
		set[name] = r.field(name)
	}
	maybe := func(field string) bool {
		return r.effect && slices.Contains(r.Unknown, field) || r.Principal == "" && r.State == access.StateUnknown
	}
	return o.match.Matches(set) &&
		(!o.admins || r.Admin || len(r.PathsToAdmin) > 0 || maybe(access.FieldAdmin)) &&
		(!o.nodes || r.Node || maybe(access.FieldNode)) &&
		(o.request == nil || r.Can != "" || maybe(access.FieldGroups))
}

// sort sorts the rows by the field that --sort-by names. Rows with equal values keep their order. Without --sort-by, all rows keep their
// order.
func (o *getOptions) sort(rows []row) {
	if o.column != "" {
		slices.SortStableFunc(rows, func(a, b row) int { return cmp.Compare(a.field(o.column), b.field(o.column)) })
	}
}
