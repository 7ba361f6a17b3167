package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// Where the API server sends its reviews: those that may be refused, and those of requesters who
// never are.
const (
	webhookPath = "/validate-aws-auth"
	observePath = "/observe-aws-auth"
)

// reviews is the port on which the API server asks, served by controller-runtime.
type reviews struct {
	server  webhook.Server
	address string
	delay   time.Duration // how long it goes on after it was told to stop
	leave   func()        // says that it will stop
	parting *atomic.Bool  // whether connections are ended after their next answer
	certs   servingcert.Source
	log     *slog.Logger
}

// newReviews returns the server of admission reviews. It listens when it is started.
func newReviews(ctx context.Context, o *Options, certs servingcert.Source, handler *admission.Handler, log *slog.Logger) (*reviews, error) {
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
			c.GetCertificate = certs.GetCertificate
		}},
	})
	parting := new(atomic.Bool)
	server.Register(webhookPath, parted(handler, parting))
	server.Register(observePath, parted(handler.Observer(), parting))
	return &reviews{server: server, parting: parting, address: net.JoinHostPort(o.host, strconv.Itoa(number)), delay: o.ShutdownDelay, certs: certs, log: log}, nil
}

// parted sends callers to another connection, and so to another replica, while the process leaves. At
// its end net/http closes an idle connection of HTTP/2 without a word, and a review that is sent at
// that moment is lost; after this header the other side is told first, by GOAWAY, and sends it again.
func parted(handler http.Handler, parting *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if parting.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// Ports among which freePort looks, below those that Linux gives to outgoing connections (ip(7),
// ip_local_port_range: 32768 and above): none of them is taken so before it is listened on.
const (
	firstPort = 20_000
	ports     = 32_768 - firstPort
)

// freePort finds a port on which nobody listens at the moment.
func freePort(ctx context.Context, host string) (number int, err error) {
	for range 100 {
		number = firstPort + rand.N(ports) //nolint:gosec // no secret
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(number))); err == nil {
			return number, l.Close()
		}
	}
	return 0, err
}

// serve answers until the context ends, says then that it leaves, and goes on to answer for the
// delay. The API server learns only after a while that an address is gone, and a review that finds
// no listener is lost. In the second half of the delay, when new connections go elsewhere, it parts
// from those that are open. Reviews in flight are finished.
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
		for range 2 {
			timer := time.NewTimer(r.delay / 2)
			select {
			case <-timer.C:
			case <-open.Done():
			}
			timer.Stop()
			r.parting.Store(true)
		}
		closing()
	}()
	go r.logStart(open)
	if err := r.server.Start(open); err != nil {
		return fmt.Errorf("serving webhook: %w", err)
	}
	return nil
}

// answers reports whether the port answers, by a TLS handshake. Without a certificate it does not try: each attempt would
// be a failed handshake and a line in the log.
func (r *reviews) answers() error {
	if _, err := r.certs.GetCertificate(nil); err != nil {
		return err
	}
	return r.server.StartedChecker()(nil)
}

// logStart logs the address as soon as it is served.
func (r *reviews) logStart(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for r.answers() != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	r.log.Info("serving", "port", "webhook", "address", r.address, "paths", []string{webhookPath, observePath})
}
