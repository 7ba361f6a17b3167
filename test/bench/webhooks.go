package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// guardConfig protects the same principal as newHandler.
const guardConfig = `apiVersion: awsauth-guard.io/v1alpha1
kind: GuardConfig
protected:
  - arn: ` + adminRole + `
    groups: [` + admins + `]
`

// serveGuard runs the webhook as in a pod, with its limits for each source address. The folder holds its certificate.
func serveGuard(ctx context.Context, folder string, address *net.TCPAddr) error {
	config := filepath.Join(folder, "guard.yaml")
	if err := os.WriteFile(config, []byte(guardConfig), 0o600); err != nil {
		return err
	}
	o := server.DefaultOptions()
	o.ConfigFile, o.CertDir, o.ShutdownDelay = config, folder, 0
	o.WebhookAddress, o.MetricsAddress, o.HealthAddress = address.String(), "127.0.0.1:0", "127.0.0.1:0"
	if err := o.Complete(); err != nil {
		return err
	}
	return server.Run(ctx, o, slog.New(slog.NewJSONHandler(io.Discard, nil))) //nolint:sloglint // the benchmark includes the encoding of the log
}

// serveNoOp runs a webhook of controller-runtime that decodes the review and allows every request.
func serveNoOp(ctx context.Context, folder string, address *net.TCPAddr) error {
	s := webhook.NewServer(webhook.Options{Host: address.IP.String(), Port: address.Port, CertDir: folder})
	s.Register("/validate", &webhook.Admission{Handler: admission.HandlerFunc(func(context.Context, admission.Request) admission.Response {
		return admission.Allowed("")
	})})
	return s.Start(ctx)
}

// freeAddresses returns two addresses on which no process listens.
func freeAddresses() (first, second *net.TCPAddr, err error) {
	var addresses [2]*net.TCPAddr
	var listeners [2]*net.TCPListener
	for i := range addresses {
		if listeners[i], err = net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			return nil, nil, err
		}
		addresses[i] = listeners[i].Addr().(*net.TCPAddr)
	}
	return addresses[0], addresses[1], errors.Join(listeners[0].Close(), listeners[1].Close())
}

// writeCertificate writes a certificate for 127.0.0.1 and its key into a folder, and returns the CAs that verify it.
func writeCertificate(folder string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := time.Now() //nolint:forbidigo // a certificate is valid in real time
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	for name, text := range map[string][]byte{"tls.crt": public, "tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(public)
	return roots, nil
}
