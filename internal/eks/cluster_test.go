package eks_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/awsauth-guard/awsauth-guard/internal/access"
	"github.com/awsauth-guard/awsauth-guard/internal/eks"
	"github.com/awsauth-guard/awsauth-guard/internal/eks/ekstest"
)

// newCA returns the certificate of a new CA, in PEM. All CAs have the same name, as in EKS.
func newCA(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// Read accepts a cluster if one of its CA certificates is among the guard's certificates, in any form of PEM. It refuses
// another cluster, and doesn't read its access entries.
func TestReadRecognizesTheClusterByItsCA(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"))
	ours, other := newCA(t), newCA(t)
	read := func(own []byte) error {
		client, err := eks.New(t.Context(), ekstest.Name, "", own)
		if err != nil {
			t.Fatal(err)
		}
		cluster, err := client.Read(t.Context())
		if (cluster == nil) != (err != nil) {
			t.Errorf("got %v and %v", cluster, err)
		}
		return err
	}
	for name, theirs := range map[string][]byte{
		"the same text":                 ours,
		"a bundle":                      bytes.Join([][]byte{other, ours}, nil),
		"text around, and DOS newlines": append([]byte("subject: kubernetes\r\n"), bytes.ReplaceAll(ours, []byte("\n"), []byte("\r\n"))...),
		"beside a damaged certificate":  append([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), ours...),
	} {
		server.SetCA(theirs)
		if err := read(ours); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	lists := server.Calls("ListAccessEntries")
	for name, c := range map[string]struct {
		theirs, own []byte
		want        string
	}{
		"another cluster":       {other, ours, "the guard doesn't run in arn:aws:eks:eu-west-1:111122223333:cluster/prod at https://EXAMPLE0123456789.gr7.eu-west-1.eks.amazonaws.com: its CA has the fingerprint "},
		"a cluster without CA":  {nil, ours, "eks:DescribeCluster: reading the CA of the cluster: it has no valid certificate"},
		"a CA that is no PEM":   {[]byte("x"), ours, "eks:DescribeCluster: reading the CA of the cluster: it has no valid certificate"},
		"an own CA, not valid":  {ours, []byte("x"), "cannot tell whether the guard runs in the cluster that eks.cluster names: reading the CA of the guard's API server: it has no valid certificate"},
		"two texts, both empty": {[]byte{}, []byte{}, "cannot tell whether the guard runs in the cluster that eks.cluster names: "},
	} {
		server.SetCA(c.theirs)
		if err := read(c.own); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if n := server.Calls("ListAccessEntries"); n > lists {
		t.Errorf("%d reads of the access entries of another cluster", n-lists)
	}
	server.SetCA(other)
	err := read(ours)
	wrong, ok := errors.AsType[*eks.OtherClusterError](err)
	if !ok || !strings.HasSuffix(err.Error(), "; correct eks.cluster or eks.region") || wrong.Public() != "the guard doesn't run in arn:aws:eks:eu-west-1:111122223333:cluster/prod; correct eks.cluster or eks.region" {
		t.Errorf("got %v", err)
	}
}

// A snapshot never returns the access entries of another cluster, or of a cluster whose CA can't be compared.
func TestSnapshotOfAnotherClusterIsUnknown(t *testing.T) {
	server := ekstest.New(t)
	server.Set(access.ModeAPI, ekstest.Entry(role+"a"))
	ours, other := newCA(t), newCA(t)
	for name, c := range map[string]struct {
		own  []byte
		err  error
		want string
	}{
		"another cluster":      {other, nil, "correct eks.cluster or eks.region"},
		"no own CA":            {nil, nil, "cannot tell whether the guard runs in the cluster that eks.cluster names: reading the CA of the guard's API server: the client configuration has none"},
		"an unreadable own CA": {ours, errors.New("no such file"), "reading the CA of the guard's API server: no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			server.SetCA(ours)
			in := &settings{Settings: eks.Settings{Enabled: true, Cluster: ekstest.Name, Refresh: time.Hour}}
			s, recorder, _ := startWith(t, in, func() ([]byte, error) { return c.own, c.err })
			if err := <-recorder.reads; err == nil || recorder.known.Load() {
				t.Error("the read succeeded, or its access entries count")
			}
			if cluster, err := s.Cluster(); cluster != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v and %v", cluster, err)
			}
		})
	}
}
