package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

// TestRollingRestartLosesNoReview replaces two webhooks behind a load balancer, one after the other, as a Deployment does.
// Meanwhile, clients send reviews on connections like those of the API server. Every review gets the right answer.
func TestRollingRestartLosesNoReview(t *testing.T) {
	host := newHost(t)
	b := newBalancer(t)
	start := func() *backend {
		t.Helper()
		// The webhook still serves for this time after SIGTERM. In 1 s, the balancer probes about ten times. The default is
		// 10 s, which is longer than the kubelet's probes and the propagation of endpoints to every node take in a cluster.
		w, err := host.StartWebhook(t.Context(), configA, "--shutdown-delay=1s")
		if err != nil {
			t.Fatal(err)
		}
		return b.add(w)
	}
	old := []*backend{start(), start()}
	waitForReady(t, b, 2)

	cases, err := newCases()
	if err != nil {
		t.Fatal(err)
	}
	l := &load{
		url:       "https://" + b.listener.Addr().String() + "/validate-aws-auth?timeout=" + reviewTimeout.String(),
		newClient: func() *http.Client { return host.Client(90 * time.Second) }, schedule: newSchedule(cases, nil), now: time.Now,
	}
	l.setConfig(usesA)
	stop := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	running.Go(func() { l.run(t.Context(), 8, 2, stop) })

	var fresh []*backend
	for _, x := range old {
		fresh = append(fresh, start()) // before an old webhook ends, as with the default maxSurge of a Deployment
		waitForReady(t, b, 3)
		terminate(t, x)
		b.remove(x)
	}
	before := l.done.Load()
	waitUntil(t, func() bool { return l.done.Load() > before+500 })
	end()
	running.Wait()

	for i, x := range append(old, fresh...) {
		b.mu.Lock()
		if x.served == 0 {
			t.Errorf("the balancer forwarded no connection to webhook %d", i+1)
		}
		b.mu.Unlock()
	}
	t.Logf("%d reviews, %d lost, %d wrong, p50 %s, p99 %s", l.reviews, l.lost, l.wrong, l.percentile(.5), l.percentile(.99))
	if l.lost > 0 || l.wrong > 0 {
		t.Errorf("%d lost, %d wrong:\n%s", l.lost, l.wrong, strings.Join(l.examples, "\n"))
	}
}

// terminate ends a webhook with SIGTERM, as the kubelet does, and waits for its end.
func terminate(t *testing.T, x *backend) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := x.webhook.Terminate(ctx); err != nil {
		t.Error(err)
	}
}

// waitTimeout limits each wait of the test. A wait takes a second or two on an idle machine.
const waitTimeout = 30 * time.Second

func waitForReady(t *testing.T, b *balancer, ready int) {
	t.Helper()
	waitUntil(t, func() bool { return b.ready() == ready })
}

func waitUntil(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitTimeout)
	defer cancel()
	if err := controlplane.Poll(ctx, func(context.Context) error {
		if !holds() {
			return errors.New("the awaited state is not reached")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func newHost(t *testing.T) *controlplane.Host {
	t.Helper()
	host, err := controlplane.NewHost(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := host.Stop(); err != nil {
			t.Error(err)
		}
	})
	return host
}
