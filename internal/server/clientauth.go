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

// verifyClients makes a server require a client certificate. A CA in caFile must have signed this certificate. If name is
// not empty, the certificate must have the name as its common name or as one of its DNS names.
//
// verifyClients reads the file and returns an error if this fails. Each handshake reads the file again. If this fails, the
// handshake uses the CAs of the last successful read.
func verifyClients(c *tls.Config, caFile, name string, log *slog.Logger) error {
	cas := &clientCAs{file: caFile}
	if _, err := cas.read(); err != nil {
		return err
	}
	failing := rate.Sometimes{Interval: time.Minute}
	c.ClientAuth = tls.RequireAnyClientCert                  // VerifyConnection verifies the certificate with the current CAs
	c.VerifyConnection = func(s tls.ConnectionState) error { // also called for resumed sessions
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
			return fmt.Errorf("the client certificate has the common name %q and the DNS names %q, but the required name is %q", client.Subject.CommonName, client.DNSNames, name)
		}
		return nil
	}
	return nil
}

// clientCAs reads CAs from a file. It parses the file only if the content differs from the last read.
type clientCAs struct {
	file string

	mu   sync.Mutex
	text []byte // the file content from which pool was parsed
	pool *x509.CertPool
}

// read returns the CAs of the file. If read fails, it returns an error and the CAs of the last successful read, or nil if
// there was none.
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
