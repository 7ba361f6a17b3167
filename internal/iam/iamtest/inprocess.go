package iamtest

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// Do answers a request in this process. So the AWS SDK can use a Server as its HTTP client.
func (s *Server) Do(r *http.Request) (*http.Response, error) {
	reader, writer := io.Pipe()
	w := &response{header: make(http.Header), body: writer, begun: make(chan struct{})}
	ended := make(chan struct{})
	context.AfterFunc(r.Context(), func() { _ = reader.CloseWithError(r.Context().Err()) })
	go func() {
		defer close(ended)
		defer func() { // net/http closes the connection if a handler panics, so do the same
			if recover() != nil {
				_ = writer.CloseWithError(io.ErrUnexpectedEOF)
			}
		}()
		s.ServeHTTP(w, r)
		_ = writer.CloseWithError(r.Context().Err())
	}()
	select {
	case <-w.begun:
	case <-ended:
	}
	if status := w.written(); status != 0 {
		return &http.Response{StatusCode: status, Header: w.header, Body: reader, Request: r, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1}, nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// response is an [http.ResponseWriter]. It passes the status, headers and body to the caller of [Server.Do] as soon as
// a handler writes them.
type response struct {
	header http.Header
	body   *io.PipeWriter
	begun  chan struct{}

	mu     sync.Mutex
	status int
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.status = status
		close(w.begun)
	}
}

func (w *response) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush does nothing, because Write passes its data on at once.
func (w *response) Flush() {}

func (w *response) written() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}
