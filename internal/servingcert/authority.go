package servingcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"time"
)

// Types of PEM blocks.
const (
	certificateBlock = "CERTIFICATE"
	keyBlock         = "PRIVATE KEY"
)

// Authority is a CA certificate with its private key.
type Authority struct {
	Cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Leaf is a serving certificate with its private key.
type Leaf struct {
	tls.Certificate
	// CA is the certificate of the CA that signed the Leaf. A key identifier would not be enough to identify this CA,
	// because two CAs may have the same key.
	CA *x509.Certificate
}

// NewAuthority creates a CA. It is valid from clockSkew before now until lifetime after now. All CAs have the same name. API
// servers distinguish CAs by their key identifiers.
func NewAuthority(now time.Time, lifetime time.Duration) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of a CA: %w", err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: "awsauth-guard serving CA"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(lifetime),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	cert, err := create(template, template, key, key)
	if err != nil {
		return nil, fmt.Errorf("signing a CA: %w", err)
	}
	return &Authority{cert, key}, nil
}

// Sign creates a key and signs a certificate for a server with these DNS names. The certificate is valid from clockSkew before
// now until lifetime after now. If the CA expires earlier, the certificate expires with the CA.
func (a *Authority) Sign(now time.Time, lifetime time.Duration, names []string) (*Leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the serving certificate: %w", err)
	}
	end := now.Add(lifetime)
	if a.Cert.NotAfter.Before(end) {
		end = a.Cert.NotAfter
	}
	cert, err := create(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "awsauth-guard"},
		NotBefore: now.Add(-clockSkew), NotAfter: end,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:              names,
	}, a.Cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the serving certificate: %w", err)
	}
	return &Leaf{tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, a.Cert}, nil
}

// checkSigns signs a test certificate for these names, and verifies it for the first name at a time when the CA is valid. It
// returns an error if the CA may not sign, or is constrained to other names or other uses. A CA from [NewAuthority] always
// passes.
func (a *Authority) checkSigns(names []string) error {
	leaf, err := a.Sign(a.Cert.NotBefore, time.Hour, names)
	if err != nil {
		return err
	}
	if err := verify(a.Cert.NotBefore, leaf, names[0], []*x509.Certificate{a.Cert}); err != nil {
		return fmt.Errorf("the CA cannot sign a certificate for %s: %w", names[0], err)
	}
	return nil
}

// create returns a certificate that contains the public key of key. signer, the key of parent, signs the certificate.
// crypto/x509 chooses the serial number.
func create(template, parent *x509.Certificate, key, signer *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// encode returns the certificate and the private key in PEM.
func (a *Authority) encode() (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key of a CA: %w", err)
	}
	return EncodeCertificates(a.Cert), pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der}), nil
}

// decodeAuthority decodes a CA in PEM and checks that the CA can sign for these DNS names. The CA may be one that another program
// created. The errors contain no part of the key.
func decodeAuthority(certPEM, keyPEM []byte, names []string) (*Authority, error) {
	certs := decodeCertificates(certPEM)
	if len(certs) != 1 {
		return nil, fmt.Errorf("expected one certificate, found %d", len(certs))
	}
	block, _ := pem.Decode(keyPEM)
	if block == nil || block.Type != keyBlock {
		return nil, errors.New("the key is not a PEM block of type " + keyBlock)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the key is not in PKCS #8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	switch {
	case !ok:
		return nil, errors.New("the key is not an ECDSA key")
	case !key.PublicKey.Equal(certs[0].PublicKey):
		return nil, errors.New("the key does not belong to the certificate")
	case !certs[0].IsCA || !certs[0].BasicConstraintsValid:
		return nil, errors.New("the certificate is not a CA certificate")
	case len(certs[0].SubjectKeyId) == 0:
		return nil, errors.New("the certificate has no key identifier")
	}
	a := &Authority{certs[0], key}
	if err := a.checkSigns(names); err != nil {
		return nil, err
	}
	return a, nil
}

// EncodeCertificates encodes certificates in PEM.
func EncodeCertificates(certs ...*x509.Certificate) []byte {
	var text []byte
	for _, cert := range certs {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certificateBlock, Bytes: cert.Raw})...)
	}
	return text
}

// decodeCertificates decodes the certificates of a PEM text. It skips other blocks and certificates that it can't decode.
func decodeCertificates(text []byte) (certs []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certs
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == certificateBlock {
			certs = append(certs, cert)
		}
	}
}

// fingerprint returns a short text that identifies a certificate in the log.
func fingerprint(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.Raw)
	return hex.EncodeToString(sum[:8])
}

func fingerprints(certs []*x509.Certificate) (list []string) {
	for _, cert := range certs {
		list = append(list, fingerprint(cert))
	}
	return list
}

func valid(cert *x509.Certificate, now time.Time) bool {
	return !now.Before(cert.NotBefore) && now.Before(cert.NotAfter)
}
