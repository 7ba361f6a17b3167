package server

import (
	"context"
	"log/slog"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/election"
	"github.com/awsauth-guard/awsauth-guard/internal/enforcement"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// cluster holds the settings for connections to the API server, and the election of the leader.
type cluster struct {
	config   *rest.Config
	election *election.Election
}

// connect returns the settings for connections to the API server, and the election. It doesn't call the API server yet.
// The Lease of the election has the name of CertSecret. Without CertSecret it has the name of State.
func connect(o *Options, log *slog.Logger) (*cluster, error) {
	lease := o.certSecret
	if o.CertSecret == "" {
		lease = o.state
	}
	config, err := kube.Config(o.Kubeconfig, program)
	if err != nil {
		return nil, err
	}
	leader, err := election.New(election.Options{
		Config: config, Namespace: lease.Namespace, Name: lease.Name, Logger: log, Timing: o.ElectionTiming,
	})
	return &cluster{config: config, election: leader}, err
}

// ownCA returns the CA certificates with which the process verifies the API server, in PEM. It returns nil if the client
// configuration names no CA.
func (o *Options) ownCA() ([]byte, error) {
	config, err := kube.Config(o.Kubeconfig, program)
	if err != nil {
		return nil, err
	}
	return kube.CA(config)
}

// parts are the components that the process runs in addition to its ports.
type parts struct {
	certs  servingcert.Source
	stored *stored
	run    []func(context.Context) error
}

// assemble creates the parts that the options configure, but doesn't run them. The guard stops writing Events when the
// context ends.
func assemble(ctx context.Context, o *Options, cfg *configuration, principals *directory, entries *accessEntries, recorder *metrics.Recorder, log *slog.Logger) (*parts, error) {
	p := &parts{stored: unwatched()}
	var err error
	if o.State == "" {
		log.Info("the stored aws-auth is not watched: no --state is given")
		cfg.reportUnusedRight()
		cfg.onUse(cfg.reportUnusedRight)
		if o.CertSecret == "" {
			p.certs, err = servingcert.NewFiles(o.CertDir, recorder)
			if err != nil {
				return nil, err
			}
			p.run = append(p.run, p.certs.Run)
			return p, nil
		}
	}
	api, err := connect(o, log)
	if err != nil {
		return nil, err
	}
	webhook := enforcement.NewConfiguration()
	if o.CertSecret == "" {
		p.certs, err = servingcert.NewFiles(o.CertDir, recorder)
	} else {
		p.certs, err = servingcert.New(servingcert.Options{
			Config: api.config, Secret: o.certSecret, WebhookConfiguration: o.WebhookConfiguration, Service: o.service,
			Election: api.election, Configuration: webhook.Set, Logger: log, Recorder: recorder, Timing: o.CertTiming,
		})
	}
	if err != nil {
		return nil, err
	}
	if o.State != "" {
		if p.stored, err = newStored(ctx, o, api, cfg, principals, entries, webhook, p.certs.GetCertificate, recorder, log); err != nil {
			return nil, err
		}
	}
	p.run = append(append(p.run, p.stored.run...), p.certs.Run, api.election.Run)
	return p, nil
}
