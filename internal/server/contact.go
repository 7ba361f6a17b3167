package server

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// contact knows since when the webhook configuration cannot be listed or watched: an informer goes on to show
// what it has seen last, and says nothing of it.
type contact struct {
	next http.RoundTripper
	lost *atomic.Pointer[time.Time] // nil: it can
}

// RoundTrip implements [http.RoundTripper].
func (c *contact) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := c.next.RoundTrip(r)
	if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "/validatingwebhookconfigurations") {
		return response, err
	}
	// 410 is an answer: the version to go on from is too old, and a list follows.
	if err == nil && (response.StatusCode < http.StatusBadRequest || response.StatusCode == http.StatusGone) {
		c.lost.Store(nil)
		return response, nil
	}
	if c.lost.Load() == nil {
		now := time.Now() //nolint:forbidigo // the real clock, as that of the connection
		c.lost.CompareAndSwap(nil, &now)
	}
	return response, err
}
