package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// certificateMetrics tell how the serving certificate stands. A vector without labels has no series
// before the first value: a certificate that nobody has seen does not end in 1970.
type certificateMetrics struct {
	ends, caEnds, trusted, caStored *prometheus.GaugeVec
}

func newCertificateMetrics() certificateMetrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, nil)
	}
	return certificateMetrics{
		ends:     gauge("awsauth_guard_serving_certificate_expiry_timestamp_seconds", "When the serving certificate ends."),
		caEnds:   gauge("awsauth_guard_serving_ca_expiry_timestamp_seconds", "When the CA ends that signed the serving certificate; only of a CA of the webhook's own."),
		caStored: gauge("awsauth_guard_serving_ca_stored", "1 if the Secret holds a usable CA, 0 if not: a pod that starts then does not become ready; only of a CA of the webhook's own."),
		trusted:  gauge("awsauth_guard_serving_certificate_trusted", "1 if every caBundle vouches for the serving certificate, 0 if not; only of a CA of the webhook's own."),
	}
}

// ServingCertificate says when the serving certificate ends.
func (r *Recorder) ServingCertificate(ends time.Time) {
	r.certificate.ends.WithLabelValues().Set(float64(ends.Unix()))
}

// ServingTrust says when the CA of the serving certificate ends, and whether API servers accept it.
func (r *Recorder) ServingTrust(caEnds time.Time, trusted bool) {
	value := 0.0
	if trusted {
		value = 1
	}
	r.certificate.caEnds.WithLabelValues().Set(float64(caEnds.Unix()))
	r.certificate.trusted.WithLabelValues().Set(value)
}

// ServingCAStored says whether the Secret holds a usable CA.
func (r *Recorder) ServingCAStored(stored bool) {
	value := 0.0
	if stored {
		value = 1
	}
	r.certificate.caStored.WithLabelValues().Set(value)
}
