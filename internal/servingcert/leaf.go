package servingcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// SigningCA returns the CA that a replica should sign a new certificate with now. It returns nil if the replica should keep
// its present certificate, if any.
func SigningCA(now time.Time, s State, observed *Observed, leaf *Leaf, t Timing) *Authority {
	s = s.usable(now)
	if leaf == nil || !valid(leaf.Leaf, now) {
		return s.signerForNewLeaf(observed, now)
	}
	mine := s.signer(leaf)
	if observed.publishedFor(leaf.CA, now) == never {
		// No API server trusts this replica's certificate. Any CA in the caBundle is better.
		if a := s.signerForNewLeaf(observed, now); a != nil && a != mine && observed.publishedFor(a.Cert, now) >= 0 {
			return a
		}
		return nil
	}
	for _, a := range []*Authority{s.Next, s.Current} {
		if a != nil && a != mine && observed.publishedFor(a.Cert, now) >= t.SwitchAfter {
			return a
		}
		if a != nil && a == mine {
			break
		}
	}
	if mine != nil && now.Sub(leaf.Leaf.NotBefore) >= t.LeafRenewAfter+clockSkew {
		return mine
	}
	return nil
}

// signerForNewLeaf returns the CA for a replica that needs a certificate at once: one that the caBundle holds, or else one
// that the leader is going to publish. It returns nil if there is no CA.
func (s State) signerForNewLeaf(observed *Observed, now time.Time) *Authority {
	list := s.authorities()
	for _, a := range list {
		if observed.publishedFor(a.Cert, now) >= 0 {
			return a
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// signer returns the CA that signed the leaf, or nil if that CA does not sign any more.
func (s State) signer(leaf *Leaf) *Authority {
	for _, a := range s.authorities() {
		if a.Cert.Equal(leaf.CA) {
			return a
		}
	}
	return nil
}

// VerifyLeaf verifies a certificate as the API server does: its name, and its chain to each caBundle.
func VerifyLeaf(now time.Time, leaf *Leaf, name string, bundles [][]*x509.Certificate) error {
	if leaf == nil {
		return errors.New("no serving certificate is signed yet")
	}
	if len(bundles) == 0 {
		return errors.New("no webhook calls this process")
	}
	for i, bundle := range bundles {
		if err := verify(now, leaf, name, bundle); err != nil {
			return fmt.Errorf("the caBundle of webhook %d does not trust the serving certificate: %w", i, err)
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
