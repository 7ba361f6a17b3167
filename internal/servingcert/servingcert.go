// Package servingcert provides the certificate that the webhook serves. The certificate comes from files, or the webhook
// signs it with a CA of its own.
//
// The webhook's own CA needs three objects: a Secret, a Lease and the ValidatingWebhookConfiguration. The Secret holds the
// CAs with their keys. One replica, the leader, replaces a CA before it ends, and writes all valid CAs into the caBundle of
// the ValidatingWebhookConfiguration. Every replica signs a certificate for itself and keeps its key in memory only. A
// rotation has three steps, and every API server trusts every replica's certificate in each of them:
//
//   - The leader adds a new CA to the Secret and to the caBundle, beside the current one. No replica uses it yet,
//     because the API servers learn of a caBundle at different times.
//   - When the caBundle has held the new CA for [Timing.SwitchAfter], each replica signs its certificate with it. The
//     leader makes it the current CA, which replicas start with.
//   - The previous CA stays in the caBundle for [Timing.RetireAfter], because a replica may have started with it just
//     before.
//
// Each process measures these waits with its own clock, from the moment when it saw the CA in the caBundle. A process that
// did not see that waits the full time again, which delays the rotation and breaks nothing.
//
// Two pure functions decide: [NextState] says which CAs the Secret should hold, and [SigningCA] which CA a replica should
// sign with. The other files read and write the objects.
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

// Source provides the serving certificate.
type Source interface {
	// GetCertificate has the signature of [tls.Config.GetCertificate].
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is a health check. It returns nil if the API servers trust the certificate, as far as the source knows.
	Ready(*http.Request) error
	// Run keeps the certificate up to date until the context ends.
	Run(context.Context) error
}

// RotateAnnotation is an annotation of the Secret. The leader replaces the CA when its value changes.
const RotateAnnotation = "awsauth-guard.io/rotate"

// CAAnnotation is an annotation of the ValidatingWebhookConfiguration. It names the Secret, as NAMESPACE/NAME, whose CAs
// belong into the caBundles. A leader never writes to a configuration that names another Secret. Such a configuration exists
// while an operator changes the source of the certificate: the new source owns the caBundle, but old replicas still run.
const CAAnnotation = "awsauth-guard.io/ca"

// Recorder records metrics of the serving certificate.
type Recorder interface {
	// ServingCertificate records when the certificate expires.
	ServingCertificate(expires time.Time)
	// ServingTrust records when the CA of the certificate expires, and whether every caBundle trusts the certificate.
	// Sources that don't know the caBundle never call it.
	ServingTrust(caExpires time.Time, trusted bool)
	// ServingCAStored records whether the Secret holds a usable CA, which a starting process needs. It is called only
	// after the Secret was read.
	ServingCAStored(stored bool)
}

// Election elects the replica that writes the Secret and the caBundle.
type Election interface {
	// IsLeader reports whether this process is the leader, as far as it knows.
	IsLeader() bool
	// OnWon registers a function that is called each time this process becomes the leader.
	OnWon(call func())
}

// Name names an object in a namespace.
type Name struct{ Namespace, Name string }

// String returns NAMESPACE/NAME.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// Options configures [New]. Configuration, Timing and Now are optional.
type Options struct {
	// Config is the client configuration for the API server.
	Config *rest.Config
	// Secret holds the CAs. The leader creates it if it is missing, with a server-side apply: RBAC can't restrict the
	// verb create to one name, but it can restrict patch.
	Secret Name
	// WebhookConfiguration names the ValidatingWebhookConfiguration whose caBundles the leader writes.
	WebhookConfiguration string
	// Service is the Service in the webhooks' clientConfig. The certificate is valid for its DNS names.
	Service Name
	// Election decides whether this process writes. The caller runs it.
	Election Election
	// Configuration receives the configuration as the watch saw it last, or nil if it doesn't exist. lost is when the
	// watch failed; zero means that it works. It is called after every change and every Resync, and must not block.
	Configuration func(config *admissionregistrationv1.ValidatingWebhookConfiguration, lost time.Time)
	// Logger logs each step. No key is ever logged.
	Logger *slog.Logger
	// Recorder records the metrics.
	Recorder Recorder
	// Timing is set by tests. The zero Timing means [DefaultTiming].
	Timing Timing
	// Now is the clock. Nil means the real clock.
	Now func() time.Time
}

// Timing holds the waiting times and lifetimes.
type Timing struct {
	// SwitchAfter is how long the caBundle must hold a CA before replicas sign with it, so that every API server has
	// learned of it. An API server watches the configuration and learns of a change within a second. If its watch is
	// broken, it notices after the health check of its connection, which takes 45 s
	// (k8s.io/apimachinery, pkg/util/net: 30 s idle, 15 s for a ping).
	SwitchAfter time.Duration
	// RetireAfter is how long a CA stays in the caBundle after it was replaced. A replica that started with it just
	// before needs SwitchAfter to leave it, and up to 90 s more if its own watch is broken (45 s as above, 30 s for the
	// longest backoff, and a reserve).
	RetireAfter time.Duration
	// Resync is the period in which the state is checked without an event, and in which the leader writes if another
	// client keeps undoing its writes. Even then the caBundle is restored within 5 s.
	Resync time.Duration
	// CALifetime is how long a CA is valid. CARenewBefore is how long before the end of a CA the leader makes the next CA.
	// CARenewBefore is a third of CALifetime and longer than LeafLifetime, so that a certificate never expires early
	// because of its CA. The leader can be unable to write for this long before the CA expires.
	CALifetime, CARenewBefore time.Duration
	// LeafLifetime is how long a serving certificate is valid. LeafRenewAfter is the age at which a replica replaces it.
	// Neither needs the API server.
	LeafLifetime, LeafRenewAfter time.Duration
}

const day = 24 * time.Hour

// clockSkew is how far the clock of an API server or of another replica may be behind this process's clock.
const clockSkew = day

// DefaultTiming returns the Timing for production.
func DefaultTiming() Timing {
	return Timing{
		SwitchAfter: 60 * time.Second, RetireAfter: 5 * time.Minute, Resync: 3 * time.Second,
		CALifetime: 365 * day, CARenewBefore: 120 * day, LeafLifetime: 90 * day, LeafRenewAfter: 30 * day,
	}
}
