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

// Paths of the two webhooks. The enforcing webhook has the path webhookPath and can refuse a request. The observing webhook has
// the path observePath and admits every request.
const (
	webhookPath = "/validate-aws-auth"
	observePath = "/observe-aws-auth"
)

// Limits of the webhook port. connections.go limits the number of connections, and package admission limits bodies and
// reviews. With maxConnections connections the receive buffers take at most 64 MiB and the headers of open streams 8 MiB.
const (
	// maxStreams limits the concurrent requests on an HTTP/2 connection. A client with more requests opens another
	// connection.
	maxStreams = 8
	// streamBuffer limits the bytes of a body that the process holds before a review reads the body. It is the initial
	// window of HTTP/2 (RFC 9113, section 6.9.2), because a client may send this much before it learns of a smaller window.
	// connectionBuffer has room for every stream of a connection, so a waiting stream never delays the body of another stream.
	streamBuffer     = 64 << 10
	connectionBuffer = maxStreams * streamBuffer
	// maxFrame limits the size of HTTP/2 frames of every type. For each connection the process keeps a buffer of the size
	// of the largest frame that it received. 16 KiB is the smallest limit that HTTP/2 permits (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// readTimeout limits the time from the start of a request until a review reads its body. The process may refuse a request
	// before it reads the body. Then this limit ends the connection, even if the client never sends the body.
	readTimeout = 5 * time.Second
	// maxHeader limits the headers of a request. Headers from an API server take less than 1 KiB; a bearer token from its
	// AdmissionConfiguration adds some more.
	maxHeader = 8 << 10
	// handshakeTimeout limits the TLS handshake and the headers of an HTTP/1 request.
	handshakeTimeout = 5 * time.Second
	// idleTimeout is how long the process keeps an idle connection open. An API server closes it after 90 s.
	idleTimeout = 2 * time.Minute
	// requestTimeout limits the time for a request and its response. It is longer than any review: the API server waits at
	// most 30 s for a review.
	requestTimeout = 40 * time.Second
	// writeTimeout ends an HTTP/2 connection whose client reads no byte of a response for this long.
	writeTimeout = 5 * time.Second
	// stopTimeout limits how long the process waits for open reviews during shutdown.
	stopTimeout = time.Minute
)

// reviews is the port to which the API server sends reviews.
//
// This port doesn't use the webhook.Server of controller-runtime, because a program can't change the limits of that server:
//
//   - A connection has 100 streams and 1 MiB of receive buffer, and a stream has 1 MiB of headers.
//   - A handshake may take 32 s.
//   - The number of connections and the time for a response have no limit.
//
// So a pod that reaches the port could use up all memory.
type reviews struct {
	server     *http.Server
	listener   *connections
	serving    atomic.Bool   // the port accepts connections
	delay      time.Duration // how long the port accepts reviews after the context ends
	onShutdown func()        // serve calls it once when shutdown begins
	draining   atomic.Bool   // each connection ends after its next response
	certs      servingcert.Source
	log        *slog.Logger
}

// newReviews binds the port for admission reviews but doesn't answer reviews yet. If another process uses the port, newReviews
// returns an error.
func newReviews(ctx context.Context, o *Options, certs servingcert.Source, handler *admission.Handler, log *slog.Logger) (*reviews, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: certs.GetCertificate}
	if o.ClientCAFile != "" {
		if err := verifyClients(config, o.ClientCAFile, o.ClientName, log); err != nil {
			return nil, err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(o.host, strconv.Itoa(o.port)))
	if err != nil {
		return nil, fmt.Errorf("serving the webhook port: %w", err)
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

// connectionErrors is an [io.Writer] that logs failed connections. It throttles the log, because a client can cause any number
// of failures.
type connectionErrors struct {
	log      *slog.Logger
	throttle rate.Sometimes
}

func (e *connectionErrors) Write(line []byte) (int, error) {
	e.throttle.Do(func() { e.log.Warn("connection failed", "err", strings.TrimSpace(string(line))) })
	return len(line), nil
}

// close closes the port's listener. It is for a process that can't start and therefore doesn't call serve.
func (r *reviews) close() error { return r.listener.Close() }

// started returns nil if the port accepts connections, otherwise an error. It opens no connection, so a probe doesn't count
// towards the connection limits.
func (r *reviews) started(*http.Request) error {
	if !r.serving.Load() {
		return errors.New("the server for the webhook's port is not running")
	}
	return nil
}

// closeWhenDraining returns a handler that ends each connection after the next response while draining is true. The caller then
// opens a new connection to another replica.
//
// Without this, net/http would close idle HTTP/2 connections at shutdown and send no GOAWAY frame. A review that a caller sends
// at that moment would fail. With the header "Connection: close" the server sends GOAWAY first, and the caller sends such a
// review again.
func closeWhenDraining(handler http.Handler, draining *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// serve answers reviews until the context ends. Then it calls onShutdown. It still answers reviews for the delay, because an
// API server needs some time until it stops sending reviews to this process. In the second half of the delay, serve ends each
// open connection after its next response, and the API server connects to another replica. After the delay, serve accepts no
// more connections and finishes open reviews for at most stopTimeout.
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
		return fmt.Errorf("serving the webhook port: %w", err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("waiting for the last reviews: %w", err)
	}
	return nil
}

// logStart logs the address of the port. It first waits for a serving certificate, because the port can't serve before.
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
