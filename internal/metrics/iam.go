package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var lookupResults = []string{"exists", "missing", "unknown"}

// iamMetrics tell what IAM says of principals, and how long that takes.
type iamMetrics struct {
	lookups   *prometheus.CounterVec
	duration  prometheus.Histogram
	cacheHits prometheus.Counter
}

func newIAMMetrics() iamMetrics {
	m := iamMetrics{
		lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_iam_lookups_total",
			Help: "Principals that IAM was to be asked for, by what came of it: exists, missing (IAM said so twice) or unknown (no permission, no answer in time, any other failure, of the guard itself too).",
		}, []string{"result"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awsauth_guard_iam_lookup_duration_seconds",
			Help: "Time from the question for one principal to its result, where it could be asked. What is missing takes at least a second, because IAM is asked again.",
			// A call takes some tens of milliseconds; the budget is 2 s by default, and 15 s are half of what a webhook can get.
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 1.5, 2, 5, 10, 15},
		}),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "awsauth_guard_iam_cache_hits_total",
			Help: "Principals that were known from an earlier lookup.",
		}),
	}
	for _, result := range lookupResults {
		m.lookups.WithLabelValues(result)
	}
	return m
}

// LookedUp counts a principal that IAM was asked for, and the time until the result.
func (r *Recorder) LookedUp(result string, took time.Duration) {
	r.iam.lookups.WithLabelValues(known(lookupResults, result, "unknown")).Inc()
	r.iam.duration.Observe(took.Seconds())
}

// Unasked counts principals that are unknown because the guard itself could not ask for them. They have no
// duration: answers that took no time would make IAM look fast.
func (r *Recorder) Unasked(principals int) {
	r.iam.lookups.WithLabelValues("unknown").Add(float64(principals))
}

// CacheHit counts a principal that IAM was not asked for again.
func (r *Recorder) CacheHit() { r.iam.cacheHits.Inc() }
