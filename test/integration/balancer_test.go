package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// lateServer calls the webhook like an API server that learns of each change of the caBundle only after the time lag.
type lateServer struct {
	s    *selfManaged
	lag  time.Duration
	seen []seenBundle
}

type seenBundle struct {
	at   time.Time
	text []byte
}

// ask calls the webhook on a new connection. It trusts only the newest caBundle that it read at least the time lag ago. Before
// this time, it trusts the first caBundle that it read.
func (l *lateServer) ask(ctx context.Context) error {
	bundles, err := l.s.readBundles(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	l.seen = append(l.seen, seenBundle{now, bundles[0]})
	for len(l.seen) > 1 && now.Sub(l.seen[1].at) >= l.lag {
		l.seen = l.seen[1:]
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.seen[0].text)
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: roots, ServerName: guard + "." + l.s.namespace + ".svc"},
		DisableKeepAlives: true,
	}}
	body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","resource":{"resource":"pods"}}}`
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+l.s.balancer.proxy.address()+"/validate-aws-auth", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var review admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&review); err != nil {
		return err
	}
	if review.Response == nil || !review.Response.Allowed {
		return errors.New("the webhook does not allow the request")
	}
	return nil
}

// balancer imitates a Service: it forwards each new connection to a ready replica.
type balancer struct {
	proxy *proxy
	mu    sync.Mutex
	next  int
	ready []string
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	b := new(balancer)
	b.proxy = newProxy(t, b.pick)
	return b
}

// pick returns the address of a ready replica, in turn, or "" if no replica is ready.
func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return ""
	}
	b.next++
	return b.ready[b.next%len(b.ready)]
}

// set records whether the replica with the address is ready.
func (b *balancer) set(address string, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = slices.DeleteFunc(b.ready, func(other string) bool { return other == address })
	if ready {
		b.ready = append(b.ready, address)
	}
}

func (b *balancer) port() int32 { return int32(b.proxy.listener.Addr().(*net.TCPAddr).Port) }

// proxy forwards TCP connections to the address that target returns, until a test calls cut.
type proxy struct {
	listener net.Listener
	target   func() string
	running  sync.WaitGroup
	// cut closes all connections. After it, the proxy closes new connections at once.
	cut context.CancelFunc

	mu     sync.Mutex
	dead   map[string]bool     // the addresses to which the proxy no longer connects
	served map[net.Conn]string // the clients, with the addresses to which they are connected
}

// kill closes all connections to an address. After it, the proxy connects no client to the address.
func (p *proxy) kill(address string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dead[address] = true
	for client, target := range p.served {
		if target == address {
			client.Close()
		}
	}
}

func (p *proxy) serve(ctx context.Context, client net.Conn) {
	target := p.target()
	p.mu.Lock()
	if p.dead[target] {
		target = "" // the proxy closes this connection at once
	}
	p.served[client] = target
	p.mu.Unlock()
	controlplane.Forward(ctx, client, target)
	p.mu.Lock()
	delete(p.served, client)
	p.mu.Unlock()
}

func newProxy(t *testing.T, target func() string) *proxy {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cut := context.WithCancel(context.WithoutCancel(t.Context())) // the cleanups of the test also use the proxy
	p := &proxy{listener: listener, target: target, cut: cut, dead: make(map[string]bool), served: make(map[net.Conn]string)}
	p.running.Go(func() { p.accept(ctx) })
	t.Cleanup(func() {
		listener.Close()
		p.cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.serve(ctx, client) })
	}
}
