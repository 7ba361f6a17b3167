package metrics

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	sections      = []string{"mapRoles", "mapUsers", "mapAccounts"}
	severities    = []string{"deny", "warn"}
	restores      = []string{"restored", "limited", "failed"}
	storedResults = []string{"exists", "missing", "recreated", "unknown"}
)

// storedMetrics describe the stored aws-auth and the state of the guard. A gauge whose value is unknown has no series.
type storedMetrics struct {
	findings, entries, principals                                   *prometheus.GaugeVec
	admins, nodeRoles, missing, present, breakGlass, enforced, last *prometheus.GaugeVec
	leader, restoreReady                                            *prometheus.GaugeVec
	bypassed, historyErrors                                         prometheus.Counter
	restores                                                        *prometheus.CounterVec
	build                                                           *prometheus.GaugeVec
}

func newStoredMetrics() storedMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "awsauth_guard_" + name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "awsauth_guard_" + name, Help: help}
	}
	m := storedMetrics{
		findings:      gauge("live_findings", "Findings in the stored aws-auth, evaluated without an older version, by rule and severity.", "rule", "severity"),
		entries:       gauge("live_entries", "Entries of the stored aws-auth that are in force, by section.", "section"),
		admins:        gauge("live_admins", "Principals with admin rights, from the stored aws-auth or from an access entry. If eks.enabled is false, the principals in guardConfig.accessEntries count unless they are known not to be admins."),
		nodeRoles:     gauge("live_node_roles", "Node roles, from the stored aws-auth or from an access entry for nodes."),
		missing:       gauge("live_protected_missing", "Protected principals that lack one of their groups or the rights of an admin, counting the stored aws-auth and access entries."),
		present:       gauge("live_present", "1 if aws-auth exists, 0 if not."),
		breakGlass:    gauge("break_glass_present", "1 if the stored aws-auth has the break-glass annotation, 0 if not."),
		enforced:      gauge("enforced", "1 if the API server calls this webhook for every change of aws-auth, 0 if it may leave some out; /readyz?verbose shows the reason."),
		last:          gauge("last_admitted_timestamp_seconds", "Time when this process last admitted a change of aws-auth, without dry runs."),
		principals:    gauge("live_principals", "Principals of the stored aws-auth by their result in IAM: exists, missing, recreated (deleted and made again with the same name) or unknown; only on the leader, and only with iam.mode warn or deny.", "iam"),
		build:         gauge("build_info", "1, with the version of this program and of Go.", "version", "go_version"),
		leader:        gauge("leader", "1 on the replica that writes the history, counts bypasses and restores versions, 0 on the others."),
		restoreReady:  gauge("restore_ready", "1 if this replica could restore the last good aws-auth now, 0 if not; /readyz?verbose shows the reason. Only with restore.enabled."),
		bypassed:      prometheus.NewCounter(counter("bypassed_changes_total", "Stored changes of aws-auth that the guard would have refused; counted by the leader.")),
		historyErrors: prometheus.NewCounter(counter("history_errors_total", "Failures to read or write the history.")),
		restores: prometheus.NewCounterVec(counter("restores_total",
			"Losses of access in aws-auth that the leader tried to undo, by result: restored, limited (too many within an hour) or failed."), []string{"result"}),
	}
	for _, result := range restores {
		m.restores.WithLabelValues(result)
	}
	return m
}

func (m *storedMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.findings, m.entries, m.principals, m.admins, m.nodeRoles, m.missing, m.present, m.breakGlass, m.enforced, m.last,
		m.leader, m.restoreReady, m.bypassed, m.historyErrors, m.restores, m.build,
	}
}

