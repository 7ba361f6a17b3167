package server_test

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// The webhook loads a new certificate after the kubelet updates a Secret. The kubelet writes the new files into a new folder
// and replaces a symbolic link by renaming.
func TestCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	files := newSecret(t)
	p := start(t, files.folder)
	if got := p.serial(t); got != 1 {
		t.Fatalf("the first certificate has the serial number %d", got)
	}
	for range 2 {
		files.replace()
		eventually(t, "the new certificate is served", func() bool { return p.serial(t) == files.number })
	}
	if code, _ := get(t, "http://"+p.health+"/readyz"); code != http.StatusOK {
		t.Errorf("readyz says %d", code)
	}
}

// While the kubelet replaces the certificate, the webhook answers each review. Each review uses a new connection, so each
// needs a certificate and a key that match.
func TestNoReviewIsLostWhileCertificatesChange(t *testing.T) {
	t.Parallel()
	files := newSecret(t)
	p := start(t, files.folder)
	const swaps, senders = 100, 4
	var answered atomic.Int64
	done := make(chan struct{})
	var running sync.WaitGroup
	for range senders {
		running.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				answer, err := p.post(t.Context(), "/validate-aws-auth")
				if err != nil || answer.Allowed || answer.UID != "u1" {
					t.Errorf("review %d: got %+v, %v", answered.Load(), answer, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for range swaps {
		files.replace()
		before := answered.Load()
		eventually(t, "a review is answered after a swap", func() bool { return t.Failed() || answered.Load() > before })
	}
	close(done)
	running.Wait()
	eventually(t, "the last certificate is served", func() bool { return p.serial(t) == files.number })
	t.Logf("%d reviews during %d swaps", answered.Load(), swaps)
}

// serial returns the serial number of the serving certificate.
func (p *process) serial(t *testing.T) int64 {
	t.Helper()
	state, err := dial(t, p.webhook, tls.VersionTLS13)
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.Int64()
}

// secret is a folder with a certificate, laid out as the kubelet mounts a Secret.
type secret struct {
	t      *testing.T
	folder string
	number int64 // serial number of the current certificate
}

func newSecret(t *testing.T) *secret {
	t.Helper()
	s := &secret{t: t, folder: t.TempDir()}
	s.replace()
	for _, name := range []string{"tls.crt", "tls.key"} {
		if err := os.Symlink("..data/"+name, filepath.Join(s.folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// replace increments number and replaces the certificate with one that has this serial number.
func (s *secret) replace() {
	s.t.Helper()
	s.number++
	name := fmt.Sprintf("..%d", s.number)
	certificate(s.t, filepath.Join(s.folder, name), s.number)
	tmp := filepath.Join(s.folder, "..data_tmp")
	if err := os.Symlink(name, tmp); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(tmp, filepath.Join(s.folder, "..data")); err != nil {
		s.t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(s.folder, fmt.Sprintf("..%d", s.number-1))); err != nil {
		s.t.Fatal(err)
	}
}
