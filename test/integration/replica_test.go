package integration_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	typedadmissionregistrationv1 "k8s.io/client-go/kubernetes/typed/admissionregistration/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/awsauth-guard/awsauth-guard/internal/logtest"
	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

type configs = typedadmissionregistrationv1.ValidatingWebhookConfigurationInterface

// replica is a webhook in this process. It reaches the API server by a proxy that can be cut.
type replica struct {
	webhook atomic.Pointer[string] // nil before it is served
	ready   atomic.Bool
	severed atomic.Bool
	log     *logtest.Log
	api     *proxy
	stop    func() // as by SIGTERM; waits until it has ended
	s       *selfManaged
}

// start starts a replica, which the balancer uses once it is ready.
func (s *selfManaged) start(t *testing.T) *replica {
	t.Helper()
	r := &replica{log: new(logtest.Log), s: s}
	apiServer, err := url.Parse(cluster.Admin.Host)
	if err != nil {
		t.Fatal(err)
	}
	r.api = newProxy(t, func() string { return apiServer.Host })
	o := server.DefaultOptions()
	o.CertSecret, o.Service, o.WebhookConfiguration = s.namespace+"/"+guard, s.namespace+"/"+guard, s.config()
	o.Kubeconfig = r.kubeconfig(t)
	o.WebhookAddress, o.MetricsAddress, o.HealthAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	o.ShutdownDelay, o.CertTiming, o.ElectionTiming, o.ServicePort = time.Second, s.timing, hastyElection(), s.balancer.port()
	if s.adjust != nil {
		s.adjust(o)
	}
	if err := o.Complete(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx, o, slog.New(slog.NewJSONHandler(r.log, nil))); err != nil {
			t.Errorf("a replica ends: %v", err)
		}
	})
	r.stop = func() { cancel(); running.Wait() }
	running.Go(func() { r.probe(ctx) })
	t.Cleanup(r.stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log of a replica:\n%s", r.log)
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = append(s.replicas, r)
	return r
}

// kubeconfig leads to the proxy, without any user.
func (r *replica) kubeconfig(t *testing.T) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["x"] = &clientcmdapi.Cluster{Server: "https://" + r.api.address(), CertificateAuthorityData: cluster.Admin.CAData}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "x"}
	config.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// sever is the end of a replica for everybody but those who are connected: it can hand over nothing,
// and gets no new connections.
func (r *replica) sever() {
	r.severed.Store(true)
	r.api.cut()
	r.s.forget(r)
}

// kill is the end of a replica for everybody, in the middle of whatever it does.
func (r *replica) kill() {
	r.sever()
	r.s.balancer.set(*r.webhook.Load(), false)
	r.s.balancer.proxy.kill(*r.webhook.Load())
}

func (s *selfManaged) forget(r *replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas = slices.DeleteFunc(s.replicas, func(other *replica) bool { return other == r })
}

func (s *selfManaged) running() []*replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.replicas)
}

// leader is the running replica that has said last that it leads.
func (s *selfManaged) leader(t *testing.T) (leader *replica) {
	t.Helper()
	last := ""
	for _, r := range s.running() {
		for _, line := range r.lines("this replica maintains the serving CAs") {
			if at := fmt.Sprint(line["time"]); at > last {
				leader, last = r, at
			}
		}
	}
	if leader == nil {
		t.Fatal("nobody leads")
	}
	return leader
}

func (r *replica) address(port string) string {
	for _, line := range r.lines("serving") {
		if line["port"] == port {
			return fmt.Sprint(line["address"])
		}
	}
	return ""
}

// wantReady waits until the replica is ready.
func (r *replica) wantReady(t *testing.T, within time.Duration) {
	t.Helper()
	until(t, "the replica is ready", within, func(context.Context) error { return missing(!r.ready.Load(), "it is not ready") })
}

// probe does what the kubelet and the endpoints do, until the replica ends.
func (r *replica) probe(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		ready := !r.severed.Load() && r.isReady(ctx)
		if address := r.address("webhook"); address != "" {
			r.webhook.Store(&address)
			r.s.balancer.set(address, ready)
		}
		r.ready.Store(ready && r.webhook.Load() != nil) // the address is logged a moment later
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	if address := r.webhook.Load(); address != nil {
		r.s.balancer.set(*address, false)
	}
	r.s.forget(r)
}

func (r *replica) isReady(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address("health")+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// leaf is the certificate that the replica serves.
func (r *replica) leaf(ctx context.Context) (*x509.Certificate, error) {
	if r.webhook.Load() == nil {
		return nil, errors.New("it does not serve yet")
	}
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := dialer.DialContext(ctx, "tcp", *r.webhook.Load())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

func (r *replica) lines(message string) (list []map[string]any) {
	for line := range strings.Lines(r.log.String()) {
		if !strings.Contains(line, message) {
			continue // most lines of a log, which is read twenty times a second
		}
		var attrs map[string]any
		if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == message {
			list = append(list, attrs)
		}
	}
	return list
}
