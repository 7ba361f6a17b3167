package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
)

// verifyClients makes a server ask for a client certificate that a CA of the file has signed. With a name the
// certificate must have it as its common name or as one of its DNS names. The file is read once.
func verifyClients(c *tls.Config, caFile, name string) error {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return fmt.Errorf("reading --client-ca-file: %w", err)
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return fmt.Errorf("reading --client-ca-file: %s has no certificate in PEM", caFile)
	}
	c.ClientAuth = tls.RequireAndVerifyClientCert
	if name == "" {
		return nil
	}
	c.VerifyConnection = func(s tls.ConnectionState) error { // also of a session that is resumed
		client := s.PeerCertificates[0]
		if client.Subject.CommonName != name && !slices.Contains(client.DNSNames, name) {
			return fmt.Errorf("the client certificate is of %q with the DNS names %q, not of %q", client.Subject.CommonName, client.DNSNames, name)
		}
		return nil
	}
	return nil
}
