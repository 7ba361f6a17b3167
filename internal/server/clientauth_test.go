package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// issuer is a CA that signs client certificates.
type issuer struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string // path of the CA's certificate
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, file: filepath.Join(t.TempDir(), "ca.crt")}
	ca := i.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	i.cert, i.key = ca.Leaf, ca.PrivateKey.(*ecdsa.PrivateKey)
	if err := os.WriteFile(i.file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}), 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

// sign creates a key and a certificate for it from the template. The first call creates the self-signed CA, and the CA signs
// the certificates of the later calls.
func (i *issuer) sign(template *x509.Certificate) tls.Certificate {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := i.cert, i.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		i.t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		i.t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (i *issuer) client(name string, dnsNames ...string) *tls.Certificate {
	i.t.Helper()
	cert := i.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, DNSNames: dnsNames, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return &cert
}

// With a client CA the webhook answers only callers with a certificate that this CA signed. With a client name the
// certificate must also have this name, as its common name or a DNS name. Probes need no certificate.
func TestClientCertificateIsRequired(t *testing.T) {
	t.Parallel()
	ca, other := newIssuer(t), newIssuer(t)
	for name, tt := range map[string]struct {
		args     []string
		answered map[string]*tls.Certificate
		refused  map[string]*tls.Certificate
	}{
		"by a CA": {
			[]string{"--client-ca-file", ca.file},
			map[string]*tls.Certificate{"of the CA": ca.client("anyone")},
			map[string]*tls.Certificate{"none": nil, "of another CA": other.client("kube-apiserver")},
		},
		"by a CA and a name": {
			[]string{"--client-ca-file", ca.file, "--client-name", "kube-apiserver"},
			map[string]*tls.Certificate{"common name": ca.client("kube-apiserver"), "DNS name": ca.client("x", "y", "kube-apiserver")},
			map[string]*tls.Certificate{"none": nil, "of another name": ca.client("pod", "kube-apiserver.x"), "of another CA": other.client("kube-apiserver")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, newCertDir(t), tt.args...)
			for name, cert := range tt.answered {
				if err := p.askAs(t, cert); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			for name, cert := range tt.refused {
				if err := p.askAs(t, cert); err == nil {
					t.Errorf("%s: was answered", name)
				}
			}
		})
	}
}

// askAs sends a review with a client certificate, or without one if cert is nil.
func (p *process) askAs(t *testing.T, cert *tls.Certificate) error {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	_, err := p.send(t.Context(), client, "/validate-aws-auth", strings.NewReader(deletion))
	return err
}

// The webhook uses new CAs from the file while it runs. If the file has no CA, it still uses the CAs that it read last.
func TestClientCAIsReloaded(t *testing.T) {
	t.Parallel()
	ca, other := newIssuer(t), newIssuer(t)
	p := start(t, newCertDir(t), "--client-ca-file", ca.file)
	want := func(step string, answered, refused *issuer) {
		t.Helper()
		if err := p.askAs(t, answered.client("kube-apiserver")); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		if err := p.askAs(t, refused.client("kube-apiserver")); err == nil {
			t.Errorf("%s: a caller with a certificate of another CA was answered", step)
		}
	}
	want("at the start", ca, other)
	text, err := os.ReadFile(other.file)
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		text []byte
	}{{"another CA", text}, {"no CA", nil}} {
		if err := os.WriteFile(ca.file, step.text, 0o600); err != nil {
			t.Fatal(err)
		}
		want(step.name, other, ca)
	}
	if n := len(p.log.lines("cannot read the client CAs again; those that were read last stay in force")); n != 1 {
		t.Errorf("the log says %d times that the file has no CA:\n%s", n, p.log)
	}
}

func TestInvalidClientCAIsRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		empty:                            "has no certificate in PEM",
		filepath.Join(t.TempDir(), "no"): "no such file or directory",
	} {
		status, _, log := run(t, append(onLoopback(newCertDir(t)), "--client-ca-file", file)...)
		if status != 1 || !strings.Contains(log, want) {
			t.Errorf("%s: got the status %d and\n%s", file, status, log)
		}
	}
	status, _, log := run(t, append(onLoopback(newCertDir(t)), "--client-name", "x")...)
	if status != 2 || !strings.Contains(log, "--client-name needs --client-ca-file") {
		t.Errorf("a name without a CA: got the status %d and\n%s", status, log)
	}
}
