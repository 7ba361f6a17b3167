package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// probeInterval is the time between two rounds of readiness probes. A round probes every backend.
const probeInterval = 100 * time.Millisecond

// balancer is a TCP load balancer such as a Service. It forwards a new connection to a backend that was ready at its last
// probe. An open connection stays with its backend. The balancer makes no retries.
type balancer struct {
	listener net.Listener

	mu       sync.Mutex
	backends []*backend
	next     int
	conns    sync.WaitGroup
}

// backend is a webhook behind a balancer.
type backend struct {
	webhook *controlplane.Webhook
	ready   bool
	served  int // number of connections
}

// newBalancer returns a balancer that runs until the test ends.
func newBalancer(t *testing.T) *balancer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: listener}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(func() {
		cancel()
		_ = listener.Close() // an error would have no effect on the test
		b.conns.Wait()
	})
	b.conns.Go(func() { b.accept(ctx) })
	b.conns.Go(func() { b.probe(ctx) })
	return b
}

// add adds a backend. The backend gets connections after its first successful probe.
func (b *balancer) add(w *controlplane.Webhook) *backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	added := &backend{webhook: w}
	b.backends = append(b.backends, added)
	return added
}

// remove removes a backend whose webhook has ended.
func (b *balancer) remove(gone *backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.backends = slices.DeleteFunc(b.backends, func(x *backend) bool { return x == gone })
}

// ready returns the number of backends that get connections.
func (b *balancer) ready() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, x := range b.backends {
		if x.ready {
			n++
		}
	}
	return n
}

func (b *balancer) probe(ctx context.Context) {
	client := &http.Client{Timeout: time.Second}
	defer client.CloseIdleConnections()
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for ctx.Err() == nil {
		b.mu.Lock()
		backends := slices.Clone(b.backends)
		b.mu.Unlock()
		for _, x := range backends {
			ready := isReady(ctx, client, x.webhook.Ready)
			b.mu.Lock()
			x.ready = ready
			b.mu.Unlock()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func isReady(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}

func (b *balancer) accept(ctx context.Context) {
	for {
		client, err := b.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			b.conns.Go(func() { b.forward(ctx, client) })
		}
	}
}

// pick returns the next backend that is ready, or nil.
func (b *balancer) pick() *backend {
	b.mu.Lock()
	defer b.mu.Unlock()
	for range b.backends {
		b.next++
		if x := b.backends[b.next%len(b.backends)]; x.ready {
			x.served++
			return x
		}
	}
	return nil
}

// forward forwards a client's connection to a ready backend. If no backend is ready, it closes the connection.
func (b *balancer) forward(ctx context.Context, client net.Conn) {
	to := b.pick()
	if to == nil {
		_ = client.Close() // the client notices the end of the connection even after an error
		return
	}
	controlplane.Forward(ctx, client, to.webhook.Address)
}
