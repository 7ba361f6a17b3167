// Command cabundle writes the certificate authorities of the container images to standard output, as PEM. It takes the roots of
// Mozilla's list from the module golang.org/x/crypto/x509roots/fallback, whose version go.mod pins. So the same commit gives the same
// bytes on every machine.
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"slices"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "cabundle: %s\n", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// root is a certificate authority.
type root struct {
	subject string
	der     []byte
}

func run(out io.Writer) error {
	list, err := roots()
	if err != nil {
		return err
	}
	var text bytes.Buffer
	for _, r := range list {
		fmt.Fprintf(&text, "# %s\n# SHA-256 %X\n", r.subject, sha256.Sum256(r.der))
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: r.der}); err != nil {
			return fmt.Errorf("encoding %s: %w", r.subject, err)
		}
	}
	if _, err := out.Write(text.Bytes()); err != nil {
		return fmt.Errorf("writing the certificates: %w", err)
	}
	return nil
}

// roots returns the roots sorted by subject. It leaves out those that Mozilla trusts only under a condition, such as
// certificates issued before a date, because a PEM file can't hold the condition.
func roots() ([]root, error) {
	var list []root
	for r := range bundle.Roots() {
		if r.Constraint != nil {
			continue
		}
		certificate, err := x509.ParseCertificate(r.Certificate)
		if err != nil {
			return nil, fmt.Errorf("parsing a root: %w", err)
		}
		list = append(list, root{certificate.Subject.String(), r.Certificate})
	}
	slices.SortFunc(list, func(a, b root) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), bytes.Compare(a.der, b.der))
	})
	return list, nil
}
