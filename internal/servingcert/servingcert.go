// Package servingcert provides the certificate that the webhook serves. The certificate comes from files, or the webhook
// signs it with a CA of its own.
//
// The webhook's own CA needs three objects: a Secret, a Lease and the ValidatingWebhookConfiguration. The Secret holds the
// CAs with their keys. The Lease elects one replica as the leader. The leader replaces a CA before the CA expires, and
// writes the CAs into the caBundles of the ValidatingWebhookConfiguration. Every replica signs a certificate for itself, and
// keeps the key of this certificate in memory only.
//
// A rotation has three steps. During each step every API server trusts every replica's certificate:
//
//   - The leader adds a new CA to the Secret and to the caBundle, beside the current one. No replica uses it yet,
//     because the API servers learn of a caBundle at different times.
//   - When the caBundle has held the new CA for [Timing.SwitchAfter], each replica signs a certificate with the new CA. The
//     leader makes this CA the current one, so that new replicas start with it.
//   - The previous CA stays in the caBundle for [Timing.RetireAfter], because a replica may have started with it just
//     before.
//
// Each process measures these times with its own clock, from the moment when it saw the CA in the caBundle. A process that
// starts during a rotation waits the full time again. This delays the rotation but does no harm.
//
// Two pure functions decide. [NextState] decides which CAs the Secret should hold. [SigningCA] decides with which CA a
// replica should sign.
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
	// GetCertificate returns the present certificate, or an error if there is none. It is for [tls.Config].
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Ready is a health check. It returns nil if the API servers trust the certificate, as far as the source knows.
	Ready(*http.Request) error
	// Run keeps the certificate up to date until the context ends.
	Run(context.Context) error
}

// RotateAnnotation is an annotation of the Secret. The leader replaces the CA when its value changes.
const RotateAnnotation = "awsauth-guard.io/rotate"

// CAAnnotation is an annotation of the ValidatingWebhookConfiguration. Its value is NAMESPACE/NAME of the Secret whose CAs
// belong into the caBundles. A leader never writes the caBundles of a configuration that names another Secret or none. Such
// a configuration exists while an operator changes the source of the certificate: old replicas still run, but the new source
// writes the caBundles.
const CAAnnotation = "awsauth-guard.io/ca"

// Recorder records metrics of the serving certificate.
type Recorder interface {
	// ServingCertificate records when the certificate expires.
	ServingCertificate(expires time.Time)
	// ServingTrust records when the CA of the certificate expires, and whether every caBundle trusts the certificate. [Files]
	// never calls it, because it doesn't know the caBundles.
	ServingTrust(caExpires time.Time, trusted bool)
	// ServingCAStored records whether the Secret holds a usable CA. A starting process needs this CA. There is no call before
	// the process has read the Secret.
	ServingCAStored(stored bool)
}

// Election elects the replica that writes the Secret and the caBundle.
type Election interface {
	// IsLeader reports whether this process is the leader, as far as it knows.
	IsLeader() bool
	// OnWon registers a function. The election calls it each time this process becomes the leader.
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
	// Secret is the Secret that holds the CAs. If it is missing, the leader creates it.
	Secret Name
	// WebhookConfiguration names the ValidatingWebhookConfiguration whose caBundles the leader writes.
	WebhookConfiguration string
	// Service is the Service in the webhooks' clientConfig. The certificate is valid for its DNS names.
	Service Name
	// Election decides whether this process writes. The caller runs the election.
	Election Election
	// Configuration receives the last configuration from the watch, or nil if the configuration doesn't exist. lost is the
	// time since which the watch has failed; zero means that the watch works. The SelfManaged calls Configuration after every
	// change and every Resync. Configuration must not block.
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
	// SwitchAfter is how long every caBundle must hold a CA before replicas sign with this CA. In this time every API server
	// learns of the CA. An API server watches the configuration and usually learns of a change within a second. If its watch
	// is broken, it notices this by the health check of its connection, within 45 s
	// (k8s.io/apimachinery, pkg/util/net: 30 s idle, 15 s for a ping).
	SwitchAfter time.Duration
	// RetireAfter is how long a replaced CA stays in the caBundle. A replica that started with this CA just before
	// needs SwitchAfter until it signs with the new CA. If its own watch is broken, it needs up to 90 s more: 45 s
	// until it notices this, 30 s for the longest backoff, and a reserve.
	RetireAfter time.Duration
	// Resync is the period in which each replica reconciles even if no object has changed. It is also the time between two
	// writes of the leader while another client keeps undoing these writes. Even then the leader restores the caBundles
	// within 5 s.
	Resync time.Duration
	// CALifetime is how long a CA is valid. The leader creates the next CA when the current CA expires within CARenewBefore.
	// If the leader can't write during this time, no certificate expires yet. CARenewBefore is a third of CALifetime. It is
	// longer than LeafLifetime, so that a certificate never expires early because of its CA.
	CALifetime, CARenewBefore time.Duration
	// LeafLifetime is how long a serving certificate is valid. LeafRenewAfter is the age at which a replica replaces its
	// certificate. A replica does this without the API server.
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
