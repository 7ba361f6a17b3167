package server

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

const (
	// maxConnections bounds the open connections. An API server keeps one or two for each webhook, and opens more only
	// for reviews at the same time.
	maxConnections = 128
	// maxPerSource bounds those of one source address.
	maxPerSource = 32
	// socketBuffer bounds what the kernel holds of what a connection has sent and the process has not read.
	socketBuffer = 128 << 10
)

// connections is a listener that bounds the open connections. They are shared out by source address, so that API
// servers, which come from few addresses, are always let in:
//
//   - A source with maxPerSource connections opens another one in the place of an idle one of its own.
//   - When all maxConnections are open, a new connection takes the place of one of the source that has the most, if that
//     has more than the new one's source: of its longest idle one, or of the one that works the longest.
//   - Otherwise the new connection is closed.
//
// So a source keeps its connections while it has fewer than another source.
type connections struct {
	net.Listener
	total, perSource int

	mu      sync.Mutex
	open    map[*connection]struct{}
	sources map[netip.Addr]int // number of open connections
	clock   uint64             // counts events, to tell which was earlier
}

// connection is one that was let in. The fields below are guarded by connections.mu.
type connection struct {
	net.Conn
	list   *connections
	source netip.Addr

	busy  bool   // a request is in work
	since uint64 // when it became busy or idle
}

func limitConnections(listener net.Listener, total, perSource int) *connections {
	return &connections{
		Listener: listener, total: total, perSource: perSource,
		open: make(map[*connection]struct{}), sources: make(map[netip.Addr]int),
	}
}

// Accept returns the next connection that is let in. It closes those that are not.
func (l *connections) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: conn, list: l}
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(socketBuffer) // the system's default is as good
			c.source = tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		}
		gone, ok := l.admit(c)
		if gone != nil {
			_ = gone.Conn.Close() // the server notices, and closes it once more
		}
		if ok {
			return c, nil
		}
		_ = conn.Close() // it has no more to say
	}
}

// admit adds a connection, and returns the one that gives way to it, or reports that it is not let in.
func (l *connections) admit(c *connection) (gone *connection, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own := l.sources[c.source]
	if own >= l.perSource || len(l.open) >= l.total {
		if gone = l.victim(c.source, own); gone == nil {
			return nil, false
		}
		l.remove(gone)
	}
	l.open[c] = struct{}{}
	l.sources[c.source]++
	l.touch(c, false)
	return gone, true
}

// victim returns the connection that gives way to a new one of a source that has own connections, or nil.
func (l *connections) victim(source netip.Addr, own int) (chosen *connection) {
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

// touch notes that a connection became busy or idle.
func (l *connections) touch(c *connection, busy bool) {
	l.clock++
	c.busy, c.since = busy, l.clock
}

// remove forgets a connection.
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

// note is the server's ConnState: it learns which connections are idle. During the handshakes they are.
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

// Close makes room for another connection.
func (c *connection) Close() error {
	c.list.mu.Lock()
	c.list.remove(c)
	c.list.mu.Unlock()
	return c.Conn.Close()
}
