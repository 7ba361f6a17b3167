package server

import (
	"log/slog"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// newCertificate returns the source of the serving certificate that the options ask for. The webhook
// configuration that it watches for a CA of its own is shown, too.
func newCertificate(o *Options, api *cluster, show func(*admissionregistrationv1.ValidatingWebhookConfiguration), recorder servingcert.Recorder, log *slog.Logger) (servingcert.Source, error) {
	if o.CertDir != "" {
		return servingcert.NewFiles(o.CertDir, recorder)
	}
	return servingcert.New(servingcert.Options{
		Config: api.config, Secret: o.certSecret, WebhookConfiguration: o.WebhookConfiguration, Service: o.service,
		Election: api.election, Configuration: show, Logger: log, Recorder: recorder, Timing: o.CertTiming,
	})
}
