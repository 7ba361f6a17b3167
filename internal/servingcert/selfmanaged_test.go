package servingcert_test

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// The leader doesn't write the caBundles of a configuration that names another source. Such a leader still runs while
// an operator changes the source of the certificate.
func TestForeignCABundleIsKept(t *testing.T) {
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
				s.reconcile(t, time.Minute)
			}
			if s.bundle() != string(theirs) {
				t.Error("the caBundle is overwritten")
			}
			if s.Ready(nil) == nil {
				t.Error("the replica is ready with an untrusted certificate")
			}
			if n := s.logged("not writing the caBundle"); n != 1 {
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
			s.reconcile(t, time.Minute)
		}
		if s.bundle() != string(theirs) {
			t.Error("the caBundle is overwritten")
		}
	})
}

// A replica is ready as long as the caBundle holds its CA, even if the configuration no longer names its Secret.
func TestReadyWhileCABundleTrustsLeaf(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.config.Annotations = nil
	next(&s.config.ObjectMeta)
	s.reconcile(t, time.Minute)
	if err := s.Ready(nil); err != nil {
		t.Error(err)
	}
	if s.logged("not writing the caBundle") != 1 {
		t.Error("the log has no warning")
	}
}

// The leader restores an emptied caBundle while it can't read the Secret.
func TestCABundleIsRestoredWithoutSecret(t *testing.T) {
	t.Parallel()
	s := started(t)
	want := s.bundle()
	s.secretFails = true
	s.setBundles(nil)
	s.reconcile(t, time.Second)
	if s.bundle() != want {
		t.Error("the caBundle is not restored")
	}
	// The next leader knows the CA, but has not reconciled in its term yet.
	s.Elect(false)
	s.reconcile(t, time.Second)
	s.Elect(true)
	s.setBundles(nil)
	s.reconcile(t, time.Second)
	if s.bundle() != want {
		t.Error("the next leader does not restore the caBundle")
	}
	if s.logged("reading the Secret guard/ca") != 1 {
		t.Errorf("the error is not logged once:\n%s", &s.log)
	}
}

// The log repeats a warning every hour while the failure lasts.
func TestWarningsAreRepeated(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.secretFails = true
	s.setBundles(nil)
	s.config.Annotations = nil
	for range 5*60 + 1 {
		s.reconcile(t, time.Minute)
	}
	for _, text := range []string{"level=WARN msg=\"cannot maintain the serving certificate\"", "level=WARN msg=\"the serving certificate is not trusted\""} {
		if n := s.logged(text); n != 6 {
			t.Errorf("%s: logged %d times in 5 hours", text, n)
		}
	}
	if diff := cmp.Diff([]any{epoch.Add(time.Second + year), false}, s.recorded); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
}

// The log has at most one line a minute about an error, even if its text differs every time, such as an error with a port.
func TestChangingErrorsAreThrottled(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.config.Annotations = map[string]string{}
	for i := range 5 * 60 {
		s.config.Annotations[servingcert.CAAnnotation] = strings.Repeat("x", i+1)
		next(&s.config.ObjectMeta)
		s.reconcile(t, time.Second)
	}
	if n := s.logged("not writing the caBundle"); n != 5 {
		t.Errorf("logged %d times in 5 minutes", n)
	}
}

// If another client undoes every write, the leader writes again every 3 s.
func TestCABundleIsRestoredAgainstCompetingWriter(t *testing.T) {
	t.Parallel()
	s := started(t)
	const every = 100 * time.Millisecond
	var lost, longest time.Duration
	before := s.writes
	for range time.Minute / every {
		s.setBundles(nil)
		s.reconcile(t, every)
		if lost += every; s.bundle() != "" {
			lost = 0
		}
		longest = max(longest, lost)
	}
	if longest >= 3*time.Second {
		t.Errorf("the caBundle was not restored for %s", longest)
	}
	if n := s.writes - before; n < 20 || n > 27 {
		t.Errorf("%d writes in a minute", n)
	}
	if n := s.logged("manager=their-tool"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	// The other client stops.
	s.reconcile(t, 3*time.Second)
	s.reconcile(t, 3*time.Second)
	if s.bundle() == "" {
		t.Error("the caBundle is not restored")
	}
}

// The leader reads the objects from the API server every 30 s. Otherwise it reads them only if an object has changed or
// needs a write.
func TestLeaderReadsEvery30Seconds(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.reconcile(t, 3*time.Second)
	s.reads = 0
	for range 20 * 10 { // 10 minutes
		s.reconcile(t, 3*time.Second)
	}
	if s.reads != 2*20 {
		t.Errorf("%d reads in 10 minutes", s.reads)
	}
	s.Elect(false)
	s.reconcile(t, time.Second)
	s.Elect(true)
	s.reads = 0
	s.reconcile(t, time.Second)
	if s.reads != 2 {
		t.Errorf("%d reads at the beginning of a term, want 2", s.reads)
	}
}

// A single replica completes a rotation within 7 minutes, although the leader reads only every 30 s. The replica stays ready.
func TestSingleReplicaRotatesInTime(t *testing.T) {
	t.Parallel()
	s := started(t)
	first := s.bundle()
	s.secret.Annotations = map[string]string{servingcert.RotateAnnotation: "x"}
	next(&s.secret.ObjectMeta)
	begun := s.clock
	for s.bundle() == first || strings.Count(s.bundle(), "BEGIN") > 1 {
		s.reconcile(t, 3*time.Second)
		if err := s.Ready(nil); err != nil {
			t.Fatal(err)
		}
		if s.clock.Sub(begun) > 7*time.Minute {
			t.Fatalf("the rotation is not complete:\n%s", &s.log)
		}
	}
	t.Logf("the rotation took %s, %d reads, %d writes", s.clock.Sub(begun), s.reads, s.writes)
}

// DecodeState refuses a CA that can't sign for this Service. If a client writes such a CA into the Secret, the replica stays ready.
func TestUnusableCAIsRefused(t *testing.T) {
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
			useless, err := newCA(t, 0).Reissue(change)
			if err != nil {
				t.Fatal(err)
			}
			data, err := servingcert.EncodeState(servingcert.State{Current: useless}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := servingcert.DecodeState(data, []string{host}); err == nil || got.Current != nil {
				t.Errorf("an unusable CA is accepted: %v", err)
			}
			s := started(t)
			s.secret.Data = data
			next(&s.secret.ObjectMeta)
			for range 20 {
				s.reconcile(t, 30*time.Second)
				if err := s.Ready(nil); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
