package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// webhookPath is where the API server sends its reviews.
const webhookPath = "/validate-aws-auth"

// newWebhook returns the server of admission reviews. It listens when it is started.
func newWebhook(ctx context.Context, o *Options, certs *certificates, handler http.Handler, log *slog.Logger) (webhook.Server, error) {
	number := o.port
	if number == 0 { // which controller-runtime takes for its own default
		var err error
		if number, err = freePort(ctx, o.host); err != nil {
			return nil, fmt.Errorf("serving webhook: %w", err)
		}
	}
	server := webhook.NewServer(webhook.Options{
		Host: o.host,
		Port: number,
		TLSOpts: []func(*tls.Config){func(c *tls.Config) {
			c.MinVersion = tls.VersionTLS13
			c.GetCertificate = certs.watcher.GetCertificate
		}},
	})
	server.Register(webhookPath, handler)
	log.Info("serving", "port", "webhook", "address", net.JoinHostPort(o.host, strconv.Itoa(number)), "path", webhookPath)
	return server, nil
}

// freePort finds a port on which nobody listens at the moment.
func freePort(ctx context.Context, host string) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return 0, err
	}
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	return strconv.Atoi(text)
}

// certificates is the serving certificate, reloaded when its files change.
type certificates struct{ watcher *certwatcher.CertWatcher }

// newCertificates reads tls.crt and tls.key; a process without a certificate cannot serve.
func newCertificates(folder string) (*certificates, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	return &certificates{watcher}, nil
}

// watch reloads the certificate until the context ends. Without a watch the process would go on
// until the certificate expires and then fail, so that it fails at once.
func (c *certificates) watch(ctx context.Context) error {
	if err := c.watcher.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watching the serving certificate: %w", err)
	}
	return nil
}

// loaded is a health check.
func (c *certificates) loaded(*http.Request) error {
	cert, err := c.watcher.GetCertificate(nil)
	if err == nil && cert == nil {
		err = errors.New("no serving certificate is loaded")
	}
	return err
}
