package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
)

// NewDirectory and its Announce and Prepare are what asks IAM.
var NewDirectory = newDirectory

// Announce is announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare is prepare.
func (d *directory) Prepare() { d.prepare() }

// Readiness answers /readyz by one check, with one detail.
func Readiness(name string, run func() error, detail fmt.Stringer) http.Handler {
	return healthMux(newReadiness([]check{{name, run}}, detail))
}

// Throttle is throttle; MaxConnections is what a plain port holds at most.
var Throttle = throttle

const MaxConnections = maxPlainConnections

// Connections is the listener that bounds connections.
type Connections = connections

// LimitConnections is limitConnections.
var LimitConnections = limitConnections

// Note is note.
func (l *connections) Note(conn net.Conn, state http.ConnState) { l.note(conn, state) }
