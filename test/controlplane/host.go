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

// Host is where webhooks run: a temporary folder with the program, and a CA that signs their
// certificates. It needs no API server.
type Host struct {
	*processes
	ca       *authority
	build    *process // of the webhook
	webhooks int      // that were started
}

// NewHost begins to build the webhook. Everything on the host runs until Stop is called or ctx ends.
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

// Stop ends everything that was started and removes what it wrote.
func (h *Host) Stop() error { return h.stop() }

// TLS returns what a client of the webhooks needs to trust them.
func (h *Host) TLS() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(h.ca.pem)
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// Client returns an HTTP client with its own connections and the transport settings that the API server uses for webhooks
// (k8s.io/client-go v0.36, transport/cache.go): HTTP/2, with net/http's retries. The client closes a connection that was
// unused for the time idle. The API server uses 90 s.
func (h *Host) Client(idle time.Duration) *http.Client {
	return &http.Client{Transport: utilnet.SetTransportDefaults(&http.Transport{
		TLSHandshakeTimeout: 10 * time.Second,
		TLSClientConfig:     h.TLS(),
		MaxIdleConnsPerHost: 25,
		IdleConnTimeout:     idle,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
	})}
}

// buildWebhook begins to build, with the race detector where this program has it.
func (h *Host) buildWebhook(ctx context.Context) (err error) {
	args := []string{"build", "-ldflags=-w", "-o", h.binary()} // without tables for debuggers, which take a third of the time
	if Race() {
		args = append(args, "-race")
	}
	args = append(args, "github.com/awsauth-guard/awsauth-guard/cmd/webhook")
	h.build, err = h.start(ctx, "go build", "go", args...)
	return err
}

func (h *Host) binary() string { return filepath.Join(h.dir, "awsauth-guard-webhook") }

// Race reports whether this program, and so the webhook, is built with the race detector.
func Race() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// Webhook is the real program as a process of its own.
type Webhook struct {
	// Address is where it serves reviews, as host:port.
	Address string
	// URL is what the API server calls; Metrics, Health and Ready are for everybody.
	URL, Metrics, Health, Ready string

	*process
	ca             *authority
	certs, configs *volume
}

// configFile is the GuardConfig's name in its folder.
const configFile = "guardconfig.yaml"

// StartWebhook starts the webhook with a GuardConfig (none when it is empty) and more flags, and
// waits until it says that it is ready. It runs until it is stopped, the host is, or ctx ends.
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

// SwapCertificate gives the webhook a new certificate as the kubelet does, and returns it. The
// webhook serves it a moment later.
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

// Configure replaces the GuardConfig as the kubelet does. The webhook reads it a moment later.
func (w *Webhook) Configure(guardConfig string) error {
	if err := w.configs.write(map[string][]byte{configFile: []byte(guardConfig)}); err != nil {
		return fmt.Errorf("writing the GuardConfig: %w", err)
	}
	return nil
}

// PID is the process id.
func (w *Webhook) PID() int { return w.cmd.Process.Pid }

// Log is the file with what the webhook writes. It is appended to, and may be truncated.
func (w *Webhook) Log() string { return w.log }

// Terminate asks the webhook to end as the kubelet does. Its error is an exit status other than
// zero, which is also what a data race leads to.
func (w *Webhook) Terminate(ctx context.Context) error { return w.terminate(ctx) }

// LogEnd returns the last lines that the webhook has logged.
func (w *Webhook) LogEnd() string { return w.logEnd() }

// Get returns the body of an answer with the status 200.
func (w *Webhook) Get(ctx context.Context, url string) (string, error) { return fetch(ctx, url) }

// fetch returns the body of an answer with the status 200.
func fetch(ctx context.Context, url string) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("asking %s: %w", url, err)
	}
	response, err := httpClient.Do(request)
	if err != nil {
		return "", err // it names the URL
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
