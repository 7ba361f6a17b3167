package server

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
)

// maxPlainConnections is how many connections to a plain port are open at a time. A probe takes a millisecond and a scrape a
// few; each connection takes about 16 KiB, so that a port takes at most 2 MiB.
const maxPlainConnections = 128

// port is a plain HTTP server on a listener of its own.
type port struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// listen binds an address, so that a port that is taken is an error at the start.
func listen(ctx context.Context, name, address string, handler http.Handler, log *slog.Logger) (*port, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serving %s: %w", name, err)
	}
	log.Info("serving", "port", name, "address", listener.Addr().String())
	return &port{name: name, listener: &boundedListener{Listener: listener, most: maxPlainConnections}, server: &http.Server{
		Handler: handler,
		// Probes and scrapes are small and quick; these bounds keep a stuck client from holding on.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

// serve answers until the context ends, and then finishes what it has begun.
func (p *port) serve(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := p.server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			// A connection on which nothing has been asked yet counts as busy for five seconds (net/http, closeIdleConns).
			err = p.server.Close()
		}
		stopped <- err
	}()
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", p.name, err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("closing the port for %s: %w", p.name, err)
	}
	return nil
}

func (p *port) close() error { return p.listener.Close() }

// boundedListener keeps at most `most` connections open. It accepts every new one and closes the oldest instead: a client
// that holds many connections takes none from the kubelet, as it would if new ones had to wait.
type boundedListener struct {
	net.Listener

	most int
	mu   sync.Mutex
	open list.List // of *boundedConn, the oldest first
}

// Accept is that of a [net.Listener].
func (l *boundedListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &boundedConn{Conn: conn, listener: l}
	if oldest := l.add(c); oldest != nil {
		_ = oldest.Conn.Close() // nothing waits for its result
	}
	return c, nil
}

// add adds a connection, and returns the one that must be closed for it; nil where there is room.
func (l *boundedListener) add(c *boundedConn) *boundedConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.element = l.open.PushBack(c)
	if l.open.Len() <= l.most {
		return nil
	}
	oldest, _ := l.open.Remove(l.open.Front()).(*boundedConn)
	return oldest
}

// boundedConn is a connection that a boundedListener counts.
type boundedConn struct {
	net.Conn

	listener *boundedListener
	element  *list.Element
}

// Close is that of a [net.Conn]. It may be called twice.
func (c *boundedConn) Close() error {
	c.listener.mu.Lock()
	c.listener.open.Remove(c.element) // does nothing where it was removed before
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

func metricsMux(recorder *metrics.Recorder, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler(slog.NewLogLogger(log.Handler(), slog.LevelError)))
	return mux
}
