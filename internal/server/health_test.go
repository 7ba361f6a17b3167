package server_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// For any number of probes, each check runs at most once a second, or ten times a second while it fails.
func TestProbesShareOneCheck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int32
		var fails atomic.Bool
		check := server.Throttle(func() error {
			runs.Add(1)
			if fails.Load() {
				return errors.New("no answer")
			}
			return nil
		})
		flood := func(wantRuns int32, wantErr bool) {
			t.Helper()
			before := runs.Load()
			var probes sync.WaitGroup
			for range 3000 {
				probes.Go(func() {
					if err := check(); (err != nil) != wantErr {
						t.Errorf("got %v", err)
					}
				})
			}
			probes.Wait()
			if got := runs.Load() - before; got != wantRuns {
				t.Errorf("the check ran %d times, want %d", got, wantRuns)
			}
		}
		flood(1, false)
		fails.Store(true)
		time.Sleep(900 * time.Millisecond)
		flood(0, false)
		time.Sleep(100 * time.Millisecond)
		flood(1, true)
		fails.Store(false)
		time.Sleep(100 * time.Millisecond)
		flood(1, false)
	})
}

// text is a [fmt.Stringer].
type text string

func (s text) String() string { return string(s) }

func TestReadyzDetailsAreForLocalCallers(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err        error
		path, from string
		wantCode   int
		wantBody   string
	}{
		"ready":                           {nil, "/readyz", "10.0.0.7:4711", http.StatusOK, "ok"},
		"ready, verbose":                  {nil, "/readyz?verbose", "127.0.0.1:4711", http.StatusOK, "[+]webhook ok\n[+]shutdown ok\nok\nnot enforced\n"},
		"ready, verbose, IPv6":            {nil, "/readyz?verbose", "[::1]:4711", http.StatusOK, "[+]webhook ok\n[+]shutdown ok\nok\nnot enforced\n"},
		"ready, verbose from another pod": {nil, "/readyz?verbose", "10.0.0.7:4711", http.StatusOK, "ok"},
		"not ready":                       {errors.New("no CA"), "/readyz", "127.0.0.1:4711", http.StatusInternalServerError, "not ready"},
		"not ready, verbose":              {errors.New("no CA"), "/readyz?verbose", "127.0.0.1:4711", http.StatusInternalServerError, "[-]webhook failed: no CA\n[+]shutdown ok\nnot ready\nnot enforced\n"},
		"not ready, verbose from another": {errors.New("no CA"), "/readyz?verbose", "[fd00::7]:4711", http.StatusInternalServerError, "not ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			handler := server.Readiness("webhook", func() error { return tt.err }, text("not enforced"))
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody)
			request.RemoteAddr = tt.from
			request.Header.Set("X-Forwarded-For", "127.0.0.1")
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, request)
			if answer.Code != tt.wantCode || answer.Body.String() != tt.wantBody {
				t.Errorf("got %d and %q, want %d and %q", answer.Code, answer.Body, tt.wantCode, tt.wantBody)
			}
		})
	}
}

// A client that holds many connections to a plain HTTP port doesn't block probes or scrapes. The port limits the number of
// these connections.
func TestHeldConnectionsDoNotBlockOthers(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	for address, path := range map[string]string{p.health: "/readyz", p.metrics: "/metrics"} {
		const more = 100
		var held []net.Conn
		for i := range server.MaxConnections + more {
			conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			if i%2 == 0 { // half of the connections begin a request
				if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n")); err != nil {
					t.Fatal(err)
				}
			}
			held = append(held, conn)
		}
		for range 3 {
			if code, _ := get(t, "http://"+address+path); code != http.StatusOK {
				t.Errorf("%s: got %d", path, code)
			}
		}
		for i, conn := range held[:more] { // Read returns because the port closed the connection
			if text, _ := io.ReadAll(conn); bytes.Contains(text, []byte(" 200 ")) {
				t.Errorf("%s: connection %d was answered: %s", path, i, text)
			}
		}
		if err := held[len(held)-1].SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := held[len(held)-1].Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: the newest connection is closed, too: %v", path, err)
		}
	}
}
