package servingcert

import (
	"crypto/x509"
	"time"
)

// Memory is what a process has seen. Nothing else tells how long something has been so: a time
// that is stored would be that of another machine's clock. Each process has its own; it is not
// safe for concurrent use.
type Memory struct {
	live  []*x509.Certificate // in some caBundle
	known []*x509.Certificate // of the last state with a usable CA: replicas may serve with each
	found []*x509.Certificate // in some caBundle at the begin of the leader's term, until it has stored a state
	held  map[string]time.Time
	// stored is what the Secret has held since a time.
	stored State
	since  time.Time
}

// Observe takes in what is so now: the state of the Secret, and the caBundle of each webhook.
func (m *Memory) Observe(now time.Time, s State, bundles [][]*x509.Certificate) {
	m.live = nil
	held := make(map[string]time.Time)
	for i, bundle := range bundles {
		m.live = union(now, m.live, bundle)
		for _, cert := range bundle {
			if i > 0 || !inAll(bundles, cert) {
				continue
			}
			key := string(cert.Raw)
			since, ok := m.held[key]
			if !ok {
				since = now
			}
			held[key] = since
		}
	}
	m.held = held
	if m.since.IsZero() || !m.stored.equal(s) {
		m.stored, m.since = s, now
	}
}

// Know remembers with which CAs replicas may serve: those of the state that the leader has stored.
func (m *Memory) Know(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.known, m.found = s.certificates(), nil
	}
}

// Follow is Know for a state that somebody else has stored. A CA that has left the Secret is known
// until it has left the caBundle, too, as the leader makes it leave: otherwise it was lost.
func (m *Memory) Follow(now time.Time, s State) {
	if s = s.usable(now); len(s.authorities()) > 0 {
		m.known = union(now, s.certificates(), intersection(m.known, m.live))
	}
}

// BeginTerm is called when this process has become the leader, after Observe. What the caBundle holds
// then was written by the leader before, of whom this process may have heard late: all of it is kept
// at first.
func (m *Memory) BeginTerm() { m.found = m.live }

// Bundle is what every caBundle should be, the youngest CA first: those with which replicas may
// serve, and nothing else. Whatever somebody added is not ours to trust.
func (m *Memory) Bundle(now time.Time) []*x509.Certificate { return union(now, m.known, m.found) }

func inAll(bundles [][]*x509.Certificate, cert *x509.Certificate) bool {
	for _, bundle := range bundles {
		if !contains(bundle, cert) {
			return false
		}
	}
	return true
}

// never is shorter than any duration that is waited for.
const never = -1

// heldFor is how long every caBundle has held a CA, without a break.
func (m *Memory) heldFor(cert *x509.Certificate, now time.Time) time.Duration {
	since, ok := m.held[string(cert.Raw)]
	if !ok {
		return never
	}
	return now.Sub(since)
}

// settledFor is how long the Secret has held these CAs, each in its place.
func (m *Memory) settledFor(s State, now time.Time) time.Duration {
	if !m.stored.equal(s) {
		return never
	}
	return now.Sub(m.since)
}
