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

// Where the API server sends its reviews: those that may be refused, and those of requesters who
// never are.
const (
	webhookPath = "/validate-aws-auth"
	observePath = "/observe-aws-auth"
)

// Limits of the port, beside those on the number of connections and those of package admission on bodies and reviews.
// With maxConnections connections the receive buffers take at most 64 MiB and the headers of open streams 8 MiB.
const (
	// maxStreams bounds the requests at a time on a connection of HTTP/2. A client with more opens another connection.
	maxStreams = 8
	// streamBuffer bounds what the process holds of a body that no review has asked for. It is the window that HTTP/2
	// begins with (RFC 9113, section 6.9.2): a client may send as much before it knows a smaller one. As each stream
	// has room in the connection's buffer, none that waits keeps the body of another one back.
	streamBuffer     = 64 << 10
	connectionBuffer = maxStreams * streamBuffer
	// maxFrame bounds a frame of HTTP/2, whatever its type. The process keeps a buffer of the largest frame of each
	// connection. No client sends larger frames unless the server allows them (RFC 9113, section 4.2).
	maxFrame = 16 << 10
	// readTimeout bounds a request until a review asks for its body. Without it a request that is refused before would
	// keep its connection for as long as the client doesn't send the body.
	readTimeout = 5 * time.Second
	// maxHeader bounds the headers of a request. Those of an API server take less than 1 KiB, and a bearer token in its
	// AdmissionConfiguration some more.
	maxHeader = 8 << 10
	// handshakeTimeout bounds the handshake of TLS, and the headers of a request of HTTP/1.
	handshakeTimeout = 5 * time.Second
	// idleTimeout is after how long the process parts from an idle connection. An API server closes it after 90 s itself.
	idleTimeout = 2 * time.Minute
	// requestTimeout is longer than any review: the API server waits for one at most 30 s.
	requestTimeout = 40 * time.Second
	// writeTimeout bounds how long a client of HTTP/2 takes nothing of what is sent to it.
	writeTimeout = 5 * time.Second
	// stopTimeout bounds how long the process finishes reviews at its end.
	stopTimeout = time.Minute
)

// reviews is the port on which the API server asks.
//
// It is no webhook.Server of controller-runtime, as that has no hook for the limits: it makes its listener and its
// http.Server itself, with 100 streams and 1 MiB of receive buffer for each connection and 1 MiB of headers for each
// stream, and bounds neither the connections nor the time of a handshake (32 s) or an answer. So a pod that reaches the port
// could take all of the memory.
type reviews struct {
	server   *http.Server
	listener *connections
	serving  atomic.Bool   // whether connections are accepted
	delay    time.Duration // how long it goes on after it was told to stop
	leave    func()        // says that it will stop
	parting  atomic.Bool   // whether connections are ended after their next answer
	certs    servingcert.Source
	log      *slog.Logger
}

// newReviews binds the port for admission reviews, so that one that is taken is an error at the start.
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
	mux.Handle(webhookPath, parted(handler, &r.parting))
	mux.Handle(observePath, parted(handler.Observer(), &r.parting))
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
		ErrorLog: stdlog.New(&connectionErrors{log: log, sometimes: rate.Sometimes{First: 10, Interval: 10 * time.Second}}, "", 0),
	}
	return r, nil
}

// connectionErrors logs failed connections: the first few, and later one in each interval, as a caller can cause any
// number of them.
type connectionErrors struct {
	log       *slog.Logger
	sometimes rate.Sometimes
}

func (e *connectionErrors) Write(line []byte) (int, error) {
	e.sometimes.Do(func() { e.log.Warn("connection failed", "err", strings.TrimSpace(string(line))) })
	return len(line), nil
}

// close gives up a port that is not served.
func (r *reviews) close() error { return r.listener.Close() }

// started reports an error while the port is not served. It opens no connection: a probe costs nothing, and needs no
// place among the connections.
func (r *reviews) started(*http.Request) error {
	if !r.serving.Load() {
		return errors.New("the webhook's port is not served")
	}
	return nil
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

// logStart logs the address as soon as it is served, which needs a certificate.
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
