package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateMetrics describe the serving certificate. They are vectors without labels, because a vector has no series until it
// has a value. A plain gauge for an unknown expiry would have the value 0, which means 1970.
type certificateMetrics struct {
	expiry, caExpiry, trusted, caStored *prometheus.GaugeVec
}

func newCertificateMetrics() certificateMetrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, nil)
	}
	return certificateMetrics{
		expiry:   gauge("awsauth_guard_serving_certificate_expiry_timestamp_seconds", "Time when the serving certificate expires."),
		caExpiry: gauge("awsauth_guard_serving_ca_expiry_timestamp_seconds", "Time when the CA of the serving certificate expires; only with the webhook's own CA."),
		caStored: gauge("awsauth_guard_serving_ca_stored", "1 if the Secret holds a usable CA, 0 if not: then a starting pod does not become ready; only with the webhook's own CA."),
		trusted:  gauge("awsauth_guard_serving_certificate_trusted", "1 if every caBundle trusts the serving certificate, 0 if not; only with the webhook's own CA."),
	}
}

// ServingCertificate records when the serving certificate expires.
func (r *Recorder) ServingCertificate(expires time.Time) {
	r.certificate.expiry.WithLabelValues().Set(float64(expires.Unix()))
}

// ServingTrust records when the CA of the serving certificate expires, and whether every caBundle trusts the certificate.
func (r *Recorder) ServingTrust(caExpires time.Time, trusted bool) {
	value := 0.0
	if trusted {
		value = 1
	}
	r.certificate.caExpiry.WithLabelValues().Set(float64(caExpires.Unix()))
	r.certificate.trusted.WithLabelValues().Set(value)
}

// ServingCAStored records whether the Secret holds a usable CA.
func (r *Recorder) ServingCAStored(stored bool) {
	value := 0.0
	if stored {
		value = 1
	}
	r.certificate.caStored.WithLabelValues().Set(value)
}
