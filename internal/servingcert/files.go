package servingcert

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Files provides a certificate from files. It reloads the certificate when the files change.
type Files struct{ watcher *certwatcher.CertWatcher }

// NewFiles reads tls.crt and tls.key in the folder. It returns an error if it can't read them, because the process can't
// serve without a certificate.
func NewFiles(folder string, recorder Recorder) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	watcher.RegisterCallback(func(cert tls.Certificate) { recorder.ServingCertificate(cert.Leaf.NotAfter) })
	// The watcher also reads the files every 2 s, because it can miss an event while the kubelet replaces the files.
	// Reading two small files costs almost nothing.
	return &Files{watcher.WithWatchInterval(2 * time.Second)}, nil
}

// GetCertificate returns the certificate that was read last.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Run reloads the certificate until the context ends. It returns an error if it can't watch the files, so that the
// process ends at once. Without the error, the process would run until its certificate expires.
func (f *Files) Run(ctx context.Context) error {
	if err := f.watcher.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watching the serving certificate: %w", err)
	}
	return nil
}

// Ready returns nil if a certificate is loaded. Ready doesn't know whether the API servers trust this certificate.
func (f *Files) Ready(*http.Request) error {
	cert, err := f.watcher.GetCertificate(nil)
	if err == nil && cert == nil {
		err = errors.New("no serving certificate is loaded")
	}
	return err
}
