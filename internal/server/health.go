package server

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"sigs.k8s.io/controller-runtime/pkg/healthz"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// readiness tells whether reviews should be sent here.
type readiness struct {
	leaving atomic.Bool // the process ends soon
	webhook healthz.Checker
	certs   servingcert.Source
	lines   []fmt.Stringer // that ?verbose adds
}

func (r *readiness) stays(*http.Request) error {
	if r.leaving.Load() {
		return errors.New("the process is about to end")
	}
	return nil
}

// ServeHTTP answers /readyz. A configuration that was refused is shown and does not count: the one
// before protects, and a process that is not ready would protect less. Nor does it count that the API
// server does not ask.
func (r *readiness) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	checks := &healthz.Handler{Checks: map[string]healthz.Checker{"webhook": r.webhook, "certificate": r.certs.Ready, "shutdown": r.stays}}
	checks.ServeHTTP(w, req)
	if _, verbose := req.URL.Query()["verbose"]; verbose {
		for _, line := range r.lines {
			fmt.Fprintln(w, line)
		}
	}
}

// healthMux serves /healthz, which says that the process is alive, and /readyz, which says that
// reviews are answered. With ?verbose they list their checks.
func healthMux(ready *readiness) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/healthz", http.StripPrefix("/healthz", &healthz.Handler{}))
	mux.Handle("/readyz", http.StripPrefix("/readyz", ready))
	return mux
}
