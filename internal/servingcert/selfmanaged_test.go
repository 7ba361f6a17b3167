package servingcert_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// While the way to the certificate is changed, the old leader is still there and the caBundle is
// another's.
func TestAnothersBundleIsLeftAlone(t *testing.T) {
	t.Parallel()
	theirs := servingcert.EncodeCertificates(newCA(t, 0).Cert)
	for name, annotations := range map[string]map[string]string{
		"none": nil, "another Secret's": {servingcert.CAAnnotation: "other/ca"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := started(t)
			s.config.Annotations = annotations
			s.setBundles(theirs)
			for range 3 * 20 {
				s.look(t, time.Minute)
			}
			if s.bundle() != string(theirs) {
				t.Error("it is overwritten")
			}
			if s.Ready(nil) == nil {
				t.Error("it is Ready with a certificate that is not trusted")
			}
			if n := s.logged("is left alone"); n != 1 {
				t.Errorf("logged %d times within an hour", n)
			}
		})
	}
	t.Run("it changes just before the write", func(t *testing.T) {
		t.Parallel()
		s := started(t)
		s.setBundles(nil)
		s.beforePatch = func() {
			s.config.Annotations = nil
			s.setBundles(theirs)
		}
		for range 3 {
			s.look(t, time.Minute)
		}
		if s.bundle() != string(theirs) {
			t.Error("it is overwritten")
		}
	})
}

// A configuration that does not name the Secret any more, and still holds its CA.
func TestReadyIsWhatAPIServersAccept(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.config.Annotations = nil
	next(&s.config.ObjectMeta)
	s.look(t, time.Minute)
	if err := s.Ready(nil); err != nil {
		t.Error(err)
	}
	if s.logged("is left alone") != 1 {
		t.Error("nothing is logged")
	}
}

// The encryption of Secrets is out of order, and somebody empties the caBundle.
func TestBundleIsRestoredWithoutSecret(t *testing.T) {
	t.Parallel()
	s := started(t)
	want := s.bundle()
	s.secretFails = true
	s.setBundles(nil)
	s.look(t, time.Second)
	if s.bundle() != want {
		t.Error("it is not restored")
	}
	// Another leader, which has known the CA before, has had no turn yet.
	s.Elect(false)
	s.look(t, time.Second)
	s.Elect(true)
	s.setBundles(nil)
	s.look(t, time.Second)
	if s.bundle() != want {
		t.Error("the next leader does not restore it")
	}
	if s.logged("reading the Secret guard/ca") != 1 {
		t.Errorf("the error is not logged once:\n%s", &s.log)
	}
}

// A rotation that fails for months is said again and again.
func TestWarningsAreRepeated(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.secretFails = true
	s.setBundles(nil)
	s.config.Annotations = nil
	for range 5*60 + 1 {
		s.look(t, time.Minute)
	}
	for _, text := range []string{"level=WARN msg=\"the serving certificate cannot be looked after\"", "level=WARN msg=\"the serving certificate is not trusted\""} {
		if n := s.logged(text); n != 6 {
			t.Errorf("%s: logged %d times in 5 hours", text, n)
		}
	}
	if diff := cmp.Diff([]any{epoch.Add(time.Second + year), false}, s.recorded); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// Errors whose texts are different every time, as they hold a port, do not fill the log.
func TestChangingErrorsAreRare(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.config.Annotations = map[string]string{}
	for i := range 5 * 60 {
		s.config.Annotations[servingcert.CAAnnotation] = strings.Repeat("x", i+1)
		next(&s.config.ObjectMeta)
		s.look(t, time.Second)
	}
	if n := s.logged("is left alone"); n != 5 {
		t.Errorf("logged %d times in 5 minutes", n)
	}
}

// Somebody undoes every write at once. The leader goes on to write, every 3 s.
func TestFight(t *testing.T) {
	t.Parallel()
	s := started(t)
	const every = 100 * time.Millisecond
	var lost, longest time.Duration
	before := s.writes
	for range time.Minute / every {
		s.setBundles(nil)
		s.look(t, every)
		if lost += every; s.bundle() != "" {
			lost = 0
		}
		longest = max(longest, lost)
	}
	if longest >= 3*time.Second {
		t.Errorf("it was not restored for %s", longest)
	}
	if n := s.writes - before; n < 20 || n > 27 {
		t.Errorf("%d writes in a minute", n)
	}
	if n := s.logged("manager=their-tool"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	// Peace.
	s.look(t, 3*time.Second)
	s.look(t, 3*time.Second)
	if s.bundle() == "" {
		t.Error("it is not restored")
	}
}

// The leader asks only where there is something to write, something has changed, and every 30 s.
func TestLeaderRarelyReads(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.look(t, 3*time.Second)
	s.reads = 0
	for range 20 * 10 { // 10 minutes
		s.look(t, 3*time.Second)
	}
	if s.reads != 2*20 {
		t.Errorf("%d reads in 10 minutes", s.reads)
	}
	s.Elect(false)
	s.look(t, time.Second)
	s.Elect(true)
	s.reads = 0
	s.look(t, time.Second)
	if s.reads != 2 {
		t.Errorf("%d reads at the begin of a term", s.reads)
	}
}

// A whole rotation takes as long as is promised, although little is read.
func TestRotationOfASingleReplica(t *testing.T) {
	t.Parallel()
	s := started(t)
	first := s.bundle()
	s.secret.Annotations = map[string]string{servingcert.RotateAnnotation: "x"}
	next(&s.secret.ObjectMeta)
	begun := s.clock
	for s.bundle() == first || strings.Count(s.bundle(), "BEGIN") > 1 {
		s.look(t, 3*time.Second)
		if err := s.Ready(nil); err != nil {
			t.Fatal(err)
		}
		if s.clock.Sub(begun) > 7*time.Minute {
			t.Fatalf("it is not over:\n%s", &s.log)
		}
	}
	t.Logf("over after %s, %d reads, %d writes", s.clock.Sub(begun), s.reads, s.writes)
}

// A CA that somebody writes into the Secret, and that cannot sign for this service.
func TestUselessCA(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*x509.Certificate){
		"for other names": func(c *x509.Certificate) {
			c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"example.com"}, true
		},
		"does not sign":         func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature },
		"for clients":           func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} },
		"ends before it begins": func(c *x509.Certificate) { c.NotAfter = c.NotBefore.Add(-time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			useless, err := newCA(t, 0).Again(change)
			if err != nil {
				t.Fatal(err)
			}
			data, err := servingcert.EncodeState(servingcert.State{Current: useless}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := servingcert.DecodeState(data, []string{host}); err == nil || got.Current != nil {
				t.Errorf("it is taken: %v", err)
			}
			s := started(t)
			s.secret.Data = data
			next(&s.secret.ObjectMeta)
			for range 20 {
				s.look(t, 30*time.Second)
				if err := s.Ready(nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
