package live

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// picture is what a content of aws-auth comes to.
type picture struct {
	summary history.Summary
	// admins counts, beside those of the summary, who gets in by a declared access entry.
	admins   int
	missing  []string // protected principals
	verdict  validate.Action
	rules    []string
	findings []validate.Finding
}

// sees takes in whether the watch shows what is stored, or has not for long.
func (l *Live) sees(is bool) {
	l.mu.Lock()
	l.blind = !is
	l.mu.Unlock()
	l.picture(false)
}

// picture judges what is stored and records it.
func (l *Live) picture(changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.survive("picture", func() error { l.draw(changed); return nil }); err != nil {
		l.before = nil
		l.o.Recorder.StoredUnknown()
	}
}

// draw does the work of picture. The lock is held.
func (l *Live) draw(changed bool) {
	if !l.ledger.known {
		return
	}
	if l.blind {
		l.o.Recorder.StoredUnknown()
		return
	}
	cm := l.ledger.latest.object
	p := look(objectOf(cm), l.o.Policy())
	r := l.o.Recorder
	r.Stored(cm != nil, breaksGlass(cm), p.summary.Admins+p.admins, p.summary.ProtectedMissing)
	r.StoredEntries(string(awsauth.MapRoles), p.summary.Roles)
	r.StoredEntries(string(awsauth.MapUsers), p.summary.Users)
	r.StoredEntries(string(awsauth.MapAccounts), p.summary.Accounts)
	r.StoredFindings(p.count)
	if before := l.before; changed && before != nil && slices.ContainsFunc(p.missing, func(arn string) bool { return !slices.Contains(before.missing, arn) }) && l.o.Election.IsLeader() {
		l.o.Events.Warn(ProtectedPrincipalLost, counted(p.summary.ProtectedMissing, "protected principal does", "protected principals do")+" not get all their groups from the stored aws-auth")
	}
	l.before = &p
}

// look judges a content by itself, as if the guard enforced. nil is that there is none, in which there is
// nothing to find.
func look(o *awsauth.Object, policy validate.Policy) picture {
	policy.Mode = validate.Enforce
	access := accessOf(o, policy)
	p := picture{summary: access.summary(), admins: access.admins(), missing: access.missing(), verdict: validate.Allow}
	if o == nil {
		return p
	}
	v := validate.Judge(validate.Change{Operation: validate.Document, New: o}, policy)
	p.verdict, p.rules, p.findings = v.Action, v.Rules(), v.Findings
	return p
}

// count counts the findings of a rule, by severity.
func (p *picture) count(rule, severity string) (n int) {
	for i := range p.findings {
		if p.findings[i].Rule == rule && string(p.findings[i].Severity) == severity {
			n++
		}
	}
	return n
}

// objectOf is a ConfigMap as the rules see it; nil stays nil.
func objectOf(cm *corev1.ConfigMap) *awsauth.Object {
	if cm == nil {
		return nil
	}
	o := &awsauth.Object{
		Data: cm.Data, BinaryData: slices.Sorted(maps.Keys(cm.BinaryData)),
		Immutable: cm.Immutable != nil && *cm.Immutable, Annotations: make(map[string]string),
	}
	for key, value := range cm.Annotations {
		if strings.HasPrefix(key, validate.AnnotationPrefix) {
			o.Annotations[key] = value
		}
	}
	return o
}

// access is who gets in by a content.
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

// admins counts the access entries that aws-auth does not count as admins and that are not known as
// nodes': what an access entry gives is not known, and who declares it takes its principal for present.
func (a *access) admins() int {
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

// nodes are the node roles that a content lets in.
func (a *access) nodes() (arns []string) {
	for _, p := range a.loaded.Principals() {
		if slices.ContainsFunc(p.Matches, isNode) {
			arns = append(arns, p.ARN)
		}
	}
	return arns
}

// declares reports whether a principal has a declared access entry, and so gets in whatever the content.
func (a *access) declares(arn string) bool { return a.entries[awsauth.PrincipalKey(arn)] }
