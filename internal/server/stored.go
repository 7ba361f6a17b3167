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
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

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

// stored is all that depends on the stored aws-auth, as the rest of the process sees it.
type stored struct {
	notifier admission.Notifier
	self     func() string // the user that this process is to the API server; empty where it is not known
	// replaced returns the versions that were stored a short time ago.
	replaced     func(time.Time) []*awsauth.Object
	reconfigured func()
	lines        []fmt.Stringer // of /readyz?verbose
	run          []func(context.Context) error
}

// clients are those for the API server.
type clients struct {
	core           *typedcorev1.CoreV1Client
	registration   *typedadmissionregistrationv1.AdmissionregistrationV1Client
	authentication *typedauthenticationv1.AuthenticationV1Client
	prober         enforcement.Prober
}

// Calls a second, and at once: the leader pauses between its writes, so that it never needs more.
const (
	callRate  = 50
	callBurst = 100
)

func newClients(config *rest.Config) (c *clients, err error) {
	config = kube.Protobuf(config)
	config.QPS, config.Burst = callRate, callBurst
	config.WarningHandler = rest.NoWarnings{} // the guard's own webhook warns about what is restored
	c = new(clients)
	if c.core, err = typedcorev1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for ConfigMaps: %w", err)
	}
	if c.registration, err = typedadmissionregistrationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the webhook configuration: %w", err)
	}
	if c.authentication, err = typedauthenticationv1.NewForConfig(config); err != nil {
		return nil, fmt.Errorf("making a client for the own identity: %w", err)
	}
	c.prober, err = enforcement.NewProber(config)
	return c, err
}

// unwatched is stored where the options don't ask for a watch.
func unwatched() *stored {
	return &stored{notifier: admission.NoNotifier(), self: func() string { return "" }, replaced: new(admission.ReplacedVersions).Recent, reconfigured: func() {}}
}

// newStored returns all that depends on the stored aws-auth. Its Events end with the context.
func newStored(ctx context.Context, o *Options, api *cluster, cfg *configuration, principals *directory, webhook *enforcement.Configuration, certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error), recorder *metrics.Recorder, log *slog.Logger) (*stored, error) {
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
		ConfigMaps: awsAuth, History: store, Election: api.election, Events: events, Policy: cfg.policy, Settings: cfg.restore,
		Recorder: recorder, Logger: log, Now: now,
	})
	enforced := enforcement.New(enforcement.Options{
		Webhook:     enforcement.Webhook{Namespace: o.service.Namespace, Name: o.service.Name, Port: o.ServicePort, Path: webhookPath, BypassGroup: o.BypassGroup},
		Certificate: certificate, Configuration: webhook, SelfTest: func() bool { return cfg.current().SelfTest.Enabled },
		Prober: client.prober, Identity: identity, Policy: cfg.policy, Election: api.election, Events: events,
		Recorder: recorder, Logger: log, Timing: o.EnforcementTiming, Now: now,
	})
	replaced := new(admission.ReplacedVersions)
	watched, err := monitor.New(monitor.Options{
		ListerWatcher: kube.ListWatch(client.core.RESTClient(), "configmaps", awsauth.Namespace, awsauth.Name),
		Past:          awsAuth, History: store, Versions: keeper, Restorer: restorer, Enforcement: enforced, Replaced: replaced, Events: events, Election: api.election,
		Lookup: uniqueIDs{principals}, Policy: cfg.policy, Principals: func() bool { return cfg.current().IAM.Mode != validate.Off },
		Recorder: recorder, Logger: log, Timing: o.MonitorTiming, Now: now,
	})
	if err != nil {
		return nil, err
	}
	s := &stored{
		notifier: &notifier{events, recorder}, self: identity.Name, replaced: replaced.Recent, lines: []fmt.Stringer{enforced, restorer},
		reconfigured: func() { watched.Reconfigured(); restorer.Wake(); enforced.Wake() },
		run:          []func(context.Context) error{watched.Run, keeper.Run, restorer.Run, enforced.Run},
	}
	if o.CertSecret == "" { // otherwise the part that maintains the caBundle watches it
		lw := kube.ListWatch(client.registration.RESTClient(), "validatingwebhookconfigurations", "", o.WebhookConfiguration)
		run, err := enforcement.WatchConfiguration(lw, webhook, log, now)
		if err != nil {
			return nil, err
		}
		s.run = append(s.run, run)
	}
	return s, nil
}

// maxRequester bounds a user's name in an Event, in bytes.
const maxRequester = 200

// notifier writes Events about reviews.
type notifier struct {
	events   *kube.Events
	recorder *metrics.Recorder
}

// Admitted is [admission.Notifier].
func (n *notifier) Admitted(at time.Time, requester string, overrides []string) {
	if len(overrides) > 0 {
		n.events.Warn(kube.Overridden, kube.Shorten(requester, maxRequester)+" has overruled the guard by "+strings.Join(overrides, ", "))
	}
	n.recorder.LastAdmitted(at)
}

// Refused is [admission.Notifier].
func (n *notifier) Refused(requester string, rules []string) {
	n.events.Warn(kube.Rejected, "a change by "+kube.Shorten(requester, maxRequester)+" is refused: "+strings.Join(rules, ", "))
}

// restore returns the settings of restores.
func (c *configuration) restore() restore.Settings {
	r := c.current().Restore
	return restore.Settings{Enabled: r.Enabled, MaxPerHour: r.MaxPerHour}
}

// uniqueIDs asks IAM as the configuration in use says.
type uniqueIDs struct{ *directory }

// UniqueID is [monitor.PrincipalLookup].
func (u uniqueIDs) UniqueID(ctx context.Context, principal awsauth.ARN) (string, validate.Existence, error) {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return "", validate.Unknown, fmt.Errorf("the AWS configuration of the guard cannot be used")
	}
	return client.UniqueID(ctx, principal)
}

// Replacement is [monitor.PrincipalLookup].
func (u uniqueIDs) Replacement(ctx context.Context, missing awsauth.ARN) string {
	client := u.get(ctx, u.inUse().IAM.Accounts)
	if client == nil {
		return ""
	}
	return client.Replacement(ctx, missing)
}
