package fleet

import (
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
)

// MaxResponseBytes limits the bytes of all responses of the API server of one cluster. A cluster with 2,000 roles and bindings sends about
// 2 MiB. A server that only pretends to be an API server could send any number.
const MaxResponseBytes = 16 << 20

// LimitResponses returns a function that makes a RoundTripper read at most limit bytes of all response bodies together. A read beyond the
// limit returns an error.
func LimitResponses(limit int64) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		t := &limitedTransport{next: next, limit: limit}
		t.left.Store(limit)
		return t
	}
}

type limitedTransport struct {
	next  http.RoundTripper
	limit int64
	left  atomic.Int64
}

// RoundTrip implements [http.RoundTripper].
func (t *limitedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.next.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // the callers of a RoundTripper inspect its errors
	}
	response.Body = &limitedBody{response.Body, t}
	return response, nil
}

// WrappedRoundTripper returns the wrapped RoundTripper, so that k8s.io/apimachinery can close its idle connections.
func (t *limitedTransport) WrappedRoundTripper() http.RoundTripper { return t.next }

type limitedBody struct {
	io.ReadCloser
	t *limitedTransport
}

// Read implements [io.Reader].
func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.t.left.Add(-int64(n)) < 0 {
		return 0, fmt.Errorf("the API server sent more than %d MiB", b.t.limit>>20)
	}
	return n, err
}
