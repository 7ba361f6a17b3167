// Package metrics counts reviews for Prometheus. Every label value comes from a closed set: no
// request can add a series, and no ARN, user or group ever becomes a label.
package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	other = "other" // operation or kind that is not known
	// failure is the verdict of a review that came to none, and of any verdict that is not known.
	failure = "error"
	// internalError is the rule of a refusal that no rule made: the guard's own failure. A rule that
	// is not known is counted under it too.
	internalError = "internal-error"
)

var (
	operations = []string{"CREATE", "UPDATE", "DELETE"}
	verdicts   = []string{"allow", "warn", "deny", failure, "skipped"}
	kinds      = []string{"allow-removal", "break-glass"}
)

// Recorder counts what the webhook decides. Its methods may be called concurrently.
type Recorder struct {
	registry   *prometheus.Registry
	rules      []string
	reviews    *prometheus.CounterVec
	rejections *prometheus.CounterVec
	wouldDeny  *prometheus.CounterVec
	overrides  *prometheus.CounterVec
	panics     *prometheus.CounterVec
	duration   prometheus.Histogram
	config     configMetrics

	certificate certificateMetrics
	iam         iamMetrics
	live        liveMetrics
}

// New returns a Recorder with a registry of its own. The ids of all rules are given, because a
// series must exist before its first event: Prometheus cannot see an increase from nothing to one,
// and an alert on the first rejection would never fire.
func New(rules []string) *Recorder {
	r := &Recorder{
		registry: prometheus.NewRegistry(),
		rules:    append(slices.Clone(rules), internalError),
		config:   newConfigMetrics(),

		certificate: newCertificateMetrics(),
		iam:         newIAMMetrics(),
		live:        newLiveMetrics(),

		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_reviews_total",
			Help: "Admission reviews by operation and verdict. The verdict is allow, warn (allowed with warnings), deny, error (the guard itself failed; refused where it is not only observed) or skipped (allowed, because the object is not aws-auth).",
		}, []string{"operation", "verdict", "dry_run"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_rejections_total",
			Help: "Refused reviews by the rule that refused them; a review that several rules refuse counts once for each. The rule internal-error stands for a failure of the guard itself.",
		}, []string{"rule", "operation", "dry_run"}),
		wouldDeny: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_would_deny_total",
			Help: "Reviews that were allowed only because of who asked (EKS itself, or whoever is only observed) or because the mode is warn, by the rule that would have refused them.",
		}, []string{"rule", "dry_run"}),
		overrides: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_overrides_total",
			Help: "Reviews in which an annotation overruled the guard, by kind: break-glass or allow-removal.",
		}, []string{"kind", "dry_run"}),
		panics: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_rule_panics_total",
			Help: "Panics of a rule, each of which refused the review. The rule internal-error stands for the guard outside of its rules.",
		}, []string{"rule"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awsauth_guard_review_duration_seconds",
			Help: "Time from a decoded admission request to its response.",
			// A no-op takes tens of microseconds; the API server gives a webhook at most 30 s, 10 s by default.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	r.registry.MustRegister(
		r.reviews, r.rejections, r.wouldDeny, r.overrides, r.panics, r.duration,
		r.config.generation, r.config.reloads, r.config.successful,
		r.certificate.ends, r.certificate.caEnds, r.certificate.trusted, r.certificate.caStored,
		r.iam.lookups, r.iam.duration, r.iam.cacheHits,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	r.registry.MustRegister(r.live.collectors()...)
	r.initialise()
	return r
}

// initialise makes the series that alerts are built on: everything real, nothing of dry runs and
// of operations that the API server does not send. With 20 rules that is about 120 series.
func (r *Recorder) initialise() {
	for _, operation := range operations {
		for _, verdict := range verdicts {
			r.reviews.WithLabelValues(operation, verdict, "false")
		}
		for _, rule := range r.rules {
			r.rejections.WithLabelValues(rule, operation, "false")
		}
	}
	r.reviews.WithLabelValues(other, failure, "false") // what is no review at all
	for _, rule := range r.rules {
		r.wouldDeny.WithLabelValues(rule, "false")
		r.panics.WithLabelValues(rule)
	}
	for _, kind := range kinds {
		r.overrides.WithLabelValues(kind, "false")
	}
}

// Reviewed counts one finished review and the time that it took.
func (r *Recorder) Reviewed(operation, verdict string, dryRun bool, took time.Duration) {
	r.reviews.WithLabelValues(known(operations, operation, other), known(verdicts, verdict, failure), strconv.FormatBool(dryRun)).Inc()
	r.duration.Observe(took.Seconds())
}

// Rejected counts a review that the rule refused.
func (r *Recorder) Rejected(rule, operation string, dryRun bool) {
	r.rejections.WithLabelValues(known(r.rules, rule, internalError), known(operations, operation, other), strconv.FormatBool(dryRun)).Inc()
}

// WouldDeny counts a review that the rule would have refused to anybody else, or in another mode.
func (r *Recorder) WouldDeny(rule string, dryRun bool) {
	r.wouldDeny.WithLabelValues(known(r.rules, rule, internalError), strconv.FormatBool(dryRun)).Inc()
}

// Overridden counts a review in which an annotation overruled the guard.
func (r *Recorder) Overridden(kind string, dryRun bool) {
	r.overrides.WithLabelValues(known(kinds, kind, other), strconv.FormatBool(dryRun)).Inc()
}

// Panicked counts a panic of a rule.
func (r *Recorder) Panicked(rule string) {
	r.panics.WithLabelValues(known(r.rules, rule, internalError)).Inc()
}

// Gatherer gives what has been counted.
func (r *Recorder) Gatherer() prometheus.Gatherer { return r.registry }

// Handler serves what has been counted. Errors of gathering go to errorLog.
func (r *Recorder) Handler(errorLog promhttp.Logger) http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{ErrorLog: errorLog, EnableOpenMetrics: true})
}

// known returns value if it is one of the set, and otherwise the fallback.
func known(set []string, value, fallback string) string {
	if slices.Contains(set, value) {
		return value
	}
	return fallback
}
