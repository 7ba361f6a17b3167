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
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
)

// webhookPath is where the API server sends its reviews.
const webhookPath = "/validate-aws-auth"

// reviews is the port on which the API server asks, served by controller-runtime.
type reviews struct {
	server  webhook.Server
	address string
	delay   time.Duration // how long it goes on after it was told to stop
	leave   func()        // says that it will stop
	log     *slog.Logger
}

// newReviews returns the server of admission reviews. It listens when it is started.
func newReviews(ctx context.Context, o *Options, certs *certificates, handler http.Handler, log *slog.Logger) (*reviews, error) {
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
	return &reviews{server: server, address: net.JoinHostPort(o.host, strconv.Itoa(number)), delay: o.ShutdownDelay, log: log}, nil
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

// serve answers until the context ends, says then that it leaves, and goes on to answer for the
// delay. The API server learns only after a while that an address is gone, and a review that finds
// no listener is lost. Reviews in flight are finished.
func (r *reviews) serve(ctx context.Context) error {
	open, closing := context.WithCancel(context.WithoutCancel(ctx))
	defer closing()
	go func() {
		select {
		case <-ctx.Done():
		case <-open.Done():
			return
		}
		r.leave()
		timer := time.NewTimer(r.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-open.Done():
		}
		closing()
	}()
	go r.logStart(open)
	if err := r.server.Start(open); err != nil {
		return fmt.Errorf("serving webhook: %w", err)
	}
	return nil
}

// logStart logs the address as soon as it is served.
func (r *reviews) logStart(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for started := r.server.StartedChecker(); started(nil) != nil; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	r.log.Info("serving", "port", "webhook", "address", r.address, "path", webhookPath)
}

// certificates is the serving certificate, reloaded when its files change.
type certificates struct{ watcher *certwatcher.CertWatcher }

// newCertificates reads tls.crt and tls.key; a process without a certificate cannot serve.
func newCertificates(folder string) (*certificates, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	// It watches the files and reads them from time to time as well; an event that it misses while
	// they are swapped costs this long. Reading two small files takes no time worth saving.
	return &certificates{watcher.WithWatchInterval(2 * time.Second)}, nil
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
