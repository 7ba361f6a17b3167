package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

const (
	// maxConnections limits the number of open connections. An API server keeps one or two connections for each webhook,
	// and opens more only for concurrent reviews.
	maxConnections = 128
	// maxPerSource limits the number of open connections of one source address.
	maxPerSource = 32
	// socketBuffer limits the received bytes that the kernel holds for a connection until the process reads them.
	socketBuffer = 128 << 10
)

// connections is a listener that limits the number of open connections: total connections, of which one source address has at
// most perSource. At a limit, the listener closes an open connection to accept a new one:
//
//   - If the source address of the new connection has perSource connections, or if no other source address has more connections,
//     the listener closes an idle connection of this address.
//   - Otherwise the listener closes a connection of the source address that has the most connections. It prefers idle
//     connections to busy ones.
//
// Among several candidates the listener closes the connection that has been idle or busy the longest. If there is no candidate,
// it closes the new connection.
//
// So a source address keeps its connections while it has fewer than another source address. API servers use few connections, so
// they can always connect.
type connections struct {
	net.Listener
	total, perSource int

	mu      sync.Mutex
	open    map[*connection]struct{}
	sources map[netip.Addr]int // number of open connections
	clock   uint64             // increases with each change of a connection's state
}

// connection is an accepted connection. connections.mu guards busy and since.
type connection struct {
	net.Conn
	list   *connections
	source netip.Addr

	busy  bool   // the server processes a request
	since uint64 // the clock when the connection became busy or idle
}

func limitConnections(listener net.Listener, total, perSource int) *connections {
	return &connections{
		Listener: listener, total: total, perSource: perSource,
		open: make(map[*connection]struct{}), sources: make(map[netip.Addr]int),
	}
}

// Accept returns the next connection that the limits admit. It closes the connections that they don't admit.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, list: l}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(socketBuffer) // on an error the system's default size is fine
			c.source = tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		}
		gone, ok := l.admit(c)
		if gone != nil {
			_ = gone.Conn.Close() // the server notices this and closes the connection again, without effect
		}
		if ok {
			return c, nil
		}
		_ = conn.Close() // an error has no effect, because nothing was sent on this connection
	}
}

// admit adds a connection to the open connections. gone is the open connection that the caller must close in exchange, or nil.
// ok is false if the limits don't admit the new connection.
func (l *connections) admit(c *connection) (gone *connection, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.sources[c.source]
	if own >= l.perSource || len(l.open) >= l.total {
		if gone = l.connectionToClose(c.source, own); gone == nil {
			return nil, false
		}
		l.remove(gone)
	}
	l.open[c] = struct{}{}
	l.sources[c.source]++
	l.touch(c, false)
	return gone, true
}

// connectionToClose returns the open connection that the listener closes to accept a new connection from a source address. It
// returns nil if the listener must close the new connection instead. own is the number of open connections of this address.
func (l *connections) connectionToClose(source netip.Addr, own int) (chosen *connection) {
	most := own
	if own < l.perSource {
		for _, n := range l.sources {
			most = max(most, n)
		}
	}
	for c := range l.open {
		switch {
		case most == own && (c.source != source || c.busy), l.sources[c.source] != most && most > own:
		case chosen == nil, chosen.busy && !c.busy, chosen.busy == c.busy && c.since < chosen.since:
			chosen = c
		}
	}
	return chosen
}

// touch records that a connection became busy or idle.
func (l *connections) touch(c *connection, busy bool) {
	l.clock++
	c.busy, c.since = busy, l.clock
}

// remove removes a connection from the list of open connections.
func (l *connections) remove(c *connection) {
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	l.sources[c.source]--
	if l.sources[c.source] == 0 {
		delete(l.sources, c.source)
	}
}

// note is the ConnState hook of the server. It records whether a connection is busy or idle. A connection counts as idle during
// its handshake.
func (l *connections) note(conn net.Conn, state http.ConnState) {
	t, ok := conn.(*tls.Conn)
	if !ok {
		return
	}
	c, ok := t.NetConn().(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateActive:
		l.touch(c, true)
	case http.StateIdle:
		l.touch(c, false)
	case http.StateNew, http.StateHijacked, http.StateClosed:
	}
}

// Close closes the connection. The connection no longer counts towards the limits.
func (c *connection) Close() error {
	c.list.mu.Lock()
	c.list.remove(c)
	c.list.mu.Unlock()
	return c.Conn.Close()
}
