package server

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// check is a condition for being ready; nil is that it holds.
type check struct {
	name string
	run  func() error
}

// readiness answers /readyz: whether reviews should be sent to this process.
type readiness struct {
	leaving atomic.Bool // the process ends soon
	checks  []check
	// details follow the checks in a verbose answer. They don't decide: with a configuration that was refused the one
	// before protects, and a process that is not ready would protect less. The same holds while the API server does
	// not call this process.
	details []fmt.Stringer
}

// newReadiness returns a readiness that asks each check at most once in [readyFor].
func newReadiness(checks []check, details ...fmt.Stringer) *readiness {
	r := &readiness{details: details}
	for _, c := range checks {
		r.checks = append(r.checks, check{c.name, throttle(c.run)})
	}
	r.checks = append(r.checks, check{"shutdown", func() error {
		if r.leaving.Load() {
			return errors.New("the process is about to end")
		}
		return nil
	}})
	return r
}

// ServeHTTP answers 200 when every check holds, otherwise 500. With ?verbose it lists checks, reasons and details, but
// only for callers on the loopback interface, as kubectl port-forward is one: which pods may reach the port depends on a
// NetworkPolicy, and the details say whether the guard is enforced.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var lines []string
	failed := false
	for _, c := range r.checks {
		if err := c.run(); err != nil {
			failed = true
			lines = append(lines, fmt.Sprintf("[-]%s failed: %v", c.name, err))
			continue
		}
		lines = append(lines, fmt.Sprintf("[+]%s ok", c.name))
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	result := "ok"
	if failed {
		result = "not ready"
		w.WriteHeader(http.StatusInternalServerError)
	}
	if _, verbose := req.URL.Query()["verbose"]; !verbose || !isLoopback(req.RemoteAddr) {
		_, _ = io.WriteString(w, result)
		return
	}
	for _, line := range lines {
		fmt.Fprintln(w, line)
	}
	fmt.Fprintln(w, result)
	for _, detail := range r.details {
		fmt.Fprintln(w, detail)
	}
}

func isLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && net.ParseIP(host).IsLoopback()
}

// healthMux serves /healthz, which says that the process is alive, and /readyz.
func healthMux(ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.Handle("/readyz", ready)
	return mux
}

const (
	// readyFor is how long the success of a check is not asked for again. The kubelet probes every 2 s
	// (charts/awsauth-guard/templates/deployment.yaml).
	readyFor = time.Second
	// unreadyFor is the same for a failure. It is shorter, so that a process that starts is ready soon.
	unreadyFor = 100 * time.Millisecond
)

// throttle returns a check that runs at most once in readyFor, or in unreadyFor after a failure, however often it is
// asked. In between it returns the last result. Who asks while it runs waits for that run.
func throttle(run func() error) func() error {
	var (
		mu   sync.Mutex
		last time.Time
		err  error
	)
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		keep := readyFor
		if err != nil {
			keep = unreadyFor
		}
		if last.IsZero() || time.Since(last) >= keep {
			err = run()
			last = time.Now() //nolint:forbidigo // the kubelet probes in real time
		}
		return err
	}
}
