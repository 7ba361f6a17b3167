package server_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	// memoryLimit is the chart's limit for the container (values.yaml, resources.limits.memory).
	memoryLimit = 256 << 20
	// apiTimeout is how long the API server waits for a response (the chart's templates/webhook.yaml, timeoutSeconds).
	// The API server ignores a later response.
	apiTimeout = 5 * time.Second
	// quietTimeout is how long a review by a process without a flood may take. If it takes longer, the machine is so busy
	// with other work that the reviews of the same round say nothing about the flood. On an idle machine it takes 10 ms.
	quietTimeout = apiTimeout / 4
	// A review during a flood may take apiTimeout plus slowdown times the time of the review by the process without a flood.
	// That review takes at most quietTimeout, so the sum is at most 30 s, the longest time that the API server can wait
	// (Kubernetes API reference, ValidatingWebhook, timeoutSeconds). On an idle machine slowdown adds 0.2 s.
	slowdown = 20
	// maxRepeated limits the rounds of a flood that the test repeats because the process without a flood took longer than
	// quietTimeout. If there are more, the test fails, because the machine is too busy.
	maxRepeated = 50
	// legitimate is the number of rounds of a flood, without repeated ones. In each round one client sends a review to the
	// process without a flood, and then two clients send one review each during the flood. reviewEvery is the minimum interval
	// between the starts of two rounds.
	legitimate  = 5
	reviewEvery = 200 * time.Millisecond
	// dialEvery is the interval between new connections of a flood. It limits their rate because the attacker uses the same
	// CPUs as the webhook.
	dialEvery = 5 * time.Millisecond
)

// flood opens connections to the webhook and holds them open. It replaces each connection that the webhook closes.
type flood struct {
	address string
	dials   <-chan time.Time
	// settled counts two events: a connection has sent all its data, and a connection ended. A connection can count twice.
	settled atomic.Int64
}

// run holds the given number of connections open from each of as many source addresses as sources says, until the context ends.
// It calls attack for each connection.
func (f *flood) run(ctx context.Context, sources, connections int, attack func(*flood, net.Conn) error) {
	var running sync.WaitGroup
	for source := range sources {
		for range connections {
			running.Go(func() {
				for ctx.Err() == nil {
					select {
					case <-f.dials:
						f.once(ctx, net.IPv4(127, 1, byte(source>>8), byte(source)), attack)
						f.settled.Add(1)
					case <-ctx.Done():
					}
				}
			})
		}
	}
	running.Wait()
}

func (f *flood) once(ctx context.Context, source net.IP, attack func(*flood, net.Conn) error) {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: source}, Timeout: apiTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", f.address)
	if err != nil {
		return
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	if attack(f, conn) == nil {
		f.settled.Add(1)
		_, _ = io.Copy(io.Discard, conn) // until the webhook closes it
	}
}

// silent sends no data.
func silent(*flood, net.Conn) error { return nil }

// idle completes the TLS and HTTP/2 handshakes and sends no request.
func idle(_ *flood, conn net.Conn) error {
	_, err := openHTTP2(conn)
	return err
}

// headers opens 200 streams. Each announces a body of 1 KiB but never sends it.
func headers(f *flood, conn net.Conn) error {
	return f.streams(conn, 200, 1<<10, "application/json", 0)
}

// largeHeaders opens 50 streams with headers of 60 KiB. Each announces a body but never sends it.
func largeHeaders(f *flood, conn net.Conn) error {
	return f.streams(conn, 50, 1<<10, "application/json;"+strings.Repeat("x", 60<<10), 0)
}

// halfBodies opens the maximum number of streams of a connection (maxStreams) and announces a body of 7 MiB on each. On each
// stream it sends 60 KiB, nearly as much as the initial HTTP/2 window of 64 KiB permits.
func halfBodies(f *flood, conn net.Conn) error {
	return f.streams(conn, 8, 7<<20, "application/json", 60<<10)
}

