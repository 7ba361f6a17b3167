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

// maxPlainConnections is how many connections to a plain port are open at a time. A probe takes a millisecond and a scrape a
// few; each connection takes about 16 KiB, so that a port takes at most 2 MiB. No request is noted, so that every connection
// counts as idle: a new one takes the place of the oldest one of the source that has the most, and the kubelet gets in.
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
	return &port{name: name, listener: limitConnections(listener, maxPlainConnections, maxPlainConnections), server: &http.Server{
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

func metricsMux(recorder *metrics.Recorder, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recorder.Handler(slog.NewLogLogger(log.Handler(), slog.LevelError)))
	return mux
}
