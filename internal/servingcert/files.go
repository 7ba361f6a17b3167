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

// Files is a certificate in files, reloaded when they change.
type Files struct{ watcher *certwatcher.CertWatcher }

// NewFiles reads tls.crt and tls.key; a process without a certificate cannot serve.
func NewFiles(folder string, recorder Recorder) (*Files, error) {
	watcher, err := certwatcher.New(filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the serving certificate: %w", err)
	}
	watcher.RegisterCallback(func(cert tls.Certificate) { recorder.ServingCertificate(cert.Leaf.NotAfter) })
	// It watches the files and reads them from time to time as well; an event that it misses while
	// they are swapped costs this long. Reading two small files takes no time worth saving.
	return &Files{watcher.WithWatchInterval(2 * time.Second)}, nil
}

// GetCertificate returns what was read last.
func (f *Files) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.watcher.GetCertificate(hello)
}

// Run reloads the certificate until the context ends. Without a watch the process would go on
// until the certificate expires and then fail, so that it fails at once.
func (f *Files) Run(ctx context.Context) error {
	if err := f.watcher.Start(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("watching the serving certificate: %w", err)
	}
	return nil
}

// Ready reports whether there is a certificate. What the API servers trust is not known here.
func (f *Files) Ready(*http.Request) error {
	cert, err := f.watcher.GetCertificate(nil)
	if err == nil && cert == nil {
		err = errors.New("no serving certificate is loaded")
	}
	return err
}
