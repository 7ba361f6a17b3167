package server

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/awsauth-guard/awsauth-guard/internal/election"
	"github.com/awsauth-guard/awsauth-guard/internal/enforcement"
	"github.com/awsauth-guard/awsauth-guard/internal/monitor"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
	"github.com/awsauth-guard/awsauth-guard/internal/validate"
)

// Options are the flags of the webhook.
type Options struct {
	// ConfigFile is the GuardConfig file. Empty means the default configuration. The file can be replaced at any time. If the
	// new file is invalid, the webhook keeps the previous configuration.
	ConfigFile string
	// CertDir is the folder with the serving certificate: tls.crt and tls.key. The files can be replaced at any time, as the
	// kubelet does when a Secret changes.
	CertDir string
	// CertSecret is NAMESPACE/NAME of a Secret. It is set instead of CertDir. The webhook then creates and rotates a CA in
	// this Secret; see package servingcert.
	CertSecret string
	// State is NAMESPACE/NAME of the ConfigMap with the history of aws-auth; see package history. If it is empty, the webhook
	// doesn't watch the stored aws-auth.
	State string
	// WebhookConfiguration is the name of the ValidatingWebhookConfiguration whose webhooks call this process. With
	// CertSecret the process maintains the caBundles of this configuration. With State the process watches this
	// configuration. WebhookConfiguration and Service need CertSecret or State.
	WebhookConfiguration string
	// Service is NAMESPACE/NAME of the Service in the WebhookConfiguration.
	Service string
	// BypassGroup is the group whose members can change aws-auth without a refusal. The API server calls only the observing
	// webhook for their changes.
	BypassGroup string
	// Kubeconfig is the kubeconfig file for the API server. Empty means the service account of the pod.
	Kubeconfig string
	// The fields CertTiming to ServicePort have no flags, because only tests change them. ServicePort 0 means 443.
	CertTiming        servingcert.Timing
	ElectionTiming    election.Timing
	EnforcementTiming enforcement.Timing
	MonitorTiming     monitor.Timing
	ServicePort       int32
	// WebhookAddress is the address on which the webhook serves admission reviews over TLS, as host:port. An empty host means
	// all local addresses. Port 0 means a free port.
	WebhookAddress string
	// ClientCAFile is a PEM file with CAs. One of them must have signed the client certificate of each caller. Empty means
	// that callers need no certificate. The webhook reads the file at its start and again at each handshake.
	ClientCAFile string
	// ClientName is the name that a caller's certificate must have as its common name or as a DNS name. Empty means any name.
	// ClientName needs ClientCAFile.
	ClientName string
	// MetricsAddress is the address on which the webhook serves /metrics over plain HTTP, as host:port.
	MetricsAddress string
	// HealthAddress is the address on which the webhook serves /healthz and /readyz over plain HTTP, as host:port.
	HealthAddress string
	// ShutdownDelay is how long the webhook still accepts reviews after SIGTERM. During this time /readyz fails, so all API
	// servers learn that they must not send more reviews to this process.
	ShutdownDelay time.Duration
	// LogLevel is debug, info, warn or error.
	LogLevel string
	// LogFormat is json or text.
	LogFormat string
	// ShowVersion makes the program print its version and exit.
	ShowVersion bool

	// Complete sets the following fields.
	level slog.Level
	host  string // of WebhookAddress
	port  int    // of WebhookAddress

	certSecret, state, service servingcert.Name
}

// AddFlags adds the options to a flag set. The current values become the defaults.
func (o *Options) AddFlags(fs *pflag.FlagSet) {
	fs.StringVar(&o.ConfigFile, "config", o.ConfigFile, "GuardConfig `file`, reloaded when it changes; without it no principal is protected by name, and all other rules apply")
	fs.StringVar(&o.CertDir, "cert-dir", o.CertDir, "`folder` with the serving certificate, tls.crt and tls.key; reloaded when it changes")
	fs.StringVar(&o.CertSecret, "cert-secret", o.CertSecret, "instead of --cert-dir: Secret `namespace/name` for a CA that the webhook makes, rotates and writes into the caBundles itself; the webhook creates the Secret if it is missing. A Lease of this name elects the replica that maintains the CA")
	fs.StringVar(&o.State, "state", o.State, "existing ConfigMap `namespace/name` in which the webhook keeps the history of aws-auth; with this flag the webhook also watches the stored aws-auth. Without --cert-secret, a Lease of this name elects the replica that writes the history")
	fs.StringVar(&o.WebhookConfiguration, "webhook-configuration", o.WebhookConfiguration, "with --cert-secret or --state: `name` of the ValidatingWebhookConfiguration whose webhooks call this program")
	fs.StringVar(&o.Service, "service", o.Service, "with --cert-secret or --state: `namespace/name` of the Service through which the API server calls this program")
	fs.StringVar(&o.BypassGroup, "bypass-group", o.BypassGroup, "`group` that the matchConditions in the webhook configuration exempt from refusals. The flag itself exempts no user: it only tells the guard the group's name. The observing webhook still reviews the changes of its members, and the rule bypass-grant refuses an entry that gives this group")
	fs.StringVar(&o.Kubeconfig, "kubeconfig", o.Kubeconfig, "kubeconfig `file` for the API server; without it the webhook uses the service account of its pod. The webhook calls the API server only with --cert-secret or --state. With eks.enabled it also takes the CA from this file to recognize its own cluster")
	fs.StringVar(&o.WebhookAddress, "webhook-bind-address", o.WebhookAddress, "`host:port` that serves admission reviews over TLS")
	fs.StringVar(&o.ClientCAFile, "client-ca-file", o.ClientCAFile, "`file` with CAs, one of which must have signed the client certificate of each caller of --webhook-bind-address; without it callers need no certificate")
	fs.StringVar(&o.ClientName, "client-name", o.ClientName, "with --client-ca-file: the `name` that a caller's certificate must have as its common name or as a DNS name; without it any name is accepted")
	fs.StringVar(&o.MetricsAddress, "metrics-bind-address", o.MetricsAddress, "`host:port` that serves /metrics over HTTP")
	fs.StringVar(&o.HealthAddress, "health-probe-bind-address", o.HealthAddress, "`host:port` that serves /healthz and /readyz over HTTP")
	fs.DurationVar(&o.ShutdownDelay, "shutdown-delay", o.ShutdownDelay, "`time` after SIGTERM in which reviews are still accepted while /readyz fails")
	fs.StringVar(&o.LogLevel, "log-level", o.LogLevel, "minimum log `level`: debug, info, warn or error")
	fs.StringVar(&o.LogFormat, "log-format", o.LogFormat, "`format` of the log: json or text")
	fs.BoolVar(&o.ShowVersion, "version", o.ShowVersion, "print the version and exit")
}

