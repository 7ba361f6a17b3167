package controlplane

import (
	"context"
	"io"
	"net"
	"sync"
)

// Forward forwards a client's TCP connection to an address, as a Service does. It returns when both sides have closed
// the connection, or when ctx ends. If it can't connect to the address, it closes the client's connection.
func Forward(ctx context.Context, client net.Conn, address string) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = client.Close(), server.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { pipe(server, client) })
	both.Go(func() { pipe(client, server) })
	both.Wait()
}

// pipe copies bytes from one connection to another until the first ends, and then closes the second for writing.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from) // an error has the same effect as the end of the bytes
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
