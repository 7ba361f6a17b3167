package servingcert

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Keys in the Secret's data.
const (
	currentCert = "ca.crt"
	currentKey  = "ca.key"
	nextCert    = "next.crt"
	nextKey     = "next.key"
	previous    = "previous.crt"
	rotated     = "rotated"
)

// maxPrevious limits the number of previous CAs, and so the size of the caBundle. Usually there is at most one previous CA.
// There are more if another client keeps changing the Secret.
const maxPrevious = 8

// State is the content of the Secret.
type State struct {
	// Current is the CA that replicas start with. If another client removes the CA from the Secret while replicas serve, Current
	// is nil until Next can replace it.
	Current *Authority
	// Next is the CA that becomes the current one. It is nil while there is no rotation.
	Next *Authority
	// Previous are CAs that replicas may still serve with. They sign no new certificates.
	Previous []*x509.Certificate
	// Rotated is the value of [RotateAnnotation] for which the last rotation was started.
	Rotated string
}

// DecodeState decodes the data of the Secret. It leaves out a current or next CA that it can't decode, or that can't sign for
// these DNS names. The error says why. It also leaves out previous certificates that it can't decode; they cause no error.
// Empty data is the zero State.
func DecodeState(data map[string][]byte, names []string) (State, error) {
	s := State{Previous: decodeCertificates(data[previous]), Rotated: string(data[rotated])}
	var errs []error
	decode := func(certName, keyName string) *Authority {
		if len(data[certName]) == 0 && len(data[keyName]) == 0 {
			return nil
		}
		a, err := decodeAuthority(data[certName], data[keyName], names)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s and %s: %w", certName, keyName, err))
			return nil
		}
		return a
	}
	s.Current, s.Next = decode(currentCert, currentKey), decode(nextCert, nextKey)
	return s, errors.Join(errs...)
}

// EncodeState returns a copy of data with the given state. It keeps the keys of data that don't belong to the state.
func EncodeState(s State, data map[string][]byte) (map[string][]byte, error) {
	data = maps.Clone(data)
	if data == nil {
		data = make(map[string][]byte)
	}
	set := func(key string, value []byte) {
		delete(data, key)
		if len(value) > 0 {
			data[key] = value
		}
	}
	encode := func(certName, keyName string, a *Authority) error {
		var cert, key []byte
		var err error
		if a != nil {
			cert, key, err = a.encode()
		}
		set(certName, cert)
		set(keyName, key)
		return err
	}
	err := errors.Join(encode(currentCert, currentKey, s.Current), encode(nextCert, nextKey, s.Next))
	set(previous, EncodeCertificates(s.Previous...))
	set(rotated, []byte(s.Rotated))
	return data, err
}

// authorities returns the CAs that can sign: first the current CA and then the next CA.
func (s State) authorities() (list []*Authority) {
	for _, a := range []*Authority{s.Current, s.Next} {
		if a != nil {
			list = append(list, a)
		}
	}
	return list
}

// certificates returns the certificates of all CAs.
func (s State) certificates() []*x509.Certificate {
	return append(certificates(s.authorities()), s.Previous...)
}

// equal reports whether both states have the same CAs in the same roles.
func (s State) equal(other State) bool {
	same := func(a, b *Authority) bool { return a == b || a != nil && b != nil && a.Cert.Equal(b.Cert) }
	return same(s.Current, other.Current) && same(s.Next, other.Next) &&
		slices.EqualFunc(s.Previous, other.Previous, (*x509.Certificate).Equal)
}

func certificates(list []*Authority) (certs []*x509.Certificate) {
	for _, a := range list {
		certs = append(certs, a.Cert)
	}
	return certs
}

// decoder decodes a state and caches the last result. Decoding is slow, because it signs a test certificate for each CA.
type decoder struct {
	names []string
	data  map[string][]byte
	state State
	err   error
}

func (d *decoder) decode(data map[string][]byte) (State, error) {
	if d.data == nil || !maps.EqualFunc(data, d.data, bytes.Equal) {
		d.data = maps.Clone(data)
		d.state, d.err = DecodeState(data, d.names)
	}
	return d.state, d.err
}

// usable returns the state without the CAs that are of no use now: a current or next CA that is not valid, and expired previous
// CAs.
func (s State) usable(now time.Time) State {
	if s.Current != nil && !valid(s.Current.Cert, now) {
		s.Current = nil
	}
	if s.Next != nil && !valid(s.Next.Cert, now) {
		s.Next = nil
	}
	s.Previous = union(now, s.Previous)
	return s
}

// union merges the lists. It removes duplicates and expired certificates, and sorts the rest from the newest to the oldest. It
// keeps certificates that are not valid yet. If this process's clock is behind, replicas may serve with such a certificate.
func union(now time.Time, lists ...[]*x509.Certificate) []*x509.Certificate {
	all := slices.DeleteFunc(slices.Concat(lists...), func(c *x509.Certificate) bool { return !now.Before(c.NotAfter) })
	slices.SortFunc(all, func(a, b *x509.Certificate) int {
		if n := b.NotBefore.Compare(a.NotBefore); n != 0 {
			return n
		}
		return bytes.Compare(a.Raw, b.Raw)
	})
	return slices.CompactFunc(all, (*x509.Certificate).Equal)
}

// without returns the certificates that are not in others.
func without(certs, others []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return contains(others, c) })
}

func intersection(certs, others []*x509.Certificate) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(certs), func(c *x509.Certificate) bool { return !contains(others, c) })
}

func contains(certs []*x509.Certificate, cert *x509.Certificate) bool {
	return slices.ContainsFunc(certs, cert.Equal)
}
