package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// NewDirectory exports newDirectory.
var NewDirectory = newDirectory

// Announce exports announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare exports prepare.
func (d *directory) Prepare() { d.prepare() }

// Readiness returns a handler for /readyz with one check and one detail.
func Readiness(name string, run func() error, detail fmt.Stringer) http.Handler {
	return healthMux(newReadiness([]check{{name, run}}, detail))
}

// Throttle exports throttle.
var Throttle = throttle

// MaxConnections exports maxPlainConnections.
const MaxConnections = maxPlainConnections

// Connections exports connections.
type Connections = connections

// LimitConnections exports limitConnections.
var LimitConnections = limitConnections

// Note exports note.
func (l *connections) Note(conn net.Conn, state http.ConnState) { l.note(conn, state) }