func boolValue(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

// BuildInfo records the version of this program and of Go.
func (r *Recorder) BuildInfo(version string) {
	r.stored.build.WithLabelValues(version, runtime.Version()).Set(1)
}

// Stored records whether aws-auth exists, and whether it has the break-glass annotation.
func (r *Recorder) Stored(present, breakGlass bool) {
	r.stored.present.WithLabelValues().Set(boolValue(present))
	r.stored.breakGlass.WithLabelValues().Set(boolValue(breakGlass))
}

// StoredAccess records three numbers: admins, node roles, and protected principals that lack a group or the rights of
// an admin.
func (r *Recorder) StoredAccess(admins, nodeRoles, protectedMissing int) {
	r.stored.nodeRoles.WithLabelValues().Set(float64(nodeRoles))
	r.stored.admins.WithLabelValues().Set(float64(admins))
	r.stored.missing.WithLabelValues().Set(float64(protectedMissing))
}

// StoredUnknown removes the series of the stored aws-auth, except those of StoredPrincipals. The caller calls it if the stored
// version is not known any more.
func (r *Recorder) StoredUnknown() {
	for _, gauge := range []*prometheus.GaugeVec{r.stored.present, r.stored.breakGlass, r.stored.findings} {
		gauge.Reset()
	}
	r.StoredAccessUnknown()
}

// StoredAccessUnknown removes the series of the effective access. The caller calls it if the effective access is
// unknown.
func (r *Recorder) StoredAccessUnknown() {
	for _, gauge := range []*prometheus.GaugeVec{r.stored.admins, r.stored.nodeRoles, r.stored.missing, r.stored.entries} {
		gauge.Reset()
	}
}

// StoredEntries records how many entries of a section are in force.
func (r *Recorder) StoredEntries(section string, n int) {
	if slices.Contains(sections, section) {
		r.stored.entries.WithLabelValues(section).Set(float64(n))
	}
}

// StoredFindings records the number of findings of each rule and severity. count returns 0 for a rule without findings.
func (r *Recorder) StoredFindings(count func(rule, severity string) int) {
	for _, rule := range r.rules {
		for _, severity := range severities {
			r.stored.findings.WithLabelValues(rule, severity).Set(float64(count(rule, severity)))
		}
	}
}

// StoredPrincipals records the number of principals in the stored aws-auth by the result of the lookup in IAM. Nil
// removes the metric.
func (r *Recorder) StoredPrincipals(counts map[string]int) {
	r.stored.principals.Reset()
	if counts == nil {
		return
	}
	for _, result := range storedResults {
		r.stored.principals.WithLabelValues(result).Set(float64(counts[result]))
	}
}

// Enforced records whether the API server calls this webhook for every change of aws-auth.
func (r *Recorder) Enforced(enforced bool) {
	r.stored.enforced.WithLabelValues().Set(boolValue(enforced))
}

// EnforcedUnknown removes the series of Enforced. The caller calls it if it is unknown whether the API server calls
// this webhook.
func (r *Recorder) EnforcedUnknown() { r.stored.enforced.Reset() }

// LastAdmitted records when the guard last admitted a change.
func (r *Recorder) LastAdmitted(at time.Time) {
	r.stored.last.WithLabelValues().Set(float64(at.UnixMilli()) / 1000)
}

// Leads records whether this process is the leader.
func (r *Recorder) Leads(leads bool) { r.stored.leader.WithLabelValues().Set(boolValue(leads)) }

// RestoreReady records whether this process would restore after a loss now.
func (r *Recorder) RestoreReady(ready bool) {
	r.stored.restoreReady.WithLabelValues().Set(boolValue(ready))
}

// RestoreOff removes the series of RestoreReady. The caller calls it if restores are off.
func (r *Recorder) RestoreOff() { r.stored.restoreReady.Reset() }

// Bypassed counts a stored change that the guard would have refused.
func (r *Recorder) Bypassed() { r.stored.bypassed.Inc() }

// HistoryFailed counts a failed read or write of the history.
func (r *Recorder) HistoryFailed() { r.stored.historyErrors.Inc() }

// Restored counts a restore by its result: restored, limited or failed.
func (r *Recorder) Restored(result string) {
	r.stored.restores.WithLabelValues(oneOf(restores, result, "failed")).Inc()
}
