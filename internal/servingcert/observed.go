package servingcert

import (
	"crypto/x509"
	"time"
)

// Observed holds the CAs and the state that a process has observed, and since when. Rotations wait for times since such an
// observation. They don't use times that are stored in the cluster, because these come from another machine's clock. Observed
// is not safe for concurrent use.
type Observed struct {
	published      []*x509.Certificate  // CAs in some caBundle
	serving        []*x509.Certificate  // CAs of the last state with a usable CA: replicas may serve with each of them
	inherited      []*x509.Certificate  // CAs in some caBundle when the leader's term began, until it has stored a state
	publishedSince map[string]time.Time // by CA: since when every caBundle holds it
	// stored is the state of the Secret, which the Secret has held since the time since.
	stored State
	since  time.Time
}

// Observe records the present state of the Secret and the caBundle of each webhook.
func (m *Observed) Observe(now time.Time, s State, bundles [][]*x509.Certificate) {
	m.published = nil
	publishedSince := make(map[string]time.Time)
	for i, bundle := range bundles {
		m.published = union(now, m.published, bundle)
		for _, cert := range bundle {
			if i > 0 || !inAll(bundles, cert) {
				continue
			}
			key := string(cert.Raw)
			since, ok := m.publishedSince[key]
			if !ok {
				since = now
			}
			publishedSince[key] = since
		}
	}
	m.publishedSince = publishedSince
	if m.since.IsZero() || !m.stored.equal(s) {
		m.stored, m.since = s, now
	}
}

// RecordWritten records a state that this process has stored as the leader. Replicas may serve with each of its CAs.
func (m *Observed) RecordWritten(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.serving, m.inherited = s.certificates(), nil
	}
}

// RecordSeen records a state that another process has stored. If a CA is no longer in the Secret but still in a caBundle,
// replicas may still serve with it: the leader removes a CA from both objects, so another client may have removed this one from
// the Secret.
func (m *Observed) RecordSeen(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.serving = union(now, s.certificates(), intersection(m.serving, m.published))
	}
}

// BeginTerm is called after Observe when this process becomes the leader. The previous leader wrote the present caBundle,
// and this process may not have seen its last state. Therefore the leader keeps every CA of the caBundle at first.
func (m *Observed) BeginTerm() { m.inherited = m.published }

// Bundle returns the content of every caBundle, the youngest CA first: exactly the CAs that replicas may serve with. It drops
// CAs that another client has added.
func (m *Observed) Bundle(now time.Time) []*x509.Certificate {
	return union(now, m.serving, m.inherited)
}

func inAll(bundles [][]*x509.Certificate, cert *x509.Certificate) bool {
	for _, bundle := range bundles {
		if !contains(bundle, cert) {
			return false
		}
	}
	return true
}

// never is the duration for a state that doesn't hold now. It is shorter than any waiting time.
const never = -1

// publishedFor returns how long every caBundle has held a CA without interruption, or never if a caBundle lacks the CA.
func (m *Observed) publishedFor(cert *x509.Certificate, now time.Time) time.Duration {
	since, ok := m.publishedSince[string(cert.Raw)]
	if !ok {
		return never
	}
	return now.Sub(since)
}

// storedFor returns how long the Secret has held the CAs of s in the same roles, or never if it holds another state.
func (m *Observed) storedFor(s State, now time.Time) time.Duration {
	if !m.stored.equal(s) {
		return never
	}
	return now.Sub(m.since)
}
