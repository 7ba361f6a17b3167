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

// replica is a webhook that runs in the test's process. It reaches the API server through a proxy, whose connections the test
// can cut.
type replica struct {
	webhook atomic.Pointer[string] // the address; nil until the replica serves
	ready   atomic.Bool
	severed atomic.Bool
	log     *logtest.Log
	api     *proxy
	stop    func() // ends the replica as SIGTERM does, and waits for its end
	s       *selfManaged
}

// start starts a replica. The balancer forwards connections to the replica when it is ready.
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

// kubeconfig returns the path of a kubeconfig that leads to the proxy. It has no user.
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

// sever cuts the replica off from the API server and removes it from the balancer. The connections that clients have
// to the replica stay open. The replica can't release its Lease.
func (r *replica) sever() {
	r.severed.Store(true)
	r.api.cut()
	r.s.forget(r)
}

// kill cuts the replica off from the API server and from all clients, as SIGKILL would.
func (r *replica) kill() {
	r.sever()
	r.s.balancer.set(*r.webhook.Load(), false)
	r.s.balancer.proxy.kill(*r.webhook.Load())
}

// forget removes a replica from the list of running replicas.
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

// leader returns the running replica that became the leader last, according to the replicas' logs.
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
		t.Fatal("no replica leads")
	}
	return leader
}

// address returns the address at which the replica serves a port, such as metrics. It reads the address from the log, and returns
// "" if the log doesn't have it yet.
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
	until(t, "the replica is ready", within, func(context.Context) error { return errorIf(!r.ready.Load(), "it is not ready") })
}

// probe calls the readiness endpoint repeatedly, as the kubelet does, until the replica ends. It tells the balancer
// the result.
func (r *replica) probe(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		ready := !r.severed.Load() && r.isReady(ctx)
		if address := r.address("webhook"); address != "" {
			r.webhook.Store(&address)
			r.s.balancer.set(address, ready)
		}
		r.ready.Store(ready && r.webhook.Load() != nil) // the replica may be ready shortly before its log has its address
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

// leaf returns the certificate that the replica serves.
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

// lines returns the attributes of each line of the replica's log with the message.
func (r *replica) lines(message string) (list []map[string]any) {
	for line := range strings.Lines(r.log.String()) {
		if !strings.Contains(line, message) {
			continue // decode only the lines with the message, because the tests read the log twenty times a second
		}
		var attrs map[string]any
		if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == message {
			list = append(list, attrs)
		}
	}
	return list
}
