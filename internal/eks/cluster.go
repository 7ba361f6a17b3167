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

// sameCA returns nil if the described cluster has a CA certificate that is also in ca. ca holds the certificates with
// which the guard trusts its API server, in PEM. If they have no certificate in common, sameCA returns an
// [OtherClusterError], because EKS creates a CA for each cluster. It compares certificates, because PEM texts can
// differ in white space and in the number of certificates.
func sameCA(described *types.Cluster, ca []byte) error {
	own, err := certificates(ca)
	if err != nil {
		return ownCAError{err}
	}
	text, err := caOf(described)
	if err != nil {
		return err
	}
	theirs, err := certificates(text)
	if err != nil {
		return fmt.Errorf("eks:DescribeCluster: reading the CA of the cluster: %w", err)
	}
	if shareCertificate(own, theirs) {
		return nil
	}
	return &OtherClusterError{
		ARN: aws.ToString(described.Arn), Endpoint: aws.ToString(described.Endpoint), fingerprint: fingerprint(theirs[0]), own: fingerprint(own[0]),
	}
}

// caOf returns the CA of a described cluster in PEM. The CA is empty while EKS creates the cluster.
func caOf(described *types.Cluster) ([]byte, error) {
	if described.CertificateAuthority == nil {
		return nil, nil
	}
	text, err := base64.StdEncoding.DecodeString(aws.ToString(described.CertificateAuthority.Data))
	if err != nil {
		return nil, fmt.Errorf("eks:DescribeCluster: reading the CA of the cluster: %w", err)
	}
	return text, nil
}

// shareCertificate reports whether two lists have a certificate in common.
func shareCertificate(a, b []*x509.Certificate) bool {
	return slices.ContainsFunc(a, func(c *x509.Certificate) bool { return slices.ContainsFunc(b, c.Equal) })
}

// OtherClusterError means that EKS described a different cluster from the one in which the guard runs.
type OtherClusterError struct {
	ARN, Endpoint    string // the ARN and the endpoint of the other cluster
	fingerprint, own string // the fingerprints of the CA of the other cluster and of the CA that the guard trusts
}

// Error implements error.
func (e *OtherClusterError) Error() string {
	return fmt.Sprintf("the guard doesn't run in %s at %s: its CA has the fingerprint %s, and the CA of the guard's API server %s; correct eks.cluster or eks.region",
		e.ARN, e.Endpoint, e.fingerprint, e.own)
}

// Public returns a shorter text of the error, for users who can't see the log.
func (e *OtherClusterError) Public() string {
	return "the guard doesn't run in " + e.ARN + "; correct eks.cluster or eks.region"
}

// ownCAError means that the guard can't read the CA of its API server. So it doesn't know whether EKS describes the right cluster.
type ownCAError struct{ err error }

// Error implements error.
func (e ownCAError) Error() string {
	return e.Public() + ": reading the CA of the guard's API server: " + e.err.Error()
}

// Public returns a shorter text of the error, for users who can't see the log.
func (e ownCAError) Public() string {
	return "cannot tell whether the guard runs in the cluster that eks.cluster names"
}

// Unwrap returns the error from reading the CA.
func (e ownCAError) Unwrap() error { return e.err }

var (
	errNoOwnCA        = errors.New("the client configuration has none")
	errNoCertificates = errors.New("it has no valid certificate")
)

// certificates returns the certificates in a PEM text. Like clients of the API server, it skips blocks that are not valid certificates. It
// returns an error if there is no valid certificate.
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

// fingerprint returns the first 8 bytes of a certificate's SHA-256 hash in hexadecimal. They are enough to distinguish CAs.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:8])
}
