package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/awsauth-guard/awsauth-guard/test/controlplane"
)

const (
	// changeTimeout limits the time until the webhook uses a changed file. On an idle machine, the webhook needs about 2 s at
	// most, because it reads the certificate every 2 s and the configuration every second.
	changeTimeout = 30 * time.Second
	// disturbInterval is the time between two disturbances of a kind.
	disturbInterval = time.Second
)

// disturber changes the certificate and the configuration of a webhook under load, and cuts connections to it.
type disturber struct {
	webhook *controlplane.Webhook
	load    *load
	tls     *tls.Config
	now     func() time.Time

	swaps, reloads, refused, cuts atomic.Int64 // numbers of new certificates, valid and invalid configurations, and cut connections
	slowest                       atomic.Int64 // longest time until the webhook used a change, in nanoseconds
}

// repeat calls step every disturbInterval until stop is closed. It returns the error of step or of ctx. step gets the
// number of the call.
func (d *disturber) repeat(ctx context.Context, stop <-chan struct{}, step func(context.Context, int) error) error {
	tick := time.NewTicker(disturbInterval)
	defer tick.Stop()
	for n := 0; ; n++ {
		if err := step(ctx, n); err != nil {
			return err
		}
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// waitForChange waits until check succeeds, and records the longest wait of all calls. action is the beginning of the
// error.
func (d *disturber) waitForChange(ctx context.Context, action string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	started := d.now()
	if err := controlplane.Poll(ctx, check); err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	took := int64(d.now().Sub(started))
	for old := d.slowest.Load(); took > old && !d.slowest.CompareAndSwap(old, took); old = d.slowest.Load() {
	}
	return nil
}

// swap gives the webhook a new certificate and waits until the webhook serves it.
func (d *disturber) swap(ctx context.Context, _ int) error {
	cert, err := d.webhook.SwapCertificate()
	if err != nil {
		return err
	}
	d.swaps.Add(1)
	return d.waitForChange(ctx, "waiting for the new certificate", func(ctx context.Context) error {
		conn, err := (&tls.Dialer{Config: d.tls}).DialContext(ctx, "tcp", d.webhook.Address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if secure, ok := conn.(*tls.Conn); !ok || !secure.ConnectionState().PeerCertificates[0].Equal(cert) {
			return errors.New("the old certificate is served")
		}
		return nil
	})
}

// reload switches the webhook to the other valid configuration, and then gives it an invalid one. It fails if the webhook
// uses the invalid configuration.
func (d *disturber) reload(ctx context.Context, n int) error {
	text, uses := configB, usesB
	if n%2 == 1 {
		text, uses = configA, usesA
	}
	before, err := scrape(ctx, d.webhook)
	if err != nil {
		return err
	}
	d.load.setConfig(usesAOrB)
	if err := d.webhook.Configure(text); err != nil {
		return err
	}
	d.reloads.Add(1)
	err = d.waitForChange(ctx, "waiting for the new configuration", func(ctx context.Context) error {
		now, err := scrape(ctx, d.webhook)
		if err == nil && now.generation == before.generation {
			err = fmt.Errorf("generation %v is in use", now.generation)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.load.setConfig(uses)
	return d.badReload(ctx, badConfigs[n%len(badConfigs)])
}

// badReload gives the webhook an invalid configuration, and waits until the webhook counts the reload. It fails if the webhook
// uses the configuration.
func (d *disturber) badReload(ctx context.Context, text string) error {
	before, err := scrape(ctx, d.webhook)
	if err != nil {
		return err
	}
	if err := d.webhook.Configure(text); err != nil {
		return err
	}
	d.refused.Add(1)
	return d.waitForChange(ctx, "waiting for the refusal of a bad configuration", func(ctx context.Context) error {
		now, err := scrape(ctx, d.webhook)
		switch {
		case err != nil:
			return err
		case now.generation != before.generation:
			return fmt.Errorf("a bad configuration is in use: %q", text)
		case now.reloads == before.reloads:
			return fmt.Errorf("the metric does not count the reload of %q", text)
		}
		return nil
	})
}

// cutConnection opens a connection and closes it too early: before the handshake, in the handshake, or in a request.
func (d *disturber) cutConnection(ctx context.Context, n int) error {
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", d.webhook.Address)
	if err != nil {
		return err
	}
	defer plain.Close()
	d.cuts.Add(1)
	if n%3 == 0 {
		return nil // before the handshake
	}
	if n%3 == 1 { // in the handshake
		_, err := io.WriteString(plain, "\x16\x03\x01\x02\x00\x01")
		return err
	}
	config := d.tls.Clone()
	config.NextProtos = []string{"http/1.1"}
	secure := tls.Client(plain, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shaking hands: %w", err)
	}
	_, err = fmt.Fprintf(secure, "POST /validate-aws-auth HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"kind\":")
	return err
}
