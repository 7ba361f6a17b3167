package eks

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
)

// sameCA returns an error unless the described cluster shares a CA certificate with ca, the certificates by which the guard trusts the
// API server. EKS makes a CA for each cluster, so a cluster with another CA is another cluster: its access entries say nothing about
// the guard's own. sameCA compares certificates, because the two PEM texts can differ in white space and in the number of certificates.
func sameCA(described *types.Cluster, ca []byte) error {
	own, err := certificates(ca)
	if err != nil {
		return ownCAError{err}
	}
	var encoded string
	if described.CertificateAuthority != nil {
		encoded = aws.ToString(described.CertificateAuthority.Data)
	}
	text, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return fmt.Errorf("eks:DescribeCluster: reading the CA of the cluster: %w", err)
	}
	theirs, err := certificates(text)
	if err != nil {
		return fmt.Errorf("eks:DescribeCluster: reading the CA of the cluster: %w", err)
	}
	if slices.ContainsFunc(own, func(c *x509.Certificate) bool { return slices.ContainsFunc(theirs, c.Equal) }) {
		return nil
	}
	return &OtherClusterError{
		ARN: aws.ToString(described.Arn), Endpoint: aws.ToString(described.Endpoint), fingerprint: fingerprint(theirs[0]), own: fingerprint(own[0]),
	}
}

// OtherClusterError means that EKS described another cluster than the one in which the guard runs.
type OtherClusterError struct {
	ARN, Endpoint    string // of the other cluster
	fingerprint, own string // of the other cluster's CA, and of the guard's
}

// Error implements error.
func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("the guard doesn't run in %s at %s: its CA has the fingerprint %s, and the CA of the guard's API server %s; correct eks.cluster or eks.region",
		e.ARN, e.Endpoint, e.fingerprint, e.own)
}

// Public returns the error for users who can't see the log.
func (e *OtherClusterError) Public() string {
	return "the guard doesn't run in " + e.ARN + "; correct eks.cluster or eks.region"
}

// ownCAError means that no cluster can be recognized, because the guard's own CA is not known.
type ownCAError struct{ err error }

// Error implements error.
func (e ownCAError) Error() string {
	return e.Public() + ": reading the CA of the guard's API server: " + e.err.Error()
}

// Public returns the error for users who can't see the log.
func (e ownCAError) Public() string {
	return "cannot tell whether the guard runs in the cluster that eks.cluster names"
}

// Unwrap returns the reason.
func (e ownCAError) Unwrap() error { return e.err }

var (
	errNoOwnCA        = errors.New("the client configuration has none")
	errNoCertificates = errors.New("it has no valid certificate")
)

// certificates returns the certificates of a PEM text. It skips blocks that are not a valid certificate, as clients of the API server do,
// and fails if no certificate is left.
func certificates(text []byte) (list []*x509.Certificate, err error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, errNoCertificates
	}
	return list, nil
}

// fingerprint returns the first 8 bytes of the SHA-256 of a certificate, in hexadecimal: enough to tell two CAs apart.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:8])
}
