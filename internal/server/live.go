package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/apiclient"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/election"
	"github.com/awsauth-guard/awsauth-guard/internal/live"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// cluster is the API server, and the election of the replica that writes there.
type cluster struct {
	config   *rest.Config
	election *election.Election
	lost     atomic.Pointer[time.Time] // see contact
}

// configurationLost is since when the webhook configuration cannot be read; zero: it can.
func (c *cluster) configurationLost() time.Time {
	if since := c.lost.Load(); since != nil {
		return *since
	}
	return time.Time{}
}

// connect returns nil where the options ask for nothing that needs the API server. Nobody is called yet.
func connect(o *Options, log *slog.Logger) (*cluster, error) {
	lease := o.certSecret
	if o.CertSecret == "" {
		if lease = o.state; o.State == "" {
			return nil, nil //nolint:nilnil // none
		}
	}
	config, err := apiclient.Config(o.Kubeconfig, program)
	if err != nil {
		return nil, err
	}
	leader, err := election.New(election.Options{
		Config: config, Namespace: lease.Namespace, Name: lease.Name, Logger: log, Timing: o.ElectionTiming,
	})
	if err != nil {
		return nil, err
	}
	c := &cluster{config: config, election: leader}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &contact{next, &c.lost} })
	return c, nil
}

// stored is the watch of what is stored, and how it is run.
type stored struct {
	*live.Live

	run []func(context.Context) error
}

// newStored returns nil where the options do not ask for it.
func newStored(ctx context.Context, o *Options, api *cluster, cfg *configuration, principals *directory, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), recorder *metrics.Recorder, log *slog.Logger) (*stored, error) {
	if o.State == "" {
		log.Info("what is stored is not watched: no --state is given")
		return nil, nil //nolint:nilnil // none
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	if o.Replica != "" {
		host = o.Replica
	}
	connected, err := live.Connect(api.config)
	if err != nil {
		return nil, err
	}
	options := live.Options{
		Replica: host, Election: api.election, Directory: uniqueIDs{principals},
		Webhook:     live.Webhook{Namespace: o.service.Namespace, Name: o.service.Name, Port: o.ServicePort, Path: webhookPath, BypassGroup: o.BypassGroup},
		Certificate: certificate, ConfigurationLost: api.configurationLost, Policy: cfg.policy, Settings: cfg.settings, Recorder: recorder, Logger: log, Timing: o.LiveTiming,
	}
	connected.Complete(ctx, &options, o.state.Namespace, o.state.Name, func() int { return cfg.current().History.Versions })
	s := &stored{Live: live.New(options)}
	s.run = append(s.run, s.Run)
	if o.CertSecret == "" { // otherwise whoever keeps the caBundle watches it
		s.run = append(s.run, func(ctx context.Context) error {
			connected.WatchConfiguration(ctx, o.WebhookConfiguration, s.Configured)
			return nil
		})
	}
	return s, nil
}

// settings are what the configuration says of what is stored.
func (c *configuration) settings() live.Settings {
	inUse := c.current()
	return live.Settings{
		SelfTest: inUse.SelfTest.Enabled, Restore: inUse.Restore.Enabled, MaxPerHour: inUse.Restore.MaxPerHour,
		Principals: inUse.IAM.Mode != validate.Off,
	}
}

// uniqueIDs asks IAM as the configuration in use says.
type uniqueIDs struct{ *directory }

// UniqueID is [live.Directory].
func (u uniqueIDs) UniqueID(ctx context.Context, principal awsauth.ARN) (string, validate.Existence, error) {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return "", validate.Unknown, fmt.Errorf("the AWS configuration of the guard cannot be used")
	}
	return client.UniqueID(ctx, principal)
}

// Instead is [live.Directory].
func (u uniqueIDs) Instead(ctx context.Context, missing awsauth.ARN) string {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return ""
	}
	return client.Instead(ctx, missing)
}