// streams opens n streams, which announce a body of length bytes, and sends a part of each body. Then it reads until the
// first response or the end of the connection, and returns an error in both cases.
func (f *flood) streams(conn net.Conn, n, length int, contentType string, part int) error {
	framer, err := openHTTP2(conn)
	for i := 0; err == nil && i < n; i++ {
		err = openStream(framer, streamID(i), length, contentType)
	}
	for sent := 0; err == nil && sent < part; sent += 10 << 10 {
		for i := 0; err == nil && i < n; i++ {
			err = framer.WriteData(streamID(i), false, bytes.Repeat([]byte(" "), 10<<10))
		}
	}
	f.settled.Add(1)
	for err == nil {
		var frame http2.Frame
		if frame, err = framer.ReadFrame(); err == nil && frame.Header().Type == http2.FrameHeaders {
			return errAnswered
		}
	}
	return err
}

var errAnswered = errors.New("the webhook has answered")

// streamID returns the identifier of a client's i-th stream (RFC 9113, section 5.1.1).
func streamID(i int) uint32 { return uint32(2*i + 1) }

// largeReview returns a review of an update with a mapRoles of about 500 KiB.
var largeReview = sync.OnceValue(func() string {
	var roles strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&roles, `- rolearn: arn:aws:iam::111122223333:role/team-%d\n  username: team-%d\n  groups: [team, dev, ops, all, people, of, that, team]\n`, i, i)
	}
	return strings.TrimSuffix(strings.Replace(deletion, `"DELETE"`, `"UPDATE"`, 1), "}}") +
		`,"object":{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"aws-auth","namespace":"kube-system"},"data":{"mapRoles":"` + roles.String() + `"}}}}`
})

// largeReviews sends complete reviews over HTTP/1.1. It sends each review after the response to the previous one.
func largeReviews(f *flood, conn net.Conn) error {
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
	answers := bufio.NewReader(c)
	for {
		r, err := http.NewRequest(http.MethodPost, "https://x/validate-aws-auth?timeout=30s", strings.NewReader(largeReview())) //nolint:noctx // the flood closes the connection
		if err != nil {
			return err
		}
		r.Header.Set("Content-Type", "application/json")
		if err := r.Write(c); err != nil {
			return err
		}
		f.settled.Add(1)
		response, err := http.ReadResponse(answers, r)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil {
			return err
		}
	}
}

// openHTTP2 performs the TLS and HTTP/2 handshakes.
func openHTTP2(conn net.Conn) (*http2.Framer, error) {
	c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	_ = conn.SetDeadline(time.Now().Add(apiTimeout))
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	framer := http2.NewFramer(c, c)
	return framer, errors.Join(framer.WriteSettings(), framer.WriteSettingsAck())
}

func openStream(framer *http2.Framer, stream uint32, length int, contentType string) error {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{
		{":method", "POST"},
		{":scheme", "https"},
		{":authority", "x"},
		{":path", "/validate-aws-auth?timeout=30s"},
		{"content-type", contentType},
		{"content-length", strconv.Itoa(length)},
	} {
		if err := encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1], Sensitive: true}); err != nil {
			return err
		}
	}
	text := block.Bytes()
	part := text[:min(len(text), 16<<10)]
	err := framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: part, EndHeaders: len(part) == len(text)})
	for text = text[len(part):]; err == nil && len(text) > 0; text = text[len(part):] {
		part = text[:min(len(text), 16<<10)]
		err = framer.WriteContinuation(stream, len(part) == len(text), part)
	}
	return err
}

// largeFrames sends a frame of an unknown type with the maximum size that Go's HTTP/2 server allows by default. The webhook
// allows only frames of maxFrame.
func largeFrames(_ *flood, conn net.Conn) error {
	framer, err := openHTTP2(conn)
	if err != nil {
		return err
	}
	return framer.WriteRawFrame(0x42, 0, 0, make([]byte, 1<<20))
}

// build builds the webhook program and returns its path.
func build(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "webhook")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-ldflags=-w", "-o", program, "../../cmd/webhook").CombinedOutput(); err != nil {
		t.Fatalf("building the program: %v\n%s", err, out)
	}
	return program
}

