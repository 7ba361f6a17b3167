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
	// noticed is how long the webhook may take to see a file that has changed: the watch of the
	// certificate looks every 10 s where it misses an event.
	noticed = 30 * time.Second
	// pause is between two disturbances of a kind.
	pause = time.Second
)

// disturber changes things under the webhook while it works.
type disturber struct {
	webhook *controlplane.Webhook
	load    *load
	tls     *tls.Config
	now     func() time.Time

	swaps, reloads, refused, cuts atomic.Int64
	slowest                       atomic.Int64 // longest that a change took to hold, in nanoseconds
}

// repeat calls step until stop is closed.
func (d *disturber) repeat(ctx context.Context, stop <-chan struct{}, step func(context.Context, int) error) error {
	tick := time.NewTicker(pause)
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

// eventually waits until something has changed, and remembers how long that took.
func (d *disturber) eventually(ctx context.Context, what string, check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, noticed)
	defer cancel()
	started := d.now()
	if err := controlplane.Poll(ctx, check); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	took := int64(d.now().Sub(started))
	for old := d.slowest.Load(); took > old && !d.slowest.CompareAndSwap(old, took); old = d.slowest.Load() {
	}
	return nil
}

// swap gives the webhook a new certificate and waits until it is served.
func (d *disturber) swap(ctx context.Context, _ int) error {
	cert, err := d.webhook.SwapCertificate()
	if err != nil {
		return err
	}
	d.swaps.Add(1)
	return d.eventually(ctx, "waiting for the new certificate", func(ctx context.Context) error {
		conn, err := (&tls.Dialer{Config: d.tls}).DialContext(ctx, "tcp", d.webhook.Address)
		if err != nil {
			return err
		}
		defer conn.Close()
		if secure, ok := conn.(*tls.Conn); !ok || !secure.ConnectionState().PeerCertificates[0].Equal(cert) {
			return errors.New("the old one is served")
		}
		return nil
	})
}

// reload gives the webhook the other of the two good configurations, then a bad one.
func (d *disturber) reload(ctx context.Context, n int) error {
	text, uses := configB, usesB
	if n%2 == 1 {
		text, uses = configA, usesA
	}
	before, err := scrape(ctx, d.webhook)
	if err != nil {
		return err
	}
	d.load.settle(changing)
	if err := d.webhook.Configure(text); err != nil {
		return err
	}
	d.reloads.Add(1)
	err = d.eventually(ctx, "waiting for the new configuration", func(ctx context.Context) error {
		now, err := scrape(ctx, d.webhook)
		if err == nil && now.generation == before.generation {
			err = fmt.Errorf("generation %v is in use", now.generation)
		}
		return err
	})
	if err != nil {
		return err
	}
	d.load.settle(uses)
	return d.badReload(ctx, badConfigs[n%len(badConfigs)])
}

func (d *disturber) badReload(ctx context.Context, text string) error {
	before, err := scrape(ctx, d.webhook)
	if err != nil {
		return err
	}
	if err := d.webhook.Configure(text); err != nil {
		return err
	}
	d.refused.Add(1)
	return d.eventually(ctx, "waiting for the refusal of a bad configuration", func(ctx context.Context) error {
		now, err := scrape(ctx, d.webhook)
		switch {
		case err != nil:
			return err
		case now.generation != before.generation:
			return fmt.Errorf("a bad configuration is in use: %q", text)
		case now.reloads == before.reloads:
			return fmt.Errorf("it is not counted: %q", text)
		}
		return nil
	})
}

// cutOff opens connections that end in the middle of something.
func (d *disturber) cutOff(ctx context.Context, n int) error {
	plain, err := new(net.Dialer).DialContext(ctx, "tcp", d.webhook.Address)
	if err != nil {
		return err
	}
	defer plain.Close()
	d.cuts.Add(1)
	if n%3 == 0 {
		return nil // before the handshake
	}
	if n%3 == 1 { // in the middle of it
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
