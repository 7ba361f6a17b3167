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

// check is a condition for readiness. run returns nil if the condition holds.
type check struct {
	name string
	run  func() error
}

// readiness answers /readyz. The answer says whether the Service should send reviews to this process.
type readiness struct {
	shuttingDown atomic.Bool // the process is shutting down
	checks       []check
	// details follow the checks in a verbose response. They don't affect readiness. For example, a process that refuses a
	// new configuration stays ready: it still protects aws-auth with the previous configuration.
	details []fmt.Stringer
}

// newReadiness returns a readiness that caches the result of each check (see [throttle]).
func newReadiness(checks []check, details ...fmt.Stringer) *readiness {
	r := &readiness{details: details}
	for _, c := range checks {
		r.checks = append(r.checks, check{c.name, throttle(c.run)})
	}
	r.checks = append(r.checks, check{"shutdown", func() error {
		if r.shuttingDown.Load() {
			return errors.New("the process is about to end")
		}
		return nil
	}})
	return r
}

// ServeHTTP answers 200 if every check passes, otherwise 500. With ?verbose it lists the checks, the reasons of failures
// and the details. It does so only for callers on the loopback interface, such as kubectl port-forward. Other pods may be
// able to reach the port, and they must not learn whether the guard is enforced.
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

// healthMux returns the handler for /healthz and /readyz. /healthz answers 200 as long as the process runs.
func healthMux(ready http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.Handle("/readyz", ready)
	return mux
}

const (
	// readyFor is how long a check's success is cached. The kubelet probes every 2 s
	// (charts/awsauth-guard/templates/deployment.yaml).
	readyFor = time.Second
	// unreadyFor is how long a check's failure is cached. It is short, so that a starting process becomes ready quickly.
	unreadyFor = 100 * time.Millisecond
)

// throttle returns a function that caches the result of run: a success for readyFor, a failure for unreadyFor. Concurrent
// callers get the result of the same call of run.
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