// startProgram runs the program as a separate process, so that the test can measure its memory.
func startProgram(t *testing.T, program string) (p *process, pid int) {
	t.Helper()
	started := make(chan int, 1)
	p = startMain(t, func(ctx context.Context, args []string, out, log io.Writer) int {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = append(os.Environ(), fmt.Sprintf("GOMEMLIMIT=%d", memoryLimit/10*9)) // automemlimit sets the same value in the pod
		cmd.Stdout, cmd.Stderr = out, log
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		if err := cmd.Start(); err != nil {
			return 1
		}
		started <- cmd.Process.Pid
		_ = cmd.Wait() // the exit status shows a failure
		return cmd.ProcessState.ExitCode()
	}, onLoopback(newCertDir(t))...)
	return p, <-started
}

// peakMemory returns the peak memory of a process in bytes (proc(5), VmHWM).
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("no VmHWM in\n%s", text)
	return 0
}

// During a flood the webhook answers each review from another source address, on a new connection and on a kept connection,
// and its memory stays below the chart's limit. On an idle machine each review is answered within the API server's timeout.
// Other work on the machine slows down all reviews. So each round first sends a review to a process without a flood. The
// test extends the timeout of the round by slowdown times the duration of this review. If this review takes longer than
// quietTimeout, the test repeats the round.
func TestReviewsAreAnsweredDuringFlood(t *testing.T) {
	program := build(t)
	if !json.Valid([]byte(largeReview())) {
		t.Fatal("the large review is not valid JSON")
	}
	quiet, _ := startProgram(t, program)
	for _, tt := range []struct {
		name                 string
		sources, connections int
		attack               func(*flood, net.Conn) error
	}{
		{"connections without a handshake", 1, 600, silent},
		{"idle connections", 1, 300, idle},
		{"streams without a body", 1, 50, headers},
		{"streams without a body from many sources", 40, 3, headers},
		{"large headers", 1, 20, largeHeaders},
		{"large reviews", 1, 32, largeReviews},
		{"large reviews from many sources", 10, 2, largeReviews},
		{"large frames of an unknown type", 40, 3, largeFrames},
		{"half bodies", 1, 50, halfBodies},
		{"half bodies from many sources", 40, 3, halfBodies},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, pid := startProgram(t, program)
			before := peakMemory(t, pid)
			dials := time.NewTicker(dialEvery)
			defer dials.Stop()
			f := &flood{address: p.webhook, dials: dials.C}
			ctx, stop := context.WithCancel(t.Context())
			var running sync.WaitGroup
			defer running.Wait()
			defer stop()
			running.Go(func() { f.run(ctx, tt.sources, tt.connections, tt.attack) })
			eventually(t, "the flood is at its height", func() bool { return f.settled.Load() >= int64(tt.sources*tt.connections) })

			kept := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
			defer kept.CloseIdleConnections()
			review := func(limit time.Duration, send func(ctx context.Context, path string) error) error {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				return send(ctx, "/validate-aws-auth?timeout="+limit.String())
			}
			tick := time.NewTicker(reviewEvery)
			defer tick.Stop()
			repeated := 0
			for counted := 0; counted < legitimate; {
				<-tick.C
				started := time.Now()
				withoutFlood := review(quietTimeout, func(ctx context.Context, path string) error {
					_, err := quiet.post(ctx, path)
					return err
				})
				limit := (apiTimeout + slowdown*time.Since(started)).Round(time.Millisecond)
				if withoutFlood != nil {
					repeated++
					if repeated > maxRepeated {
						t.Fatalf("the machine is too busy for this test: %v", withoutFlood)
					}
					continue
				}
				var onNew, onKept error
				var clients sync.WaitGroup
				clients.Go(func() {
					onNew = review(limit, func(ctx context.Context, path string) error {
						_, err := p.post(ctx, path)
						return err
					})
				})
				clients.Go(func() {
					onKept = review(limit, func(ctx context.Context, path string) error {
						_, err := p.send(ctx, kept, path, strings.NewReader(deletion))
						return err
					})
				})
				clients.Wait()
				counted++
				if err := errors.Join(onNew, onKept); err != nil {
					t.Errorf("a review was lost: %v", err)
				}
			}
			peak := peakMemory(t, pid)
			t.Logf("%d rounds repeated, peak memory %d MiB (%d MiB before), the flood's connections sent all their data or ended %d times", repeated, peak>>20, before>>20, f.settled.Load())
			if peak >= memoryLimit {
				t.Errorf("the peak memory is %d MiB, the limit is %d MiB", peak>>20, memoryLimit>>20)
			}
		})
	}
}
