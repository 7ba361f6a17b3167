package monitor

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// evaluation is the result of evaluating one version by itself. Nothing in it depends on an older version.
type evaluation struct {
	summary history.Summary
	// otherAdmins is the number of principals that are admins through access entries. The summary counts only admins
	// through aws-auth.
	otherAdmins int
	missing     []string // protected principals that lack a group or the rights of an admin
	// nodeRoles are the ARNs of the node roles in aws-auth and in the access entries. The keys are results of
	// awsauth.PrincipalKey.
	nodeRoles map[string]string
	// onlyAWSAuth are the ARNs of the principals that have access through aws-auth but have no access entry. It is
	// empty in every authentication mode but API_AND_CONFIG_MAP.
	onlyAWSAuth []string
	verdict     validate.Action
	rules       []string
	findings    []validate.Finding
}

// evaluate evaluates a version by itself, as if the guard were in mode enforce. If o is nil, aws-auth does not exist: the evaluation
// then has no findings.
func evaluate(o *awsauth.Object, policy validate.Policy) evaluation {
	policy.Mode = validate.Enforce
	effective := newAccess(o, policy)
	e := evaluation{summary: effective.summary(), otherAdmins: effective.otherAdmins(), missing: effective.missing(), nodeRoles: effective.nodeRoles(), onlyAWSAuth: effective.onlyAWSAuth(), verdict: validate.ActionAllow}
	if o == nil {
		return e
	}
	v := validate.Evaluate(validate.Change{Operation: validate.Document, New: o}, policy)
	e.verdict, e.rules, e.findings = v.Action, v.Rules(), v.Findings
	return e
}

// count returns the number of findings that have this rule and this severity.
func (e *evaluation) count(rule, severity string) (n int) {
	for i := range e.findings {
		if e.findings[i].Rule == rule && string(e.findings[i].Severity) == severity {
			n++
		}
	}
	return n
}

// accessOf holds the access that one version and the access entries together give.
type accessOf struct {
	loaded  *awsauth.Map
	policy  validate.Policy
	entries access.Entries
}

func newAccess(o *awsauth.Object, policy validate.Policy) accessOf {
	if o == nil {
		o = new(awsauth.Object)
	}
	return accessOf{o.Load(), policy, access.NewEntries(policy.Cluster, policy.AccessEntries)}
}

func (a *accessOf) summary() (s history.Summary) {
	if slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return a.loaded.Unknown(s) != nil }) {
		return history.Summary{Unknown: true}
	}
	loaded := func(entries []awsauth.Entry) (n int) {
		for i := range entries {
			if e := &entries[i]; e.Dropped == "" && !e.Shadowed() {
				n++
			}
		}
		return n
	}
	s.Roles, s.Users, s.Accounts = loaded(a.loaded.Roles), loaded(a.loaded.Users), len(a.loaded.AllowedAccounts())
	inForce := a.entries.InForce(a.loaded)
	admins, _ := access.Admins(inForce, a.policy.AdminGroups)
	s.Admins, s.Nodes, s.ProtectedMissing = len(admins), len(access.Nodes(inForce)), len(a.missing())
	return s
}

// missing returns the ARNs of the protected principals that lack one of their groups, and of those that must be admins but aren't. It
// includes a principal whose access is uncertain.
func (a *accessOf) missing() (arns []string) {
	for _, p := range a.policy.Protected {
		if !a.entries.Satisfy(p, a.loaded, a.policy.AdminGroups) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// onlyAWSAuth returns the ARNs of the principals that have access through aws-auth but have no access entry. It returns
// nil in every authentication mode but API_AND_CONFIG_MAP.
func (a *accessOf) onlyAWSAuth() (arns []string) {
	if a.policy.Cluster == nil || a.policy.Cluster.Mode != access.ModeAPIAndConfigMap {
		return nil
	}
	for _, p := range a.entries.InForce(a.loaded) {
		arns = append(arns, p.ARN)
	}
	return arns
}

// nodeRoles returns the ARNs of the node roles in aws-auth and in the cluster's access entries. The keys of the map are
// results of awsauth.PrincipalKey. Access entries that only the configuration declares don't count.
func (a *accessOf) nodeRoles() map[string]string {
	byKey := make(map[string]string)
	for _, arn := range append(access.Nodes(a.entries.InForce(a.loaded)), a.entries.Nodes()...) {
		byKey[awsauth.PrincipalKey(arn)] = arn
	}
	return byKey
}

// otherAdmins returns the number of principals that are admins through access entries.
//
// If the cluster's access entries are unknown, otherAdmins counts the principals of the declared access entries,
// because each of them may be an admin. It then leaves out principals that aws-auth also has, and protected principals
// that don't have to be admins.
func (a *accessOf) otherAdmins() int {
	if a.policy.Cluster != nil {
		return len(a.entries.Admins(a.policy.AdminGroups))
	}
	other := maps.Clone(a.entries.Declared())
	for _, p := range a.policy.Protected {
		if !p.Admin && !slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(access.OrMasters(a.policy.AdminGroups), g) }) {
			delete(other, awsauth.PrincipalKey(p.ARN))
		}
	}
	for _, p := range a.loaded.Principals() {
		delete(other, awsauth.PrincipalKey(p.ARN)) // if this principal is an admin, the summary counts it
	}
	return len(other)
}
