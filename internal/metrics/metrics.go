// Package metrics exposes Prometheus metrics of the webhook. Every label value comes from a closed set, so requests can add
// only a limited number of series, such as those of dry runs. No label value is an ARN, a username or a group.
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
	// other replaces an operation or kind outside of the closed set.
	other = "other"
	// failure is the verdict of a review that failed. It also replaces a verdict outside of the closed set.
	failure = "error"
	// internalError is the rule in the metrics if the guard itself failed, outside of the rules. It also replaces a rule
	// outside of the closed set.
	internalError = "internal-error"
)

var (
	operations = []string{"CREATE", "UPDATE", "DELETE"}
	verdicts   = []string{"allow", "warn", "deny", failure, "skipped"}
	kinds      = []string{"allow-removal", "break-glass"}
)

// Recorder records the metrics. It allows concurrent calls.
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
	eks         eksMetrics
	stored      storedMetrics
}

// New returns a Recorder with its own registry. rules are the ids of all rules. New creates a series for each rule, because
// a series must exist before its first event. For Prometheus, a new series with the value 1 is no increase, so an alert on
// the first rejection would not fire.
func New(rules []string) *Recorder {
	r := &Recorder{
		registry: prometheus.NewRegistry(),
		rules:    append(slices.Clone(rules), internalError),
		config:   newConfigMetrics(),

		certificate: newCertificateMetrics(),
		iam:         newIAMMetrics(),
		eks:         newEKSMetrics(),
		stored:      newStoredMetrics(),

		reviews: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_reviews_total",
			Help: "Admission reviews by operation and verdict. The verdict is allow, warn (allowed with warnings), deny, error (the guard itself failed; it refuses the request, unless the request came on /observe-aws-auth or the requester is EKS) or skipped (allowed, because the object is not aws-auth).",
		}, []string{"operation", "verdict", "dry_run"}),
		rejections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_rejections_total",
			Help: "Refused reviews by rule; a review that several rules refuse counts once for each of them. The rule internal-error means a failure of the guard itself.",
		}, []string{"rule", "operation", "dry_run"}),
		wouldDeny: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_would_deny_total",
			Help: "Reviews that a rule would have refused, by this rule. The guard allowed them because the mode is warn, or because the requester is EKS, a member of the bypass group, or the guard itself during a restore.",
		}, []string{"rule", "dry_run"}),
		overrides: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_overrides_total",
			Help: "Reviews in which the guard honoured an override annotation, by kind: break-glass or allow-removal.",
		}, []string{"kind", "dry_run"}),
		panics: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_rule_panics_total",
			Help: "Panics by rule. A panic of a rule counts as a denial of the change. The rule internal-error means a panic outside of the rules, which does not always refuse a change.",
		}, []string{"rule"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "awsauth_guard_review_duration_seconds",
			Help: "Time from a decoded admission request to its response.",
			// A review of an unchanged object takes tens of microseconds. The API server waits at most 30 s for a webhook,
			// 10 s by default.
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
	}
	r.registry.MustRegister(
		r.reviews, r.rejections, r.wouldDeny, r.overrides, r.panics, r.duration,
		r.config.generation, r.config.reloads, r.config.successful,
		r.certificate.expiry, r.certificate.caExpiry, r.certificate.trusted, r.certificate.caStored,
		r.iam.lookups, r.iam.duration, r.iam.cacheHits,
		r.eks.reads, r.eks.entries, r.eks.states, r.eks.known, r.eks.losses, r.eks.last, r.eks.without,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	r.registry.MustRegister(r.stored.collectors()...)
	r.initSeries()
	return r
}

// initSeries creates the series that alerts use. It creates no series for dry runs, and none for operations that the API
// server does not send. It creates five series for each rule, and about twenty others.
func (r *Recorder) initSeries() {
	for _, operation := range operations {
		for _, verdict := range verdicts {
			r.reviews.WithLabelValues(operation, verdict, "false")
		}
		for _, rule := range r.rules {
			r.rejections.WithLabelValues(rule, operation, "false")
		}
	}
	r.reviews.WithLabelValues(other, failure, "false") // a body that is not an AdmissionReview
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
	r.reviews.WithLabelValues(oneOf(operations, operation, other), oneOf(verdicts, verdict, failure), strconv.FormatBool(dryRun)).Inc()
	r.duration.Observe(took.Seconds())
}

// Rejected counts a review that a rule refused.
func (r *Recorder) Rejected(rule, operation string, dryRun bool) {
	r.rejections.WithLabelValues(oneOf(r.rules, rule, internalError), oneOf(operations, operation, other), strconv.FormatBool(dryRun)).Inc()
}

// WouldDeny counts a review in which a rule denied the change but the guard admitted it: in mode warn, on the observing
// path, for a request by EKS, or for a restore by the guard.
func (r *Recorder) WouldDeny(rule string, dryRun bool) {
	r.wouldDeny.WithLabelValues(oneOf(r.rules, rule, internalError), strconv.FormatBool(dryRun)).Inc()
}

// Overridden counts a review in which the guard honoured an override annotation.
func (r *Recorder) Overridden(kind string, dryRun bool) {
	r.overrides.WithLabelValues(oneOf(kinds, kind, other), strconv.FormatBool(dryRun)).Inc()
}

// Panicked counts a panic of a rule. The rule internal-error stands for a panic outside of the rules.
func (r *Recorder) Panicked(rule string) {
	r.panics.WithLabelValues(oneOf(r.rules, rule, internalError)).Inc()
}

// Gatherer returns the registry, from which a test or an exporter can read the metrics.
func (r *Recorder) Gatherer() prometheus.Gatherer { return r.registry }

// Handler returns a handler that serves the metrics. It logs errors to errorLog.
func (r *Recorder) Handler(errorLog promhttp.Logger) http.Handler {
	return promhttp.HandlerFor(r.registry, promhttp.HandlerOpts{ErrorLog: errorLog, EnableOpenMetrics: true})
}

// oneOf returns value if it belongs to the set, and otherwise the fallback.
func oneOf(set []string, value, fallback string) string {
	if slices.Contains(set, value) {
		return value
	}
	return fallback
}