// DefaultOptions returns the options of a command line without flags.
func DefaultOptions() *Options {
	return &Options{
		EnforcementTiming: enforcement.DefaultTiming(), MonitorTiming: monitor.DefaultTiming(),
		BypassGroup:    validate.DefaultBypassGroup,
		WebhookAddress: ":9443",
		MetricsAddress: ":8080",
		HealthAddress:  ":8081",
		ShutdownDelay:  10 * time.Second,
		LogLevel:       "info",
		LogFormat:      "json",
	}
}

// Complete validates the options and sets the unexported fields. Its error joins an error for each invalid option.
func (o *Options) Complete() error {
	errs := o.completeCertificate()
	var err error
	o.host, o.port, err = splitAddress("--webhook-bind-address", o.WebhookAddress)
	errs = append(errs, err)
	_, _, err = splitAddress("--metrics-bind-address", o.MetricsAddress)
	errs = append(errs, err)
	_, _, err = splitAddress("--health-probe-bind-address", o.HealthAddress)
	errs = append(errs, err)
	if o.ClientName != "" && o.ClientCAFile == "" {
		errs = append(errs, errors.New("--client-name needs --client-ca-file: add --client-ca-file FILE"))
	}
	if o.ShutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("--shutdown-delay is %s: write 0s or more", o.ShutdownDelay))
	}
	if err := o.level.UnmarshalText([]byte(o.LogLevel)); err != nil {
		errs = append(errs, fmt.Errorf("--log-level is %q: write debug, info, warn or error", o.LogLevel))
	}
	if o.LogFormat != "json" && o.LogFormat != "text" {
		errs = append(errs, fmt.Errorf("--log-format is %q: write json or text", o.LogFormat))
	}
	return errors.Join(errs...)
}

// completeCertificate validates the options for the serving certificate, for the connection to the API server, and for the
// address by which the API server calls the webhook.
func (o *Options) completeCertificate() (errs []error) {
	switch {
	case o.CertDir == "" && o.CertSecret == "":
		return []error{errors.New("--cert-dir and --cert-secret are missing: name the folder that holds tls.crt and tls.key, or the Secret for a CA of the webhook's own")}
	case o.CertDir != "" && o.CertSecret != "":
		return []error{errors.New("--cert-dir and --cert-secret exclude each other: write one of them")}
	case o.CertDir != "" && o.State == "":
		for _, f := range []struct{ flag, value string }{
			{"--webhook-configuration", o.WebhookConfiguration}, {"--service", o.Service},
		} {
			if f.value != "" {
				errs = append(errs, fmt.Errorf("%s needs --cert-secret or --state; remove it if you use only --cert-dir", f.flag))
			}
		}
		return errs
	}
	var err error
	if o.CertSecret != "" {
		o.certSecret, err = splitName("--cert-secret", o.CertSecret)
		errs = append(errs, err)
	}
	if o.State != "" {
		o.state, err = splitName("--state", o.State)
		errs = append(errs, err)
	}
	o.service, err = splitName("--service", o.Service)
	errs = append(errs, err)
	if len(validation.IsDNS1123Subdomain(o.WebhookConfiguration)) > 0 {
		errs = append(errs, fmt.Errorf("--webhook-configuration is %q: write the name of a ValidatingWebhookConfiguration", o.WebhookConfiguration))
	}
	return errs
}

func splitName(flag, text string) (servingcert.Name, error) {
	namespace, name, _ := strings.Cut(text, "/")
	if len(validation.IsDNS1123Label(namespace)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0 {
		return servingcert.Name{}, fmt.Errorf("%s is %q: write NAMESPACE/NAME", flag, text)
	}
	return servingcert.Name{Namespace: namespace, Name: name}, nil
}

func splitAddress(flag, address string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err == nil {
		port, err = strconv.Atoi(text)
	}
	switch {
	case err != nil:
		return "", 0, fmt.Errorf("%s is %q: write HOST:PORT or :PORT", flag, address)
	case port < 0 || port > 65535:
		return "", 0, fmt.Errorf("%s is %q: a port is at most 65535", flag, address)
	}
	return host, port, nil
}

// logger returns a logger with the level and format of the options.
func (o *Options) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: o.level}
	if o.LogFormat == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}
