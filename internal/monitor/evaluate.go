package monitor

import (
	"maps"
	"slices"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// evaluation is the result of evaluating one version without an older one.
type evaluation struct {
	summary history.Summary
	// otherAdmins counts admins by access entries, which the summary does not count.
	otherAdmins int
	missing     []string // protected principals that lack a group or the rights of an admin
	// nodeRoles are the ARNs of the node roles from both sources, by awsauth.PrincipalKey.
	nodeRoles map[string]string
	// onlyAWSAuth are the ARNs of the principals whose access comes from aws-auth. It is nil unless the mode is API_AND_CONFIG_MAP.
	onlyAWSAuth []string
	verdict     validate.Action
	rules       []string
	findings    []validate.Finding
}

// evaluate evaluates a version without an older one, in mode enforce. A nil object has no findings.
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

// missing returns the protected principals that don't certainly get all their groups or, if they must be admins, aren't certainly admins.
func (a *accessOf) missing() (arns []string) {
	for _, p := range a.policy.Protected {
		if !a.entries.Satisfy(p, a.loaded, a.policy.AdminGroups) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// onlyAWSAuth returns the ARNs of the principals whose access comes from aws-auth although the cluster may have access entries.
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

// otherAdmins counts the admins by access entries. Of declared access entries it counts those that may belong to admins: those that
// aws-auth does not count as admins, and that are not known to be nodes. The guard does not know which access a declared access entry
// grants. An operator who declares one says that its principal has access.
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
