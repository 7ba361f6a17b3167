package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// clients is the number of clients that send reviews at the same time, each on its own connection.
	clients = 8
	// busyFor is the time for which the clients send reviews, in each round and for each webhook.
	busyFor = time.Second
	// minRate is the target for the rate from one source address: at least this number of reviews of 10 entries in a second.
	minRate = 3000
	// latencyFor is the time for which one client calls each webhook in each round.
	latencyFor = 500 * time.Millisecond
)

// maxOverNoOp has the targets for the time of a review over HTTPS, by the number of entries. The unit is the time of a
// webhook that allows every request.
var maxOverNoOp = map[int]float64{10: 1.8, 100: 3, 1000: 4}

// endpoint is the address of a webhook that clients call over HTTPS.
type endpoint struct {
	url   string
	roots *x509.CertPool
}

// compareHTTPS compares the guard over HTTPS with a webhook that allows every request. It prints the time of reviews,
// and the number of reviews in a second.
func compareHTTPS(ctx context.Context, w io.Writer, cases []*reviewCase) (err error) {
	folder, err := os.MkdirTemp("", "awsauth-guard-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	roots, err := writeCertificate(folder)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	guardAddress, noOpAddress, err := freeAddresses()
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	for _, serve := range []func() error{
		func() error { return serveGuard(ctx, folder, guardAddress) },
		func() error { return serveNoOp(ctx, folder, noOpAddress) },
	} {
		running.Go(func() { failed <- serve() })
	}
	guard := endpoint{"https://" + guardAddress.String() + "/validate-aws-auth?timeout=10s", roots}
	noOp := endpoint{"https://" + noOpAddress.String() + "/validate?timeout=10s", roots}
	for _, e := range []endpoint{guard, noOp} {
		if err := e.await(ctx, failed); err != nil {
			return err
		}
	}
	if err := compareLatency(ctx, w, guard, noOp, cases); err != nil {
		return err
	}
	return compareRate(ctx, w, guard, noOp, cases)
}

// compareLatency measures the median time of a review over all rounds. One client calls the two webhooks in turns. The
// column "floor" is the ratio of a webhook that only decodes the review and parses the new text with ParseMap. The guard
// must do both.
func compareLatency(ctx context.Context, w io.Writer, guard, noOp endpoint, cases []*reviewCase) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "HTTPS\tentries\tguard p50 µs\tno-op p50 µs\tratio\ttarget\t\tParseMap p50 µs\tfloor\t")
	for _, c := range cases {
		most, measured := maxOverNoOp[c.entries]
		if c.noOp || !measured {
			continue
		}
		bodies, err := c.bodies()
		if err != nil {
			return err
		}
		guardClient, noOpClient := guard.client(0), noOp.client(0)
		operations := []operation{
			func(call int) error { return guardClient.ask(ctx, bodies[call%variants]) },
			func(call int) error { return noOpClient.ask(ctx, bodies[call%variants]) },
			c.parseMap,
		}
		took := make([][]time.Duration, len(operations))
		for range rounds {
			for i, do := range operations {
				for begin := time.Now(); time.Since(begin) < latencyFor; { //nolint:forbidigo // reads the real clock
					one := time.Now() //nolint:forbidigo // as above
					if err := do(len(took[i])); err != nil {
						return err
					}
					took[i] = append(took[i], time.Since(one))
				}
			}
		}
		guardTook, noOpTook, parseMapTook := best(median(took[0])), best(median(took[1])), best(median(took[2]))
		ratio := guardTook.over(noOpTook)
		fmt.Fprintf(tab, "%s\t%d\t%.0f\t%.0f\t%.2f\tat most %.1f\t%s\t%.0f\t%.2f\t\n", c.name, c.entries,
			guardTook.micros(), noOpTook.micros(), ratio, most, met(ratio <= most), parseMapTook.micros(), (noOpTook + parseMapTook).over(noOpTook))
	}
	return tab.Flush()
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// compareRate measures the number of reviews in a second, and prints that of the fastest round. In each measurement, all
// clients call the same webhook as fast as they can.
func compareRate(ctx context.Context, w io.Writer, guard, noOp endpoint, cases []*reviewCase) error {
	c := cases[slices.IndexFunc(cases, func(c *reviewCase) bool { return !c.noOp && c.entries == 10 })]
	bodies, err := c.bodies()
	if err != nil {
		return err
	}
	var one, several, most float64
	for range rounds {
		for _, m := range []struct {
			endpoint
			addresses int
			best      *float64
		}{{guard, 1, &one}, {guard, clients, &several}, {noOp, 1, &most}} {
			rate, err := m.rate(ctx, bodies, m.addresses)
			if err != nil {
				return err
			}
			*m.best = max(*m.best, rate)
		}
	}
	_, err = fmt.Fprintf(w, "reviews/s of %d entries with %d clients: guard %.0f from one address (target %d: %s), %.0f from %d addresses; no-op %.0f\n\n",
		c.entries, clients, one, minRate, met(one >= minRate), several, clients, most)
	return err
}

// rate returns the number of reviews in a second. addresses is the number of different source addresses of the
// clients. An API server has one address.
func (e endpoint) rate(ctx context.Context, bodies [][]byte, addresses int) (float64, error) {
	var answered atomic.Int64
	var running sync.WaitGroup
	errs := make(chan error, clients)
	begin := time.Now() //nolint:forbidigo // reads the real clock
	for n := range clients {
		running.Go(func() {
			client := e.client(n % addresses)
			for i := n; time.Since(begin) < busyFor; i++ {
				if err := client.ask(ctx, bodies[i%variants]); err != nil {
					errs <- err
					return
				}
				answered.Add(1)
			}
		})
	}
	running.Wait()
	took := time.Since(begin)
	select {
	case err := <-errs:
		return 0, err
	default:
		return float64(answered.Load()) / took.Seconds(), nil
	}
}

// bodies returns the reviews as JSON, as the API server sends them.
func (c *reviewCase) bodies() ([][]byte, error) {
	bodies := make([][]byte, variants)
	for i, request := range c.requests {
		review := admissionv1.AdmissionReview{TypeMeta: metav1.TypeMeta{APIVersion: "admission.k8s.io/v1", Kind: "AdmissionReview"}, Request: request}
		var err error
		if bodies[i], err = json.Marshal(review); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// client calls one webhook. It keeps one connection of HTTP/2 open.
type client struct {
	http.Client
	url string
}

// client returns a client that uses the n-th loopback address as its source address.
func (e endpoint) client(n int) *client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+n))}} //nolint:gosec // n is below 8
	return &client{http.Client{Transport: &http.Transport{
		DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: e.roots, MinVersion: tls.VersionTLS13},
	}}, e.url}
}

// ask sends a review. It returns an error if the response does not admit the request, or does not use HTTP/2.
func (c *client) ask(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return err
	case response.ProtoMajor != 2 || !bytes.Contains(answer, []byte(`"allowed":true`)):
		return fmt.Errorf("%s: %s %s: %.300s", c.url, response.Proto, response.Status, answer)
	}
	return nil
}

// await waits until the webhook responds to a request. It returns an error if a server fails before.
func (e endpoint) await(ctx context.Context, failed <-chan error) error {
	client := e.client(0)
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url, http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case err := <-failed:
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}
