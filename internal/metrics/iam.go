package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var lookupResults = []string{"exists", "missing", "unknown"}

// iamMetrics describe the lookups of principals in IAM.
type iamMetrics struct {
	lookups   *prometheus.CounterVec
	duration  prometheus.Histogram
	cacheHits prometheus.Counter
}

func newIAMMetrics() iamMetrics {
	m := iamMetrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_iam_lookups_total",
			Help: "Lookups of principals in IAM, by result: exists, missing (confirmed by a second call) or unknown (no permission, timeout, or any other failure of IAM or of the guard).",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awsauth_guard_iam_lookup_duration_seconds",
			Help: "Time to look up one principal in IAM. A missing principal takes at least a second, because a second call confirms it.",
			// A call takes some tens of milliseconds. A review waits at most for iam.budget, which is 2 s by default and at
			// most 15 s.
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 1.5, 2, 5, 10, 15},
		}),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awsauth_guard_iam_cache_hits_total",
			Help: "Principals for which the cache had an answer, so that the guard did not look them up.",
		}),
	}
	for _, result := range lookupResults {
		m.lookups.WithLabelValues(result)
	}
	return m
}

// LookedUp counts a lookup of a principal in IAM, and records the time that it took.
func (r *Recorder) LookedUp(result string, took time.Duration) {
	r.iam.lookups.WithLabelValues(oneOf(lookupResults, result, "unknown")).Inc()
	r.iam.duration.Observe(took.Seconds())
}

// Unasked counts principals that are unknown because the guard did not look them up. It records no duration, because
// durations of zero would make IAM look fast.
func (r *Recorder) Unasked(principals int) {
	r.iam.lookups.WithLabelValues("unknown").Add(float64(principals))
}

// CacheHit counts a principal for which the cache had an answer. LookedUp doesn't count such a principal.
func (r *Recorder) CacheHit() { r.iam.cacheHits.Inc() }
