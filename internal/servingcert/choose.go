package servingcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Choose returns the CA by which a replica should have a certificate signed now, and nil where it
// should keep the one it has, if any.
func Choose(now time.Time, s State, memory *Memory, leaf *Leaf, t Timing) *Authority {
	s = s.usable(now)
	if leaf == nil || !valid(leaf.Leaf, now) {
		return s.inUse(memory, now)
	}
	mine := s.signer(leaf)
	if memory.heldFor(leaf.CA, now) == never {
		// Nobody can ask this replica as it is; any CA that the caBundle holds is better.
		if a := s.inUse(memory, now); a != nil && a != mine && memory.heldFor(a.Cert, now) >= 0 {
			return a
		}
		return nil
	}
	for _, a := range []*Authority{s.Next, s.Current} {
		if a != nil && a != mine && memory.heldFor(a.Cert, now) >= t.SwitchAfter {
			return a
		}
		if a != nil && a == mine {
			break
		}
	}
	if mine != nil && now.Sub(leaf.Leaf.NotBefore) >= t.LeafRenewAfter+backdated {
		return mine
	}
	return nil
}

// inUse is the CA for a replica that needs one at once: one that the caBundle holds, or will.
func (s State) inUse(memory *Memory, now time.Time) *Authority {
	list := s.authorities()
	for _, a := range list {
		if memory.heldFor(a.Cert, now) >= 0 {
			return a
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// signer is the CA that signed a certificate; nil where it signs no more.
func (s State) signer(leaf *Leaf) *Authority {
	for _, a := range s.authorities() {
		if a.Cert.Equal(leaf.CA) {
			return a
		}
	}
	return nil
}

// Chains verifies a certificate as the API server does: by its name, against each caBundle.
func Chains(now time.Time, leaf *Leaf, name string, bundles [][]*x509.Certificate) error {
	if leaf == nil {
		return errors.New("no serving certificate is signed yet")
	}
	if len(bundles) == 0 {
		return errors.New("there is no webhook that calls this process")
	}
	for i, bundle := range bundles {
		if err := verify(now, leaf, name, bundle); err != nil {
			return fmt.Errorf("the caBundle of webhook %d does not vouch for the serving certificate: %w", i, err)
		}
	}
	return nil
}

func verify(now time.Time, leaf *Leaf, name string, cas []*x509.Certificate) error {
	roots := x509.NewCertPool()
	for _, ca := range cas {
		roots.AddCert(ca)
	}
	_, err := leaf.Leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now})
	return err
}
