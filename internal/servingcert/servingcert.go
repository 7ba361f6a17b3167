// Package servingcert is the certificate that the webhook serves: given as files, or signed by a CA
// of its own.
//
// The CA of its own needs nothing but three objects. A Secret holds the CAs with their keys. One of
// the replicas, the leader, replaces a CA in time and writes all valid ones into the caBundle of the
// ValidatingWebhookConfiguration. Every replica signs a certificate for itself, which never leaves
// its memory. No step of a rotation makes a certificate unknown to an API server:
//
//   - A new CA is in the Secret and in the caBundle beside the present one. Nobody uses it yet,
//     because API servers learn of a caBundle one after the other.
//   - When the caBundle has held it for [Timing.SwitchAfter], each replica switches to it, and the
//     leader makes it the present one, with which replicas start.
//   - The CA before it stays in the caBundle for [Timing.RetireAfter], because a replica may have
//     started with it a moment before.
//
// The clock of every wait is that of the process which waits, from when it saw the CA in the
// caBundle. A process that did not see it waits anew, which costs time and nothing else.
//
// plan.go says what the Secret should hold, choose.go with which CA a replica should sign; both are
// pure. The rest reads and writes.
package servingcert

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/client-go/rest"
)

// Source gives the certificate that is served.
type Source interface {
	// GetCertificate is that of a [tls.Config].
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is a health check: API servers accept the certificate.
	Ready(*http.Request) error
	// Run keeps the certificate up to date until the context ends.
	Run(context.Context) error
}

// RotateAnnotation on the Secret makes the leader replace the CA whenever its value changes.
const RotateAnnotation = "awsauth-guard.io/rotate"

// CAAnnotation on the ValidatingWebhookConfiguration names the Secret, NAMESPACE/NAME, whose CAs belong
// into its caBundles. A leader writes nowhere else: while the way to the certificate is changed, the
// old replicas are still there, and caBundle is another's.
const CAAnnotation = "awsauth-guard.io/ca"

// Recorder is told about the certificate that is served.
type Recorder interface {
	// ServingCertificate says when it ends.
	ServingCertificate(ends time.Time)
	// ServingTrust says when the CA ends that signed it, and whether every caBundle vouches for it.
	// It is not called where this process cannot know.
	ServingTrust(caEnds time.Time, trusted bool)
	// ServingCAStored says whether the Secret holds a usable CA, which a process that starts needs. It is not called
	// before the Secret was read.
	ServingCAStored(stored bool)
}

// Election tells which replica writes.
type Election interface {
	// IsLeader reports whether it is this one, as far as it knows.
	IsLeader() bool
	// OnWon has a function called whenever it has become the leader.
	OnWon(call func())
}

// Name is the name of an object in a namespace.
type Name struct{ Namespace, Name string }

// String is NAMESPACE/NAME.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Options are what [New] needs; only Configuration, Timing and Now may be left out.
type Options struct {
	// Config is how the API server is reached.
	Config *rest.Config
	// Secret holds the CAs. The leader creates it where it does not exist, by applying on the server, for which the right
	// to create can be given for one name.
	Secret Name
	// WebhookConfiguration is the ValidatingWebhookConfiguration whose caBundles are written.
	WebhookConfiguration string
	// Service is what the webhooks' clientConfig names; the certificate is for its DNS names.
	Service Name
	// Election tells whether this process writes. It is run by whoever gives it.
	Election Election
	// Configuration is told of the configuration as the watch has seen it last, nil where there is none, and since
	// when it cannot be watched (zero: it can): after every change, and every Resync. It must not block.
	Configuration func(config *admissionregistrationv1.ValidatingWebhookConfiguration, lost time.Time)
	// Logger is told each step. No key is ever logged.
	Logger *slog.Logger
	// Recorder is told how it stands.
	Recorder Recorder
	// Timing is for tests; the zero Timing is [DefaultTiming].
	Timing Timing
	// Now is the clock.
	Now func() time.Time
}

// Timing is how long things last.
type Timing struct {
	// SwitchAfter is how long the caBundle must hold a CA before certificates are signed by it, so
	// long does every API server have to learn of it. They watch the configuration and learn of a
	// change within a second; one whose watch is broken does after the health check of its
	// connection, which takes 45 s (k8s.io/apimachinery, pkg/util/net: 30 s idle, 15 s for a ping).
	SwitchAfter time.Duration
	// RetireAfter is how long a CA stays in the caBundle after it was replaced: a replica that began
	// with it the moment before needs SwitchAfter to leave it, and up to 90 s more where its own
	// watch is broken (45 s as above, and a backoff of at most 30 s).
	RetireAfter time.Duration
	// Resync is how often everything is looked at without an event, and how often the leader writes
	// against somebody who undoes it: the caBundle is its own again within 5 s even then.
	Resync time.Duration
	// CALifetime is how long a CA is valid, and CARenewBefore how long before its end the next one
	// is made: a third of it, so that a certificate is never cut short by its CA, and so long may
	// the leader be unable to write.
	CALifetime, CARenewBefore time.Duration
	// LeafLifetime is how long a certificate is valid, and LeafRenewAfter when it is replaced. Both
	// need no API server.
	LeafLifetime, LeafRenewAfter time.Duration
}

const day = 24 * time.Hour

// backdated is how far the clock of an API server, or of another replica, may be behind ours.
const backdated = day

// DefaultTiming is the Timing of a webhook in use.
func DefaultTiming() Timing {
	return Timing{
		SwitchAfter: 60 * time.Second, RetireAfter: 5 * time.Minute, Resync: 3 * time.Second,
		CALifetime: 365 * day, CARenewBefore: 120 * day, LeafLifetime: 90 * day, LeafRenewAfter: 30 * day,
	}
}
