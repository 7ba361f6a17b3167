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

// cluster holds the connection settings of the API server and the election of the replica that writes to it.
type cluster struct {
	config   *rest.Config
	election *election.Election
}

// connect prepares the client settings and the election. It doesn't call the API server yet.
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

// ownCA returns, as PEM, the CA certificates with which the process verifies the API server, or nil if its configuration names none.
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

// assemble makes the parts that the options configure, in the order of their dependencies. The guard stops writing Events
// when the context ends.
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
