package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
)

// maxPlainConnections limits the number of open connections to a plain HTTP port. A probe takes a millisecond, and a scrape takes
// a few milliseconds. A connection takes about 16 KiB of memory, so a port takes at most 2 MiB.
//
// At the limit, a new connection closes the oldest connection of the source address that has the most connections. So the
// kubelet can always connect. A plain port has no ConnState hook, so each of its connections counts as idle and may be closed.
const maxPlainConnections = 128

// port is a plain HTTP server with its listener.
type port struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// listen binds an address but doesn't answer requests yet. If another process uses the port, listen returns an error. name is the
// name of the port in messages.
func listen(ctx context.Context, name, address string, handler http.Handler, log *slog.Logger) (*port, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serving the %s port: %w", name, err)
	}
	log.Info("serving", "port", name, "address", listener.Addr().String())
	return &port{name: name, listener: limitConnections(listener, maxPlainConnections, maxPlainConnections), server: &http.Server{
		Handler: handler,
		// Probes and scrapes are small and quick. These limits close the connection of a client that hangs.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 16,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

// serve answers requests until the context ends. Then it finishes open requests for at most 5 s.
func (p *port) serve(ctx context.Context) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err := p.server.Shutdown(grace)
		if errors.Is(err, context.DeadlineExceeded) {
			// For five seconds Shutdown counts a new connection as busy even if it has no request (net/http, closeIdleConns).
			err = p.server.Close()
		}
		stopped <- err
	}()
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving the %s port: %w", p.name, err)
	}
	if err := <-stopped; err != nil {
		return fmt.Errorf("closing the %s port: %w", p.name, err)
	}
	return nil
}

func (p *port) close() error { return p.listener.Close() }

func metricsMux(recorder *metrics.Recorder, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler(slog.NewLogLogger(log.Handler(), slog.LevelError)))
	return mux
}
