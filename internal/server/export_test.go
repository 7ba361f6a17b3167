package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/metrics"
)

// NewDirectory exports newDirectory.
var NewDirectory = newDirectory

// Announce exports announce.
func (d *directory) Announce() func(context.Context) error { return d.announce }

// Prepare exports prepare.
func (d *directory) Prepare() { d.prepare() }

// CompareAccessEntries returns accessEntries.compare for a GuardConfig file. The guard calls compare with the cluster after
// each read of the access entries from EKS.
func CompareAccessEntries(file string, recorder *metrics.Recorder, log *slog.Logger) (func(*access.Cluster), error) {
	cfg, err := newConfiguration(file, "", recorder, log)
	if err != nil {
		return nil, err
	}
	return newAccessEntries(cfg, nil, recorder, log).compare, nil
}

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
