package monitor

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// evaluation is the result of evaluating one version by itself, without comparing it with an older version.
type evaluation struct {
	summary history.Summary
	// otherAdmins is the number of admins that only access entries make admins. The summary does not count them.
	otherAdmins int
	missing     []string // protected principals that lack a group or the rights of an admin
	// nodeRoles are the ARNs of the node roles from both sources, by awsauth.PrincipalKey.
	nodeRoles map[string]string
	// onlyAWSAuth are the ARNs of the principals that have access by aws-auth and no access entry. It is nil unless the authentication
	// mode is API_AND_CONFIG_MAP.
	onlyAWSAuth []string
	verdict     validate.Action
	rules       []string
	findings    []validate.Finding
}

// evaluate evaluates a version by itself, in mode enforce. A nil object has no findings.
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

// count returns the number of findings of a rule with a severity.
func (e *evaluation) count(rule, severity string) (n int) {
	for i := range e.findings {
		if e.findings[i].Rule == rule && string(e.findings[i].Severity) == severity {
			n++
		}
	}
	return n
}

// accessOf describes the effective access of a version.
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

// missing returns the ARNs of the protected principals that lack one of their groups, or must be admins and aren't. A principal whose
// access is uncertain counts as missing.
func (a *accessOf) missing() (arns []string) {
	for _, p := range a.policy.Protected {
		if !a.entries.Satisfy(p, a.loaded, a.policy.AdminGroups) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// onlyAWSAuth returns the ARNs of the principals that have access by aws-auth and no access entry, if the authentication mode is
// API_AND_CONFIG_MAP.
func (a *accessOf) onlyAWSAuth() (arns []string) {
	if a.policy.Cluster == nil || a.policy.Cluster.Mode != access.ModeAPIAndConfigMap {
		return nil
	}
	for _, p := range a.entries.InForce(a.loaded) {
		arns = append(arns, p.ARN)
	}
	return arns
}

// nodeRoles returns the ARNs of the node roles, from aws-auth and from access entries, by awsauth.PrincipalKey. Declared access entries
// don't count.
func (a *accessOf) nodeRoles() map[string]string {
	byKey := make(map[string]string)
	for _, arn := range append(access.Nodes(a.entries.InForce(a.loaded)), a.entries.Nodes()...) {
		byKey[awsauth.PrincipalKey(arn)] = arn
	}
	return byKey
}

// otherAdmins counts the principals that only access entries make admins. If the cluster's access entries are unknown, it counts the
// principals of the declared access entries, because the guard doesn't know which access a declared access entry grants. It leaves out
// principals in aws-auth, and protected principals that need no admin group.
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
		delete(other, awsauth.PrincipalKey(p.ARN)) // the summary counts it, or it is not an admin
	}
	return len(other)
}
