package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// patience is how long a test waits for an expected result. certwatcher polls every 10 s if it misses an event.
const patience = 30 * time.Second

// output collects the output of a process under test.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // receives a value when the process has written more output
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// lines returns the JSON log lines with this message.
func (o *output) lines(message string) (list []map[string]any) {
	for line := range strings.Lines(o.String()) {
		var attrs map[string]any
		if json.Unmarshal([]byte(line), &attrs) == nil && attrs["msg"] == message {
			list = append(list, attrs)
		}
	}
	return list
}

// process is a running webhook.
type process struct {
	log    *output
	stop   context.CancelFunc
	status <-chan int
	// Addresses of the ports.
	webhook, metrics, health string
}

// start runs the webhook on free ports of the loopback interface and waits until it is ready.
func start(t *testing.T, certDir string, args ...string) *process {
	t.Helper()
	return startMain(t, server.Main, append(onLoopback(certDir), args...)...)
}

func onLoopback(certDir string) []string {
	return []string{
		"--cert-dir", certDir, "--webhook-bind-address", "127.0.0.1:0",
		"--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0", "--shutdown-delay", "0s",
	}
}

func startMain(tb testing.TB, run func(ctx context.Context, args []string, out, log io.Writer) int, args ...string) *process {
	tb.Helper()
	ctx, stop := context.WithCancel(tb.Context())
	status := make(chan int, 1)
	p := &process{log: newOutput(), stop: stop, status: status}
	var running sync.WaitGroup
	running.Go(func() { status <- run(ctx, args, io.Discard, p.log) })
	tb.Cleanup(func() {
		stop()
		running.Wait()
	})
	deadline := time.After(patience)
	for len(p.log.lines("serving")) < 3 {
		select {
		case <-p.log.more:
		case s := <-status:
			tb.Fatalf("ended with the status %d:\n%s", s, p.log)
		case <-deadline:
			tb.Fatalf("does not serve its three ports:\n%s", p.log)
		}
	}
	for _, line := range p.log.lines("serving") {
		address, _ := line["address"].(string)
		switch line["port"] {
		case "webhook":
			p.webhook = address
		case "metrics":
			p.metrics = address
		case "health":
			p.health = address
		}
	}
	eventually(tb, "the process is ready", func() bool {
		code, _ := get(tb, "http://"+p.health+"/readyz")
		return code == http.StatusOK
	})
	return p
}

// BenchmarkStart measures the time from the program's start until it is ready, with its certificate in files.
func BenchmarkStart(b *testing.B) {
	program := filepath.Join(b.TempDir(), "webhook")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", program, "../../cmd/webhook").CombinedOutput(); err != nil {
		b.Fatalf("building the program: %v\n%s", err, out)
	}
	args := onLoopback(newCertDir(b))
	for b.Loop() {
		p := startMain(b, func(ctx context.Context, args []string, out, log io.Writer) int {
			cmd := exec.CommandContext(ctx, program, args...)
			cmd.Stdout, cmd.Stderr = out, log
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			_ = cmd.Run() // the exit status shows a failure
			return cmd.ProcessState.ExitCode()
		}, args...)
		b.StopTimer()
		p.stop()
		if status := <-p.status; status != 0 {
			b.Errorf("stopped with the status %d:\n%s", status, p.log)
		}
		b.StartTimer()
	}
}

// post sends the deletion over HTTP/2 on a new connection.
func (p *process) post(ctx context.Context, path string) (*admissionv1.AdmissionResponse, error) {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}}
	defer client.CloseIdleConnections()
	return p.send(ctx, client, path, strings.NewReader(deletion))
}

func (p *process) send(ctx context.Context, client *http.Client, path string, body io.Reader) (*admissionv1.AdmissionResponse, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+p.webhook+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Expect", "100-continue") // without ExpectContinueTimeout the client doesn't wait for status 100
	response, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
		return nil, errors.New(response.Status)
	}
	var answer admissionv1.AdmissionReview
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return nil, err
	}
	if answer.Response == nil {
		return nil, errors.New("the answer is not a review")
	}
	return answer.Response, nil
}

// eventually waits until the condition holds, and fails the test after patience.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func get(tb testing.TB, url string) (code int, body string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// certificate writes a certificate for 127.0.0.1 and its key into a folder.
func certificate(tb testing.TB, folder string, serial int64) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: "test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		tb.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: cert},
		"tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(block), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// newCertDir returns a folder with a certificate.
func newCertDir(tb testing.TB) string {
	tb.Helper()
	folder := tb.TempDir()
	certificate(tb, folder, 1)
	return folder
}

// dial opens a TLS connection without verifying the server's certificate. highest is the maximum TLS version.
func dial(t *testing.T, address string, highest uint16) (tls.ConnectionState, error) {
	t.Helper()
	d := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: highest}}
	conn, err := d.DialContext(t.Context(), "tcp", address)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState(), nil
}
