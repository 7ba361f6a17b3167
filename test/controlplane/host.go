package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// Host runs webhooks on this machine. It doesn't need an API server. It has a temporary folder with the built webhook,
// and a CA that signs the certificates of the webhooks.
type Host struct {
	*processes
	ca       *authority
	build    *process // go build of the webhook
	webhooks int      // the number of started webhooks
}

// NewHost makes a host, and starts to build the webhook. All processes of the host run until Stop is called or ctx ends.
func NewHost(ctx context.Context) (_ *Host, err error) {
	ps, err := newProcesses()
	if err != nil {
		return nil, err
	}
	h := &Host{processes: ps}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Stop())
		}
	}()
	if err := h.buildWebhook(ctx); err != nil {
		return nil, err
	}
	if h.ca, err = newAuthority(); err != nil {
		return nil, err
	}
	return h, nil
}

// Stop ends all processes of the host and removes its folder.
func (h *Host) Stop() error { return h.stop() }

// TLS returns the client configuration that trusts the webhooks.
func (h *Host) TLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.pem)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// Client returns an HTTP client with its own connections. It has the transport settings that the API server uses for
// webhooks (k8s.io/client-go v0.36, transport/cache.go): HTTP/2, with net/http's retries. The client closes a connection
// that is unused for the time idle. The API server uses 90 s.
func (h *Host) Client(idle time.Duration) *http.Client {
	return &http.Client{Transport: utilnet.SetTransportDefaults(&http.Transport{
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     h.TLS(),
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     idle,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	})}
}

// buildWebhook starts the build. The webhook has the race detector if this program has it.
func (h *Host) buildWebhook(ctx context.Context) (err error) {
	args := []string{"build", "-ldflags=-w", "-o", h.binary()} // without the tables for debuggers, which take a third of the time
	if Race() {
		args = append(args, "-race")
	}
	args = append(args, "github.com/awsauth-guard/awsauth-guard/cmd/webhook")
	h.build, err = h.start(ctx, "go build", "go", args...)
	return err
}

// binary returns the path of the built webhook.
func (h *Host) binary() string { return filepath.Join(h.dir, "awsauth-guard-webhook") }

// Race reports whether this program is built with the race detector. The webhook is built in the same way.
func Race() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Webhook is a running webhook: the real program in its own process.
type Webhook struct {
	// Address is the host and the port on which the webhook serves reviews.
	Address string
	// URL is the address that the API server calls. Metrics, Health and Ready are the addresses of the other endpoints,
	// which have no TLS.
	URL, Metrics, Health, Ready string

	*process
	ca             *authority
	certs, configs *volume
}

// configFile is the GuardConfig's name in its folder.
const configFile = "guardconfig.yaml"

// StartWebhook starts the webhook with additional flags, and waits until it is ready. If guardConfig is empty, the
// webhook has no GuardConfig. The webhook runs until a caller stops the webhook or the host, or until ctx ends.
func (h *Host) StartWebhook(ctx context.Context, guardConfig string, flags ...string) (*Webhook, error) {
	if err := h.build.wait(); err != nil {
		return nil, err
	}
	ports, err := FreePorts(3)
	if err != nil {
		return nil, err
	}
	h.webhooks++
	name := fmt.Sprintf("webhook-%d", h.webhooks)
	w := &Webhook{
		Address: ports[0], URL: "https://" + ports[0] + "/validate-aws-auth", Metrics: "http://" + ports[1] + "/metrics",
		Health: "http://" + ports[2] + "/healthz", Ready: "http://" + ports[2] + "/readyz",
		ca:      h.ca,
		certs:   &volume{dir: filepath.Join(h.dir, name, "certs")},
		configs: &volume{dir: filepath.Join(h.dir, name, "config")},
	}
	if _, err := w.SwapCertificate(); err != nil {
		return nil, err
	}
	args := []string{
		"--cert-dir=" + w.certs.dir, "--webhook-bind-address=" + ports[0],
		"--metrics-bind-address=" + ports[1], "--health-probe-bind-address=" + ports[2],
	}
	if guardConfig != "" {
		if err := w.Configure(guardConfig); err != nil {
			return nil, err
		}
		args = append(args, "--config="+filepath.Join(w.configs.dir, configFile))
	}
	if w.process, err = h.start(ctx, name, h.binary(), append(args, flags...)...); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := w.ready(ctx, func(ctx context.Context) error { return get(ctx, w.Ready) }); err != nil {
		return nil, err
	}
	return w, nil
}

// SwapCertificate gives the webhook a new certificate and returns it. It writes the files as the kubelet does. The
// webhook serves the new certificate a moment later.
func (w *Webhook) SwapCertificate() (*x509.Certificate, error) {
	files, err := w.ca.serving("awsauth-guard")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(files["tls.crt"])
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the webhook's certificate: %w", err)
	}
	if err := w.certs.write(files); err != nil {
		return nil, fmt.Errorf("writing the webhook's certificate: %w", err)
	}
	return cert, nil
}

// Configure replaces the GuardConfig. It writes the file as the kubelet does. The webhook loads the new GuardConfig a
// moment later.
func (w *Webhook) Configure(guardConfig string) error {
	if err := w.configs.write(map[string][]byte{configFile: []byte(guardConfig)}); err != nil {
		return fmt.Errorf("writing the GuardConfig: %w", err)
	}
	return nil
}

// PID returns the process id.
func (w *Webhook) PID() int { return w.cmd.Process.Pid }

// Log returns the path of the webhook's log file. The webhook appends to it. A test may truncate it.
func (w *Webhook) Log() string { return w.log }

// Terminate ends the webhook with SIGTERM, as the kubelet does, and waits for its end. It returns an error if the exit status
// is not zero. If the webhook has the race detector and found a data race, the exit status is not zero.
func (w *Webhook) Terminate(ctx context.Context) error { return w.terminate(ctx) }

// LogEnd returns the last lines of the webhook's log.
func (w *Webhook) LogEnd() string { return w.logEnd() }

// Get returns the body of the response to a GET. It returns an error if the status is not 200.
func (w *Webhook) Get(ctx context.Context, url string) (string, error) { return fetch(ctx, url) }

// fetch returns the body of the response to a GET. It returns an error if the status is not 200.
func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return "", err // err names the URL
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s: %s", url, response.Status, strings.TrimSpace(string(body)))
	}
	return string(body), nil
}
