package server_test

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// After the stop signal the process is alive but not ready. It accepts new connections and answers their reviews until the
// shutdown delay ends. Then it stops with the status 0.
func TestShutdownAnswersNewReviewsForTheDelay(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t), "--shutdown-delay", "2s")
	asked := time.Now()
	p.stop()
	eventually(t, "it is not ready", func() bool {
		code, _ := get(t, "http://"+p.health+"/readyz")
		return code == http.StatusInternalServerError
	})
	if code, _ := get(t, "http://"+p.health+"/healthz"); code != http.StatusOK {
		t.Errorf("it is not alive: %d", code)
	}
	// The port accepts new connections for the whole delay. Each review of this time is answered.
	lost := time.Time{}
	for n := 0; lost.IsZero(); n++ {
		answer, err := p.post(t.Context(), "/validate-aws-auth")
		switch {
		case err != nil:
			lost = time.Now()
			if n == 0 {
				t.Errorf("the first review after the signal: %v", err)
			}
		case answer.UID != "u1" || answer.Allowed:
			t.Errorf("got %+v", answer)
		}
	}
	if after := lost.Sub(asked); after < 2*time.Second {
		t.Errorf("the listener was closed after %s", after)
	}
	if status := <-p.status; status != 0 || len(p.log.lines("stopped")) != 1 || len(p.log.lines("stopping")) != 1 {
		t.Errorf("stopped with the status %d:\n%s", status, p.log)
	}
}

// During shutdown the process ends open connections before it closes the port. So no review of a caller that keeps its
// connection fails.
func TestShutdownEndsConnectionsWithoutLosingReviews(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t), "--shutdown-delay", "2s")
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	connections := 0
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		if !info.Reused {
			connections++
		}
	}})
	review := func() {
		if _, err := p.send(ctx, client, "/validate-aws-auth", strings.NewReader(deletion)); err != nil {
			t.Fatalf("on connection %d: %v", connections, err)
		}
	}
	for range 10 {
		review()
	}
	if connections != 1 {
		t.Fatalf("%d connections before the signal, want one", connections)
	}
	p.stop()
	for connections == 1 {
		review()
	}
}

// The webhook answers a review whose body arrives after the listener closes. Until then it also serves the metrics.
func TestShutdownFinishesReviews(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, ExpectContinueTimeout: patience,
	}}
	defer client.CloseIdleConnections()
	reading := make(chan struct{}) // closed when the handler starts to read the body
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	body, sender := io.Pipe()
	answered := make(chan error, 1)
	go func() {
		answer, err := p.send(ctx, client, "/validate-aws-auth", body)
		if err == nil && (answer.UID != "u1" || answer.Allowed) {
			t.Errorf("got %+v", answer)
		}
		answered <- err
	}()
	<-reading
	p.stop()
	eventually(t, "the listener is closed", func() bool {
		_, err := dial(t, p.webhook, tls.VersionTLS13)
		return err != nil
	})
	if code, _ := get(t, "http://"+p.metrics+"/metrics"); code != http.StatusOK {
		t.Errorf("metrics: %d", code)
	}
	if _, err := io.Copy(sender, strings.NewReader(deletion)); err != nil {
		t.Fatal(err)
	}
	sender.Close()
	if err := <-answered; err != nil {
		t.Errorf("the review was lost: %v", err)
	}
	if status := <-p.status; status != 0 {
		t.Errorf("stopped with the status %d:\n%s", status, p.log)
	}
}

// The process logs once whether its memory is limited.
func TestMemoryLimitIsLogged(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	if n := len(p.log.lines("memory is limited")) + len(p.log.lines("memory is not limited")); n != 1 {
		t.Errorf("the log says %d times whether the memory is limited:\n%s", n, p.log)
	}
}
