package metrics

import "github.com/prometheus/client_golang/prometheus"

// Results of a reload.
const (
	success = "success"
	refused = "failure"
)

// configMetrics describe the configuration in use.
type configMetrics struct {
	generation, successful prometheus.Gauge
	reloads                *prometheus.CounterVec
}

func newConfigMetrics() configMetrics {
	m := configMetrics{
		generation: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awsauth_guard_config_generation",
			Help: "Number of configurations that this process has used; 1 after the start.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "awsauth_guard_config_reloads_total",
			Help: "Changes of the configuration file by result: success (in use now) or failure (refused; the previous one stays in use).",
		}, []string{"result"}),
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "awsauth_guard_config_last_reload_successful",
			Help: "1 if the newest configuration file is in use, 0 if it was refused.",
		}),
	}
	m.reloads.WithLabelValues(success)
	m.reloads.WithLabelValues(refused)
	return m
}

// ConfigInUse records that the newest configuration is in use. It counts a reload if the generation is higher than 1, because
// generation 1 is the configuration at the start.
func (r *Recorder) ConfigInUse(generation int) {
	r.config.generation.Set(float64(generation))
	r.config.successful.Set(1)
	if generation > 1 {
		r.config.reloads.WithLabelValues(success).Inc()
	}
}

// ConfigRefused counts a new configuration file that the guard refuses to use.
func (r *Recorder) ConfigRefused() {
	r.config.successful.Set(0)
	r.config.reloads.WithLabelValues(refused).Inc()
}
