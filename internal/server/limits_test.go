package server_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
)

// A frame of more than 16 KiB ends the connection, even if its type is unknown. Otherwise the process would keep a buffer of
// the frame's size.
func TestLargeFrameEndsConnection(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	for _, tt := range []struct {
		size    int
		allowed bool
	}{{16 << 10, true}, {16<<10 + 1, false}} {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.webhook)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:gocritic // two connections
		framer, err := openHTTP2(conn)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(framer.WriteRawFrame(0x42, 0, 0, make([]byte, tt.size)), framer.WritePing(false, [8]byte{1})); err != nil {
			t.Fatal(err)
		}
		if answered := readPing(framer); answered != tt.allowed {
			t.Errorf("after a frame of %d bytes the connection answers: %t", tt.size, answered)
		}
	}
}

// readPing reports whether the response to a ping arrives before the connection ends.
func readPing(framer *http2.Framer) bool {
	for {
		frame, err := framer.ReadFrame()
		switch frame := frame.(type) {
		case *http2.PingFrame:
			return frame.IsAck()
		case *http2.GoAwayFrame:
			return false
		}
		if err != nil {
			return false
		}
	}
}

// If a request has a wrong method, content type or path, the webhook refuses it before it reads the body, and then closes
// the connection. It doesn't wait for a body that the client never sends.
func TestRefusedRequestWithoutItsBodyEnds(t *testing.T) {
	t.Parallel()
	p := start(t, newCertDir(t))
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}}
	for _, request := range []string{"PUT /validate-aws-auth", "POST /validate-aws-auth", "POST /unknown"} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			conn, err := dialer.DialContext(t.Context(), "tcp", p.webhook)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n", request); err != nil {
				t.Fatal(err)
			}
			reader := bufio.NewReader(conn)
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if response.StatusCode < 400 {
				t.Errorf("the status is %s", response.Status)
			}
			_, _ = io.Copy(io.Discard, reader) // returns after the webhook closes or resets the connection
		})
	}
}
