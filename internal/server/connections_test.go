package server_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/server"
)

// port is a listener that limits its connections, with a channel of the connections that it accepted.
type port struct {
	t        *testing.T
	listener *server.Connections
	accepted chan net.Conn
}

func limited(t *testing.T, total, perSource int) *port {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &port{t: t, listener: server.LimitConnections(listener, total, perSource), accepted: make(chan net.Conn)}
	go func() {
		defer close(p.accepted)
		for {
			conn, err := p.listener.Accept()
			if err != nil {
				return
			}
			p.accepted <- conn
		}
	}()
	t.Cleanup(func() {
		listener.Close()
		for conn := range p.accepted {
			conn.Close()
		}
	})
	return p
}

// peer holds the client end of a connection and, if the listener accepted it, the server end.
type peer struct {
	client net.Conn
	conn   *tls.Conn
	closed chan struct{} // closed after the listener closes the connection
}

// open opens a connection from the source address 127.0.0.N, where N is source. The peer's conn is nil if the listener
// closes the connection instead of accepting it.
func (p *port) open(source byte) *peer {
	p.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, source)}}
	client, err := dialer.DialContext(p.t.Context(), "tcp", p.listener.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { client.Close() })
	c := &peer{client: client, closed: make(chan struct{})}
	go func() {
		_, _ = io.Copy(io.Discard, client)
		close(c.closed)
	}()
	select {
	case conn := <-p.accepted:
		c.conn = tls.Server(conn, &tls.Config{})
	case <-c.closed:
	}
	return c
}

// state reports a connection's state to the listener, as an [http.Server] does.
func (p *port) state(c *peer, state http.ConnState) { p.listener.Note(c.conn, state) }

// gone waits until the listener closes one of the connections, and returns its index.
func (p *port) gone(list ...*peer) int {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		for i, c := range list {
			select {
			case <-c.closed:
				return i
			case <-deadline:
				p.t.Fatalf("none of %d connections was closed", len(list))
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func TestConnectionOverLimitOfSourceClosesLongestIdle(t *testing.T) {
	t.Parallel()
	p := limited(t, 10, 3)
	other := p.open(2)
	a, b, c := p.open(1), p.open(1), p.open(1)
	p.state(a, http.StateActive)
	p.state(b, http.StateActive)
	p.state(b, http.StateIdle) // b becomes idle after c
	d := p.open(1)
	if d.conn == nil || p.gone(other, a, b, c) != 3 {
		t.Fatal("the listener did not close the longest idle connection")
	}
	p.state(d, http.StateActive)
	e := p.open(1)
	if e.conn == nil || p.gone(other, a, b, d) != 2 {
		t.Fatal("the listener did not close the idle connection")
	}
	p.state(e, http.StateActive)
	if f := p.open(1); f.conn != nil {
		t.Error("a source got more connections than its limit, while all of them are active")
	}
	a.conn.NetConn().Close()
	if f := p.open(1); f.conn == nil {
		t.Error("a connection that was closed still counts")
	}
	if p.open(2).conn == nil {
		t.Error("the listener accepted no connection of another source")
	}
}

func TestFullPortAcceptsSourcesWithFewConnections(t *testing.T) {
	t.Parallel()
	p := limited(t, 6, 4)
	kept := p.open(1) // the longest idle connection
	var many []*peer
	for range 4 {
		c := p.open(2)
		p.state(c, http.StateActive)
		many = append(many, c)
	}
	few := p.open(3)
	p.state(many[2], http.StateIdle)

	if p.open(1).conn == nil || p.gone(append(many, kept, few)...) != 2 {
		t.Fatal("the listener did not close the idle connection of the source with the most connections")
	}
	many = append(many[:2], many[3])
	if p.open(4).conn == nil || p.gone(append(many, kept, few)...) != 0 {
		t.Fatal("the listener did not close the connection that was active the longest of the source with the most connections")
	}
	// Now the source addresses 1 and 2 have two connections each, and 3 and 4 have one each.
	if p.open(2).conn != nil {
		t.Error("a source that has the most connections got one more, while its connections are active")
	}
	if p.open(5).conn == nil {
		t.Error("the listener accepted no connection of a new source")
	}
}
