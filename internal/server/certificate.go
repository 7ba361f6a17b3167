package server

import (
	"fmt"
	"log/slog"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
	"github.com/awsauth-guard/awsauth-guard/internal/version"
)

// newCertificate returns the source of the serving certificate that the options ask for.
func newCertificate(o *Options, recorder servingcert.Recorder, log *slog.Logger) (servingcert.Source, error) {
	if o.CertDir != "" {
		return servingcert.NewFiles(o.CertDir, recorder)
	}
	config, err := clientConfig(o.Kubeconfig)
	if err != nil {
		return nil, err
	}
	return servingcert.New(servingcert.Options{
		Config: config, Secret: o.certSecret, WebhookConfiguration: o.WebhookConfiguration, Service: o.service,
		Logger: log, Recorder: recorder, Timing: o.CertTiming,
	})
}

// clientConfig says how to reach the API server.
func clientConfig(kubeconfig string) (config *rest.Config, err error) {
	if kubeconfig != "" {
		config, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return nil, fmt.Errorf("reading the kubeconfig: %w", err)
		}
	} else if config, err = rest.InClusterConfig(); err != nil {
		return nil, fmt.Errorf("reading the pod's service account: %w; name a file with --kubeconfig outside of a cluster", err)
	}
	config.UserAgent = program + "/" + version.String()
	return config, nil
}
