package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/awsauth-guard/awsauth-guard/internal/admission"
	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// Paths of the two webhooks: the enforcing webhook can refuse a request, the observing webhook never does.
const (
	webhookPath = "/validate-aws-auth"
	observePath = "/observe-aws-auth"
)

// Limits of the webhook port. connections.go limits the number of connections, and package admission limits bodies and
// reviews. With maxConnections connections the receive buffers take at most 64 MiB and the headers of open streams 8 MiB.
const (
	// maxStreams limits the concurrent requests on an HTTP/2 connection. A client with more requests opens another one.
	maxStreams = 8
	// streamBuffer limits the bytes of a body that the process holds before a review reads the body. It is the initial
	// window of HTTP/2 (RFC 9113, section 6.9.2): a client may send this much before it learns of a smaller window. The
	// connection's buffer has room for every stream, so a waiting stream never delays the body of another stream.
	streamBuffer     = 64 << 10
	connectionBuffer = maxStreams * streamBuffer
	// maxFrame limits the size of HTTP/2 frames of every type. For each connection the process keeps a buffer of the size
	// of its largest frame. Clients must not send larger frames unless the server allows them (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// readTimeout limits a request until a review starts to read its body. Without this limit, a request that is refused
	// earlier would keep its connection open until the client sends the body.
	readTimeout = 5 * time.Second
	// maxHeader limits the headers of a request. Headers from an API server take less than 1 KiB; a bearer token from its
	// AdmissionConfiguration adds some more.
	maxHeader = 8 << 10
	// handshakeTimeout limits the TLS handshake and the headers of an HTTP/1 request.
	handshakeTimeout = 5 * time.Second
	// idleTimeout is how long the process keeps an idle connection open. An API server closes it after 90 s.
	idleTimeout = 2 * time.Minute
	// requestTimeout is longer than any review, because the API server waits at most 30 s for a review.
	requestTimeout = 40 * time.Second
	// writeTimeout limits how long an HTTP/2 client can stop reading the response.
	writeTimeout = 5 * time.Second
	// stopTimeout limits how long the process finishes open reviews during shutdown.
	stopTimeout = time.Minute
)

// reviews is the port to which the API server sends reviews.
//
// It doesn't use the webhook.Server of controller-runtime, because that server offers no way to set these limits. It makes
// its own listener and http.Server, with 100 streams and 1 MiB of receive buffer for each connection and 1 MiB of headers
// for each stream. It doesn't limit the number of connections or the time for a response, and allows 32 s for a handshake.
// So a pod that reaches the port could use up all memory.
type reviews struct {
	server     *http.Server
	listener   *connections
	serving    atomic.Bool   // the port accepts connections
	delay      time.Duration // how long it accepts reviews after the context ends
	onShutdown func()        // called once when shutdown begins
	draining   atomic.Bool   // each connection ends after its next response
	certs      servingcert.Source
	log        *slog.Logger
}

// newReviews binds the port for admission reviews, so that a port in use is an error at the start.
func newReviews(ctx context.Context, o *Options, certs servingcert.Source, handler *admission.Handler, log *slog.Logger) (*reviews, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certs.GetCertificate}
	if o.ClientCAFile != "" {
		if err := verifyClients(config, o.ClientCAFile, o.ClientName, log); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return nil, fmt.Errorf("serving webhook: %w", err)
	}
	r := &reviews{listener: limitConnections(listener, maxConnections, maxPerSource), delay: o.ShutdownDelay, certs: certs, log: log}
	mux := http.NewServeMux()
	mux.Handle(webhookPath, closeWhenDraining(handler, &r.draining))
	mux.Handle(observePath, closeWhenDraining(handler.Observer(), &r.draining))
	r.server = &http.Server{
		Handler:           mux,
		TLSConfig:         config,
		ConnState:         r.listener.note,
		ReadHeaderTimeout: handshakeTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          maxStreams,
			MaxReadFrameSize:              maxFrame,
			MaxReceiveBufferPerStream:     streamBuffer,
			MaxReceiveBufferPerConnection: connectionBuffer,
			WriteByteTimeout:              writeTimeout,
		},
		ErrorLog: stdlog.New(&connectionErrors{log: log, throttle: rate.Sometimes{First: 10, Interval: 10 * time.Second}}, "", 0),
	}
	return r, nil
}

// connectionErrors is an [io.Writer] that logs failed connections: the first few, and later one in each interval. It
// throttles the log because a client can cause any number of failures.
type connectionErrors struct {
	log      *slog.Logger
	throttle rate.Sometimes
}

func (e *connectionErrors) Write(line []byte) (int, error) {
	e.throttle.Do(func() { e.log.Warn("connection failed", "err", strings.TrimSpace(string(line))) })
	return len(line), nil
}

// close closes the port's listener. Call it instead of serve, if the process can't start.
func (r *reviews) close() error { return r.listener.Close() }

// started returns an error while the port doesn't accept connections. It opens no connection itself, so a probe doesn't
// count towards the connection limits.
func (r *reviews) started(*http.Request) error {
	if !r.serving.Load() {
		return errors.New("the webhook's port is not served")
	}
	return nil
}

// closeWhenDraining makes callers open a new connection, and so reach another replica, while draining is true. During shutdown
// net/http closes an idle HTTP/2 connection without a GOAWAY frame, and a review that the caller sends at that moment is
// lost. With the header "Connection: close" the server sends GOAWAY first, and the caller sends the review again.
func closeWhenDraining(handler http.Handler, draining *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// serve answers reviews until the context ends. Then it calls onShutdown and still answers reviews for the delay, because it
// takes some time until an API server stops sending reviews to this process. In the second half of the delay
// new connections go to other replicas, and serve ends open connections after their next response. At the end it finishes
// open reviews for at most stopTimeout.
func (r *reviews) serve(ctx context.Context) error {
	open, closing := context.WithCancel(context.WithoutCancel(ctx))
	defer closing()
	go func() {
		select {
		case <-ctx.Done():
		case <-open.Done():
			return
		}
		r.onShutdown()
		for range 2 {
			timer := time.NewTimer(r.delay / 2)
			select {
			case <-timer.C:
			case <-open.Done():
			}
			timer.Stop()
			r.draining.Store(true)
		}
		closing()
	}()
	go r.logStart(open)
	stopped := make(chan error, 1)
	go func() {
		<-open.Done()
		r.serving.Store(false)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
		defer cancel()
		stopped <- r.server.Shutdown(grace)
	}()
	r.serving.Store(true)
	if err := r.server.ServeTLS(r.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		r.serving.Store(false)
		return fmt.Errorf("serving webhook: %w", err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("closing the port for webhook: %w", err)
	}
	return nil
}

// logStart logs the address as soon as a serving certificate exists, because the port can't serve without one.
func (r *reviews) logStart(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if cert, err := r.certs.GetCertificate(nil); err == nil && cert != nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	r.log.Info("serving", "port", "webhook", "address", r.listener.Addr().String(), "paths", []string{webhookPath, observePath})
}
