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

// liveMetrics tell what is stored and whether the guard is on. What is not known has no series.
type liveMetrics struct {
	findings, entries, principals                        *prometheus.GaugeVec
	admins, missing, present, breakGlass, enforced, last *prometheus.GaugeVec
	leader, restoreReady                                 *prometheus.GaugeVec
	bypassed, historyErrors                              prometheus.Counter
	restores                                             *prometheus.CounterVec
	build                                                *prometheus.GaugeVec
}

func newLiveMetrics() liveMetrics {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "awsauth_guard_" + name, Help: help}, labels)
	}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: "awsauth_guard_" + name, Help: help}
	}
	m := liveMetrics{
		findings:      gauge("live_findings", "Findings in the stored aws-auth, judged by itself, by rule and severity.", "rule", "severity"),
		entries:       gauge("live_entries", "Entries of the stored aws-auth that are in force, by section.", "section"),
		admins:        gauge("live_admins", "Principals who get an admin group: by the stored aws-auth, or by a declared access entry that is not known as a node's."),
		missing:       gauge("live_protected_missing", "Protected principals that do not get all their groups from the stored aws-auth and have no declared access entry."),
		present:       gauge("live_present", "1 if aws-auth is stored, 0 if there is none."),
		breakGlass:    gauge("break_glass_present", "1 if the stored aws-auth has the annotation that breaks the glass, 0 if not."),
		enforced:      gauge("enforced", "1 if the API server asks this webhook about every change of aws-auth, 0 if it may not; /readyz?verbose says why."),
		last:          gauge("last_admitted_timestamp_seconds", "When this process has last admitted a change of aws-auth that was no dry run."),
		principals:    gauge("live_principals", "Principals of the stored aws-auth by what IAM knows of them: exists, missing, recreated (another one of the same name) or unknown; only on the leader and only with IAM on.", "iam"),
		build:         gauge("build_info", "1, with the version of this program and of Go.", "version", "go_version"),
		leader:        gauge("leader", "1 on the replica that keeps the history, counts bypasses and restores versions, 0 on the others."),
		restoreReady:  gauge("restore_ready", "1 if this replica would restore the last good aws-auth now, 0 if not; /readyz?verbose says why. Only with restore.enabled."),
		bypassed:      prometheus.NewCounter(counter("bypassed_changes_total", "Stored changes of aws-auth that the guard would have refused; counted by the leader.")),
		historyErrors: prometheus.NewCounter(counter("history_errors_total", "Failures to read or write the history.")),
		restores: prometheus.NewCounterVec(counter("restores_total",
			"Losses in aws-auth that the leader tried to undo, by result: restored, limited (too many within the hour) or failed."), []string{"result"}),
	}
	for _, result := range restores {
		m.restores.WithLabelValues(result)
	}
	return m
}

func (m *liveMetrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.findings, m.entries, m.principals, m.admins, m.missing, m.present, m.breakGlass, m.enforced, m.last,
		m.leader, m.restoreReady, m.bypassed, m.historyErrors, m.restores, m.build,
	}
}

func flag(v bool) float64 {
	if v {
		return 1
	}
	return 0
}

// BuildInfo says which version this is.
func (r *Recorder) BuildInfo(version string) {
	r.live.build.WithLabelValues(version, runtime.Version()).Set(1)
}

// Stored says whether aws-auth is stored, and whether it has the annotation that breaks the glass.
func (r *Recorder) Stored(present, breakGlass bool) {
	r.live.present.WithLabelValues().Set(flag(present))
	r.live.breakGlass.WithLabelValues().Set(flag(breakGlass))
}

// StoredAccess says how many principals are admins and how many protected ones do not get their groups.
func (r *Recorder) StoredAccess(admins, protectedMissing int) {
	r.live.admins.WithLabelValues().Set(float64(admins))
	r.live.missing.WithLabelValues().Set(float64(protectedMissing))
}

// StoredUnknown says that it is not known any more what is stored.
func (r *Recorder) StoredUnknown() {
	for _, gauge := range []*prometheus.GaugeVec{r.live.present, r.live.breakGlass, r.live.findings} {
		gauge.Reset()
	}
	r.StoredAccessUnknown()
}

// StoredAccessUnknown says that it is not known who has access by what is stored.
func (r *Recorder) StoredAccessUnknown() {
	for _, gauge := range []*prometheus.GaugeVec{r.live.admins, r.live.missing, r.live.entries} {
		gauge.Reset()
	}
}

// StoredEntries says how many entries of a section are in force.
func (r *Recorder) StoredEntries(section string, n int) {
	if slices.Contains(sections, section) {
		r.live.entries.WithLabelValues(section).Set(float64(n))
	}
}

// StoredFindings says how many findings each rule has, by severity; a rule that is not named has none.
func (r *Recorder) StoredFindings(count func(rule, severity string) int) {
	for _, rule := range r.rules {
		for _, severity := range severities {
			r.live.findings.WithLabelValues(rule, severity).Set(float64(count(rule, severity)))
		}
	}
}

// StoredPrincipals says how many principals of what is stored are as IAM knows them; nil is not known.
func (r *Recorder) StoredPrincipals(counts map[string]int) {
	r.live.principals.Reset()
	if counts == nil {
		return
	}
	for _, result := range storedResults {
		r.live.principals.WithLabelValues(result).Set(float64(counts[result]))
	}
}

// Enforced says whether the API server asks this webhook.
func (r *Recorder) Enforced(is bool) { r.live.enforced.WithLabelValues().Set(flag(is)) }

// EnforcedUnknown says that it is not known any more.
func (r *Recorder) EnforcedUnknown() { r.live.enforced.Reset() }

// LastAdmitted says when a change was admitted.
func (r *Recorder) LastAdmitted(at time.Time) {
	r.live.last.WithLabelValues().Set(float64(at.UnixMilli()) / 1000)
}

// Leads says whether this process is the leader.
func (r *Recorder) Leads(is bool) { r.live.leader.WithLabelValues().Set(flag(is)) }

// RestoreReady says whether this process would restore a version now.
func (r *Recorder) RestoreReady(is bool) { r.live.restoreReady.WithLabelValues().Set(flag(is)) }

// RestoreOff says that restores are off.
func (r *Recorder) RestoreOff() { r.live.restoreReady.Reset() }

// Bypassed counts a stored change that the guard would have refused.
func (r *Recorder) Bypassed() { r.live.bypassed.Inc() }

// HistoryFailed counts a failure to read or write the history.
func (r *Recorder) HistoryFailed() { r.live.historyErrors.Inc() }

// Restored counts the result of a restore: restored, limited or failed.
func (r *Recorder) Restored(result string) {
	r.live.restores.WithLabelValues(known(restores, result, "failed")).Inc()
}
