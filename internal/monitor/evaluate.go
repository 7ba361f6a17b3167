package monitor

import (
	"maps"
	"slices"
	"strings"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// evaluation is what the rules say of one version by itself.
type evaluation struct {
	summary history.Summary
	// otherAdmins are the admins by a declared access entry whom the summary doesn't count.
	otherAdmins int
	missing     []string // protected principals that don't get all their groups
	verdict     validate.Action
	rules       []string
	findings    []validate.Finding
}

// evaluate evaluates a version by itself, as in mode enforce. Nil is that there is no object, which has no findings.
func evaluate(o *awsauth.Object, policy validate.Policy) evaluation {
	policy.Mode = validate.Enforce
	access := accessOf(o, policy)
	e := evaluation{summary: access.summary(), otherAdmins: access.otherAdmins(), missing: access.missing(), verdict: validate.Allow}
	if o == nil {
		return e
	}
	v := validate.Judge(validate.Change{Operation: validate.Document, New: o}, policy)
	e.verdict, e.rules, e.findings = v.Action, v.Rules(), v.Findings
	return e
}

// count counts the findings of a rule, by severity.
func (e *evaluation) count(rule, severity string) (n int) {
	for i := range e.findings {
		if e.findings[i].Rule == rule && string(e.findings[i].Severity) == severity {
			n++
		}
	}
	return n
}

// access is the effective access of a version.
type access struct {
	loaded  *awsauth.Map
	policy  validate.Policy
	entries map[string]bool // principals with a declared access entry
}

func accessOf(o *awsauth.Object, policy validate.Policy) access {
	if o == nil {
		o = new(awsauth.Object)
	}
	a := access{loaded: o.Load(), policy: policy, entries: make(map[string]bool, len(policy.AccessEntries))}
	if len(policy.AdminGroups) == 0 {
		a.policy.AdminGroups = []string{"system:masters"}
	}
	for _, arn := range policy.AccessEntries {
		a.entries[awsauth.PrincipalKey(arn)] = true
	}
	return a
}

// isAdmin reports whether an entry lets a person in with an admin group; see package validate.
func (a *access) isAdmin(e *awsauth.Entry) bool {
	return !e.OnlyInstances() && slices.ContainsFunc(a.policy.AdminGroups, e.Gives)
}

// isNode reports whether an entry makes nodes; see package validate.
func isNode(e *awsauth.Entry) bool {
	name, ok := strings.CutPrefix(e.Username, "system:node:")
	return ok && name != "" && slices.Contains(e.Groups, "system:nodes") && !awsauth.HasUnknownTemplate(name)
}

func (a *access) summary() (s history.Summary) {
	if slices.ContainsFunc(awsauth.Sections(), func(s awsauth.Section) bool { return a.loaded.Unknown(s) != nil }) {
		return history.Summary{Unknown: true}
	}
	inForce := func(entries []awsauth.Entry) (n int) {
		for i := range entries {
			if e := &entries[i]; e.Dropped == "" && !e.Shadowed() {
				n++
			}
		}
		return n
	}
	s.Roles, s.Users, s.Accounts = inForce(a.loaded.Roles), inForce(a.loaded.Users), len(a.loaded.AllowedAccounts())
	for _, p := range a.loaded.Principals() {
		if slices.ContainsFunc(p.Matches, a.isAdmin) {
			s.Admins++
		}
		if slices.ContainsFunc(p.Matches, isNode) {
			s.Nodes++
		}
	}
	s.ProtectedMissing = len(a.missing())
	return s
}

// missing are the protected principals that do not certainly get all their groups.
func (a *access) missing() (arns []string) {
	for i := range a.policy.Protected {
		if p := &a.policy.Protected[i]; a.misses(p) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// misses reports whether a protected principal does not certainly get all its groups.
func (a *access) misses(p *validate.Protected) bool {
	if a.declares(p.ARN) {
		return false
	}
	node := slices.Contains(p.Groups, "system:nodes")
	matches := a.loaded.Resolve(p.ARN).Matches
	return len(matches) == 0 || slices.ContainsFunc(matches, func(e *awsauth.Entry) bool {
		return !node && e.OnlyInstances() || slices.ContainsFunc(p.Groups, func(g string) bool { return !e.Gives(g) })
	})
}

// otherAdmins counts the access entries that aws-auth does not count as admins and that are not known as
// nodes': what an access entry gives is not known, and who declares it takes its principal for present.
func (a *access) otherAdmins() int {
	other := maps.Clone(a.entries)
	for i := range a.policy.Protected {
		p := &a.policy.Protected[i]
		if !slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(a.policy.AdminGroups, g) }) {
			delete(other, awsauth.PrincipalKey(p.ARN))
		}
	}
	for _, p := range a.loaded.Principals() {
		delete(other, awsauth.PrincipalKey(p.ARN)) // counted, or none
	}
	return len(other)
}

// declares reports whether a principal has a declared access entry, and so gets in whatever the content.
func (a *access) declares(arn string) bool { return a.entries[awsauth.PrincipalKey(arn)] }
