package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	entryStates = []string{"ok", "stale", "missing", "unknown"}
	entryLosses = []string{"protected-principal", "last-admin", "node-role"}
)

// eksMetrics describe the reads of the cluster's access entries.
type eksMetrics struct {
	reads   *prometheus.CounterVec
	entries *prometheus.GaugeVec
	states  *prometheus.GaugeVec
	known   *prometheus.GaugeVec
	losses  *prometheus.CounterVec
	last    *prometheus.GaugeVec
	without prometheus.Counter
}

func newEKSMetrics() eksMetrics {
	m := eksMetrics{
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_eks_reads_total",
			Help: "Reads of the cluster's access entries from EKS, by result: ok or failed.",
		}, []string{"result"}),
		entries: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awsauth_guard_eks_access_entries",
			Help: "Access entries in the last successful read of the cluster: declared counts those that the field accessEntries of the configuration lists, undeclared counts the others, and absent counts the listed ones that EKS doesn't have.",
		}, []string{"configuration"}),
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awsauth_guard_access_entries",
			Help: "Access entries of the cluster compared with IAM, by state: ok, stale (the principal was deleted and created again, so the access entry matches no caller), missing (IAM has no such principal) or unknown; only on the leader, and only with EKS and IAM on.",
		}, []string{"state"}),
		known: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awsauth_guard_eks_access_entries_known",
			Help: "1 if the reviews of this process count the cluster's access entries, 0 if they are unknown because the last successful read was too long ago or there was none; only with eks.enabled.",
		}, nil),
		losses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_access_entry_losses_total",
			Help: "Reads of the access entries that show a loss of access since the read before, by kind: protected-principal, last-admin or node-role; counted by the leader.",
		}, []string{"kind"}),
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awsauth_guard_eks_last_read_timestamp_seconds",
			Help: "Time of the last successful read of the cluster's access entries.",
		}, nil),
		without: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awsauth_guard_reviews_without_access_entries_total",
			Help: "Reviews that the guard evaluated without the cluster's access entries, although eks.enabled is true, because the last successful read was too long ago or there was none.",
		}),
	}
	for _, result := range []string{"ok", "failed"} {
		m.reads.WithLabelValues(result)
	}
	for _, kind := range entryLosses {
		m.losses.WithLabelValues(kind)
	}
	return m
}

// EKSKnown records whether reviews use the cluster's access entries.
func (r *Recorder) EKSKnown(known bool) { r.eks.known.WithLabelValues().Set(boolValue(known)) }

// AccessEntryLost counts a read of the access entries that shows a loss of access since the read before. The kind is
// protected-principal, last-admin or node-role.
func (r *Recorder) AccessEntryLost(kind string) {
	r.eks.losses.WithLabelValues(oneOf(entryLosses, kind, "protected-principal")).Inc()
}

// EKSRead counts a read of the cluster's access entries, and records the time of a successful read. err is why the read failed, or nil.
func (r *Recorder) EKSRead(err error, now time.Time) {
	if err != nil {
		r.eks.reads.WithLabelValues("failed").Inc()
		return
	}
	r.eks.reads.WithLabelValues("ok").Inc()
	r.eks.last.WithLabelValues().Set(float64(now.UnixMilli()) / 1000)
}

// AccessEntries records three numbers of access entries. declared is the number of access entries that both EKS and the configuration
// have. undeclared is the number that only EKS has, and absent is the number that only the configuration has.
func (r *Recorder) AccessEntries(declared, undeclared, absent int) {
	for label, n := range map[string]int{"declared": declared, "undeclared": undeclared, "absent": absent} {
		r.eks.entries.WithLabelValues(label).Set(float64(n))
	}
}

// AccessEntryStates records the number of access entries by state: ok, stale, missing or unknown. Nil removes the metric.
func (r *Recorder) AccessEntryStates(counts map[string]int) {
	r.eks.states.Reset()
	if counts == nil {
		return
	}
	for _, state := range entryStates {
		r.eks.states.WithLabelValues(state).Set(float64(counts[state]))
	}
}

// EKSUnused removes the metrics of the last read. The caller calls it if eks.enabled is false.
func (r *Recorder) EKSUnused() {
	r.eks.entries.Reset()
	r.eks.last.Reset()
	r.eks.known.Reset()
}

// WithoutAccessEntries counts a review that the guard evaluated without the cluster's access entries. The caller counts only
// reviews with a finding of the rule access-entries-unknown.
func (r *Recorder) WithoutAccessEntries() { r.eks.without.Inc() }
