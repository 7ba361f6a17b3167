package server

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// verifyClients makes a server ask for a client certificate that a CA of the file has signed. With a name the
// certificate must have it as its common name or as one of its DNS names. Each handshake reads the file again. When it
// cannot be read then, the CAs that were read last stay in force. An error is about the file at the start.
func verifyClients(c *tls.Config, caFile, name string, log *slog.Logger) error {
	cas := &clientCAs{file: caFile}
	if _, err := cas.read(); err != nil {
		return err
	}
	failing := rate.Sometimes{Interval: time.Minute}
	c.ClientAuth = tls.RequireAnyClientCert                  // whose certificate is verified below, with the CAs of this moment
	c.VerifyConnection = func(s tls.ConnectionState) error { // also of a session that is resumed
		pool, err := cas.read()
		if err != nil {
			failing.Do(func() {
				log.Warn("cannot read the client CAs again; those that were read last stay in force", "err", err.Error())
			})
		}
		intermediates := x509.NewCertPool()
		for _, cert := range s.PeerCertificates[1:] {
			intermediates.AddCert(cert)
		}
		client := s.PeerCertificates[0]
		if _, err := client.Verify(x509.VerifyOptions{Roots: pool, Intermediates: intermediates, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			return fmt.Errorf("verifying the client certificate: %w", err)
		}
		if name != "" && client.Subject.CommonName != name && !slices.Contains(client.DNSNames, name) {
			return fmt.Errorf("the client certificate is of %q with the DNS names %q, not of %q", client.Subject.CommonName, client.DNSNames, name)
		}
		return nil
	}
	return nil
}

// clientCAs are the CAs of a file.
type clientCAs struct {
	file string

	mu   sync.Mutex
	text []byte // that pool was made of
	pool *x509.CertPool
}

// read returns the CAs of the file. With an error it returns those that were read before.
func (c *clientCAs) read() (*x509.CertPool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, err := os.ReadFile(c.file)
	if err != nil {
		return c.pool, fmt.Errorf("reading --client-ca-file: %w", err)
	}
	if c.pool != nil && bytes.Equal(text, c.text) {
		return c.pool, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return c.pool, fmt.Errorf("reading --client-ca-file: %s has no certificate in PEM", c.file)
	}
	c.text, c.pool = text, pool
	return pool, nil
}
