package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	typedauthenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	typedauthorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/awsauth"
	"github.com/awsauth-guard/awsauth-guard/internal/enforcement"
	"github.com/awsauth-guard/awsauth-guard/internal/history"
	"github.com/awsauth-guard/awsauth-guard/internal/kube"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/restore"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// stored holds the components that watch the stored aws-auth, and the functions by which other components use them.
type stored struct {
	notifier admission.Notifier
	self     func() string // username of this process at the API server; empty while it is unknown
	// authorizer asks the API server for rights. It is nil for a process without --state.
	authorizer admission.Authorizer
	// replaced returns the versions that were stored a short time ago.
	replaced     func(time.Time) []*awsauth.Object
	reconfigured func()         // the server calls it after a change of the configuration
	entriesRead  func()         // the server calls it after each read of the access entries
	lines        []fmt.Stringer // details for /readyz?verbose
	run          []func(context.Context) error
}

// clients are the clients for the API server.
type clients struct {
	core           *typedcorev1.CoreV1Client
	registration   *typedadmissionregistrationv1.AdmissionregistrationV1Client
	authentication *typedauthenticationv1.AuthenticationV1Client
	authorization  *typedauthorizationv1.AuthorizationV1Client
	prober         enforcement.Prober
}

// Limits of calls to the API server: callRate per second, and callBurst in a burst. The leader pauses between its
// writes, so it stays below these limits.
const (
	callRate  = 50
	callBurst = 100
)

func newClients(config *rest.Config) (c *clients, err error) {
	config = kube.Protobuf(config)
	config.QPS, config.Burst = callRate, callBurst
	config.WarningHandler = rest.NoWarnings{} // don't log the warnings with which the webhook answers the guard's own restores
	c = new(clients)
	if c.core, err = typedcorev1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for ConfigMaps: %w", err)
	}
	if c.registration, err = typedadmissionregistrationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the webhook configuration: %w", err)
	}
	if c.authentication, err = typedauthenticationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the identity of this process: %w", err)
	}
	if c.authorization, err = typedauthorizationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the rights of users: %w", err)
	}
	c.prober, err = enforcement.NewProber(config)
	return c, err
}

// unwatched returns a stored for a process that doesn't watch the stored aws-auth.
func unwatched() *stored {
	return &stored{notifier: admission.NoNotifier(), self: func() string { return "" }, replaced: new(admission.ReplacedVersions).Recent, reconfigured: func() {}, entriesRead: func() {}}
}

