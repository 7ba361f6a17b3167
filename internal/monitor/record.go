package monitor

import (
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// baseline is the part of an evaluation with which the monitor compares the next evaluation.
type baseline struct {
	missing   []string          // protected principals that lack a group or the rights of an admin
	admins    int               // number of admins by the stored version and by access entries
	nodeRoles map[string]string // ARNs of the node roles by the stored version and by access entries; the keys are from awsauth.PrincipalKey
}

// record evaluates the stored version and records metrics. If access was lost since the last call, the leader writes an Event with the
// reason loss. If loss is empty, it writes no Event. The caller holds the lock.
func (m *Monitor) record(loss kube.Reason) {
	if m.unknown = m.isUnknown(); m.unknown {
		m.o.Recorder.StoredUnknown()
		return
	}
	if err := m.recoverPanic("metrics", func() error {
		policy := m.o.Policy()
		m.recordMetrics(evaluate(kube.Object(m.stored), policy), &policy, loss)
		return nil
	}); err != nil {
		m.o.Recorder.StoredUnknown()
	}
}

// recordMetrics records the metrics of an evaluation and writes Events. loss is as in record. While the access entries
// are unknown, recordMetrics removes the metrics of access, because they would show a loss for each principal that has
// only an access entry.
func (m *Monitor) recordMetrics(e evaluation, policy *validate.Policy, loss kube.Reason) {
	r := m.o.Recorder
	r.Stored(m.stored != nil, hasBreakGlass(m.stored))
	r.StoredFindings(e.count)
	if e.summary.Unknown || policy.ClusterUnknown != "" {
		r.StoredAccessUnknown()
		return
	}
	admins := e.summary.Admins + e.otherAdmins
	r.StoredAccess(admins, len(e.nodeRoles), e.summary.ProtectedMissing)
	r.StoredEntries(string(awsauth.MapRoles), e.summary.Roles)
	r.StoredEntries(string(awsauth.MapUsers), e.summary.Users)
	r.StoredEntries(string(awsauth.MapAccounts), e.summary.Accounts)
	m.logOnlyAWSAuth(e.onlyAWSAuth)
	before := m.last
	if loss == kube.AccessEntryLost {
		before = m.known // compare two evaluations with known access entries
	}
	if m.last = (&baseline{e.missing, admins, e.nodeRoles}); policy.Cluster != nil {
		m.known = m.last
	}
	switch {
	case loss == "" || before == nil || !m.o.Election.IsLeader():
	case loss == kube.AccessEntryLost:
		m.reportEntryLosses(before, m.last)
	case before.losesProtected(m.last):
		m.o.Events.Warn(loss, lacking(len(e.missing))+" from the stored aws-auth")
	}
}

// maxLogged limits the number of principals that a log line names.
const maxLogged = 20

// logOnlyAWSAuth logs the principals that have no access entry. They would lose their access in the authentication mode API. Only the
// leader logs them: when they change, and otherwise once an hour.
func (m *Monitor) logOnlyAWSAuth(arns []string) {
	var condition error
	if len(arns) > 0 && m.o.Election.IsLeader() {
		condition = errors.New(strings.Join(arns, " "))
	}
	if m.onlyAWSAuth.ShouldLog(m.o.Now(), condition) {
		m.log.Info("principals without an access entry would lose their access in the authentication mode API", "count", len(arns), "principals", arns[:min(len(arns), maxLogged)])
	}
}

// losesProtected reports whether after has a protected principal that lacks a group or the rights of an admin, although the same
// principal lacked nothing in b.
func (b *baseline) losesProtected(after *baseline) bool {
	return slices.ContainsFunc(after.missing, func(arn string) bool { return !slices.Contains(b.missing, arn) })
}

// lacking returns the beginning of a sentence. It says that n protected principals don't get all groups or admin rights that the
// configuration declares for them.
func lacking(n int) string {
	return counted(n, "protected principal does", "protected principals do") + " not get all declared groups or admin rights"
}

// hasBreakGlass reports whether an object has the break-glass annotation.
func hasBreakGlass(cm *corev1.ConfigMap) bool {
	return cm != nil && strings.TrimSpace(cm.Annotations[validate.BreakGlassAnnotation]) != ""
}
