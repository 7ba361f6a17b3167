package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// eksMetrics describe the reads of the cluster's access entries.
type eksMetrics struct {
	reads   *prometheus.CounterVec
	entries *prometheus.GaugeVec
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
		last: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "awsauth_guard_eks_last_read_timestamp_seconds",
			Help: "Time of the last successful read of the cluster's access entries.",
		}, nil),
		without: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awsauth_guard_reviews_without_access_entries_total",
			Help: "Reviews that the guard evaluated without the cluster's access entries, although eks.enabled is true, because the last successful read was too long ago.",
		}),
	}
	for _, result := range []string{"ok", "failed"} {
		m.reads.WithLabelValues(result)
	}
	return m
}

// EKSRead counts a read of the cluster.
func (r *Recorder) EKSRead(err error, now time.Time) {
	if err != nil {
		r.eks.reads.WithLabelValues("failed").Inc()
		return
	}
	r.eks.reads.WithLabelValues("ok").Inc()
	r.eks.last.WithLabelValues().Set(float64(now.UnixMilli()) / 1000)
}

// AccessEntries records the number of access entries: those that the configuration declares, the others, and the declared ones that EKS
// doesn't have.
func (r *Recorder) AccessEntries(declared, undeclared, absent int) {
	for label, n := range map[string]int{"declared": declared, "undeclared": undeclared, "absent": absent} {
		r.eks.entries.WithLabelValues(label).Set(float64(n))
	}
}

// EKSUnused removes the metrics of the last read.
func (r *Recorder) EKSUnused() {
	r.eks.entries.Reset()
	r.eks.last.Reset()
}

// WithoutAccessEntries counts a review that the guard evaluated without the cluster's access entries.
func (r *Recorder) WithoutAccessEntries() { r.eks.without.Inc() }