// newStored creates the components that watch the stored aws-auth. The caller runs them. They stop writing Events when
// the context ends.
func newStored(ctx context.Context, o *Options, api *cluster, cfg *configuration, principals *directory, entries *accessEntries, webhook *enforcement.Configuration, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), recorder *metrics.Recorder, log *slog.Logger) (*stored, error) {
	replica, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("naming this replica: %w", err)
	}
	client, err := newClients(api.config)
	if err != nil {
		return nil, err
	}
	now := time.Now //nolint:forbidigo // the real clock
	events := kube.NewEvents(ctx, client.core, replica)
	identity := kube.NewIdentity(client.authentication)
	store := &history.Store{Client: client.core.ConfigMaps(o.state.Namespace), Name: o.state.Name, Versions: func() int { return cfg.current().History.Versions }}
	awsAuth := client.core.ConfigMaps(awsauth.Namespace)
	keeper := monitor.NewKeeper(monitor.KeeperOptions{Store: store, Election: api.election, Recorder: recorder, Logger: log, Now: now})
	restorer := restore.New(restore.Options{
		ConfigMaps: awsAuth, History: store, Election: api.election, Events: events, Policy: entries.policy, Settings: cfg.restore,
		Recorder: recorder, Logger: log, Now: now,
	})
	enforced := enforcement.New(enforcement.Options{
		Webhook:     enforcement.Webhook{Namespace: o.service.Namespace, Name: o.service.Name, Port: o.ServicePort, Path: webhookPath, BypassGroup: o.BypassGroup},
		Certificate: certificate, Configuration: webhook, SelfTest: func() bool { return cfg.current().SelfTest.Enabled },
		Prober: client.prober, Identity: identity, Policy: entries.policy, Election: api.election, Events: events,
		Recorder: recorder, Logger: log, Timing: o.EnforcementTiming, Now: now,
	})
	replaced := new(admission.ReplacedVersions)
	watched, err := monitor.New(monitor.Options{
		ListerWatcher: kube.ListWatch(client.core.RESTClient(), "configmaps", awsauth.Namespace, awsauth.Name),
		Past:          awsAuth, History: store, Versions: keeper, Restorer: restorer, Enforcement: enforced, Replaced: replaced, Events: events, Election: api.election,
		Lookup: iamFacts{principals}, Policy: entries.policy, Principals: func() bool { return cfg.current().IAM.Mode != validate.Off },
		Recorder: recorder, Logger: log, Timing: o.MonitorTiming, Now: now,
	})
	if err != nil {
		return nil, err
	}
	s := &stored{
		notifier: &notifier{events, recorder}, self: identity.Name, authorizer: kube.Rights{Client: client.authorization}, replaced: replaced.Recent, lines: []fmt.Stringer{enforced, restorer},
		entriesRead:  func() { watched.AccessEntriesRead(); restorer.Wake() },
		reconfigured: func() { watched.Reconfigured(); restorer.Wake(); enforced.Wake() },
		run:          []func(context.Context) error{watched.Run, keeper.Run, restorer.Run, enforced.Run},
	}
	if o.CertSecret == "" { // otherwise package servingcert watches the webhook configuration
		lw := kube.ListWatch(client.registration.RESTClient(), "validatingwebhookconfigurations", "", o.WebhookConfiguration)
		run, err := enforcement.WatchConfiguration(lw, webhook, log, now)
		if err != nil {
			return nil, err
		}
		s.run = append(s.run, run)
	}
	return s, nil
}

// maxRequester limits the length of a username in an Event, in bytes.
const maxRequester = 200

// notifier writes Events about refused changes and overrides, and records when the guard last admitted a change.
type notifier struct {
	events   *kube.Events
	recorder *metrics.Recorder
}

// Admitted implements [admission.Notifier]. It writes an Event if the change used an override.
func (n *notifier) Admitted(at time.Time, requester string, overrides []string) {
	if len(overrides) > 0 {
		n.events.Warn(kube.Overridden, kube.Shorten(requester, maxRequester)+" has overruled the guard by "+strings.Join(overrides, ", "))
	}
	n.recorder.LastAdmitted(at)
}

// Refused implements [admission.Notifier].
func (n *notifier) Refused(requester string, rules []string) {
	n.events.Warn(kube.Rejected, "a change by "+kube.Shorten(requester, maxRequester)+" is refused: "+strings.Join(rules, ", "))
}

// restore returns the settings for restores.
func (c *configuration) restore() restore.Settings {
	r := c.current().Restore
	return restore.Settings{Enabled: r.Enabled, MaxPerHour: r.MaxPerHour}
}

// iamFacts implements [monitor.PrincipalLookup] with the accounts of the configuration in use.
type iamFacts struct{ *directory }

// Facts implements [monitor.PrincipalLookup].
func (u iamFacts) Facts(ctx context.Context, principal awsauth.ARN) (access.IAMFacts, validate.Existence, error) {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return access.IAMFacts{}, validate.Unknown, fmt.Errorf("the AWS configuration of the guard cannot be used")
	}
	return client.Facts(ctx, principal)
}

// Replacement implements [monitor.PrincipalLookup].
func (u iamFacts) Replacement(ctx context.Context, missing awsauth.ARN) string {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return ""
	}
	return client.Replacement(ctx, missing)
}
