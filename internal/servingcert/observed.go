package servingcert

import (
	"crypto/x509"
	"time"
)

// Observed holds the CAs and the state of the Secret that a process has observed, and the times of these observations. The
// steps of a rotation wait for a time after an observation. They don't use times that are stored in the cluster, because
// another machine's clock wrote those. Observed is not safe for concurrent use.
type Observed struct {
	published      []*x509.Certificate  // CAs that at least one caBundle holds
	serving        []*x509.Certificate  // CAs that replicas may serve with; see RecordWritten and RecordSeen
	inherited      []*x509.Certificate  // CAs that a caBundle held when the leader's term began; nil after the leader has stored a state
	publishedSince map[string]time.Time // the time since which every caBundle has held a CA, by CA
	stored         State                // the last observed state of the Secret
	since          time.Time            // the time since which the Secret has held stored
}

// Observe records the present state of the Secret and the present caBundle of each webhook.
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

// RecordWritten records a state that this process has stored as the leader. Replicas may serve with each CA of this state.
// RecordWritten ignores a state without a usable CA.
func (m *Observed) RecordWritten(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.serving, m.inherited = s.certificates(), nil
	}
}

// RecordSeen records a state that another process has stored. Replicas may serve with each CA of this state. They may also
// serve with a CA of an earlier state that a caBundle still holds. The leader would have removed this CA from the
// caBundles, too, so another client may have removed it from the Secret. RecordSeen ignores a state without a usable CA.
func (m *Observed) RecordSeen(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.serving = union(now, s.certificates(), intersection(m.serving, m.published))
	}
}

// BeginTerm records that this process has become the leader. The caller calls it after Observe. The previous leader wrote the
// present caBundles, and this process may not have seen its last state. Therefore the new leader keeps every CA of the caBundles
// until it has stored a state.
func (m *Observed) BeginTerm() { m.inherited = m.published }

// Bundle returns the CAs that every caBundle should hold: the CAs that replicas may serve with. It sorts them from the newest
// to the oldest. A CA that another client has added to a caBundle is not among them.
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

// never is the result of publishedFor and storedFor if the condition doesn't hold now. It is shorter than any waiting time.
const never = -1

// publishedFor returns how long every caBundle has held a CA without interruption, or never if a caBundle lacks the CA.
func (m *Observed) publishedFor(cert *x509.Certificate, now time.Time) time.Duration {
	since, ok := m.publishedSince[string(cert.Raw)]
	if !ok {
		return never
	}
	return now.Sub(since)
}

// storedFor returns how long the Secret has held the CAs of s in the same roles. It returns never if the Secret holds another
// state.
func (m *Observed) storedFor(s State, now time.Time) time.Duration {
	if !m.stored.equal(s) {
		return never
	}
	return now.Sub(m.since)
}
