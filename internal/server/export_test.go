package server

import (
	"context"
	"net"
	"net/http"
)

// NewDirectory and its Announce and Prepare are what asks IAM.
var NewDirectory = newDirectory

// Announce is announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare is prepare.
func (d *directory) Prepare() { d.prepare() }

// Connections is the listener that bounds connections.
type Connections = connections

// LimitConnections is limitConnections.
var LimitConnections = limitConnections

// Note is note.
func (l *connections) Note(conn net.Conn, state http.ConnState) { l.note(conn, state) }
