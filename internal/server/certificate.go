package server

import (
	"log/slog"

	"github.com/awsauth-guard/awsauth-guard/internal/apiclient"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// newCertificate returns the source of the serving certificate that the options ask for.
func newCertificate(o *Options, recorder servingcert.Recorder, log *slog.Logger) (servingcert.Source, error) {
	if o.CertDir != "" {
		return servingcert.NewFiles(o.CertDir, recorder)
	}
	config, err := apiclient.Config(o.Kubeconfig, program)
	if err != nil {
		return nil, err
	}
	return servingcert.New(servingcert.Options{
		Config: config, Secret: o.certSecret, WebhookConfiguration: o.WebhookConfiguration, Service: o.service,
		Logger: log, Recorder: recorder, Timing: o.CertTiming,
	})
}
