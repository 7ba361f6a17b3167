package controlplane

import (
	"context"
	"io"
	"net"
	"sync"
)

// Forward carries a client's TCP connection to an address, as a Service does, until both sides have
// ended it or ctx ends.
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

// pipe copies bytes, and ends one direction when the other side has ended it.
func pipe(to, from net.Conn) {
	_, _ = io.Copy(to, from) // however it ends, it has ended
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
