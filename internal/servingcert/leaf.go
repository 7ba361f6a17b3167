package servingcert

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// SigningCA returns the CA with which a replica should now sign a new certificate. It returns nil if the replica should
// keep its present certificate, and if there is no CA. leaf is the present certificate of the replica, or nil.
func SigningCA(now time.Time, s State, observed *Observed, leaf *Leaf, t Timing) *Authority {
	s = s.usable(now)
	if leaf == nil || !valid(leaf.Leaf, now) {
		return s.signerForNewLeaf(observed, now)
	}
	mine := s.signer(leaf)
	if observed.publishedFor(leaf.CA, now) == never {
		// Some API servers don't trust this replica's certificate. A CA in every caBundle is better.
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

// signerForNewLeaf returns the CA for a replica that needs a certificate at once. It prefers a CA that every caBundle
// holds. If there is none, it returns a CA that the leader is going to publish. It returns nil if the state has no CA
// that signs.
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

// signer returns the CA that signed the leaf. It returns nil if the Secret no longer holds this CA with its key.
func (s State) signer(leaf *Leaf) *Authority {
	for _, a := range s.authorities() {
		if a.Cert.Equal(leaf.CA) {
			return a
		}
	}
	return nil
}

// VerifyLeaf returns nil if every caBundle trusts the certificate for this DNS name. It verifies like the API server. It
// returns an error if leaf is nil or if there is no caBundle.
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
