package main

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
)

// Two runs write the same certificates. Each certificate is a CA that Go can parse, and occurs once.
func TestBundleIsReproducible(t *testing.T) {
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := run(out); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two bundles differ")
	}
	seen := map[string]bool{}
	for rest := first.Bytes(); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if !certificate.IsCA {
			t.Errorf("%s is no CA", certificate.Subject)
		}
		if seen[string(block.Bytes)] {
			t.Errorf("%s is in the bundle twice", certificate.Subject)
		}
		seen[string(block.Bytes)] = true
	}
	if !x509.NewCertPool().AppendCertsFromPEM(first.Bytes()) || len(seen) < 50 {
		t.Errorf("the bundle has %d certificates", len(seen))
	}
}

// The bundle has the root CAs of the endpoints of AWS, which https://www.amazontrust.com/repository lists.
func TestBundleHasRootsOfAWS(t *testing.T) {
	list, err := roots()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CN=Amazon Root CA 1,O=Amazon,C=US",
		"CN=Amazon Root CA 2,O=Amazon,C=US",
		"CN=Amazon Root CA 3,O=Amazon,C=US",
		"CN=Amazon Root CA 4,O=Amazon,C=US",
		"CN=Starfield Services Root Certificate Authority - G2,O=Starfield Technologies\\, Inc.,L=Scottsdale,ST=Arizona,C=US",
	} {
		if !slices.ContainsFunc(list, func(r root) bool { return r.subject == want }) {
			t.Errorf("%s is missing", want)
		}
	}
}
