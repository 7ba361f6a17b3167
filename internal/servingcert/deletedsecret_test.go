package servingcert_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/awsauth-guard/awsauth-guard/internal/servingcert"
)

// deleteSecret deletes the Secret, as another client could do, and returns the deleted Secret.
func (s *replica) deleteSecret() *corev1.Secret {
	deleted := s.secret
	s.secret = nil
	return deleted
}

func TestDeletedSecretComesBackWithItsCA(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.secret.Labels = map[string]string{"app.kubernetes.io/managed-by": "Helm"}
	s.reconcile(t, time.Second)
	deleted, bundle := s.deleteSecret(), s.bundle()
	s.reconcile(t, time.Second)
	if s.secret == nil {
		t.Fatalf("the Secret is not created:\n%s", &s.log)
	}
	if diff := cmp.Diff([]any{deleted.Data, deleted.Labels, deleted.Type}, []any{s.secret.Data, s.secret.Labels, corev1.SecretType("")}); diff != "" {
		t.Errorf("(-deleted +created):\n%s", diff)
	}
	for range 20 {
		s.reconcile(t, time.Minute)
		if err := s.Ready(nil); err != nil || s.bundle() != bundle {
			t.Fatalf("the CA changes: %v\n%s", err, &s.log)
		}
	}
	if n := s.logged("recreated the missing Secret of the serving CA"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	if !s.stored {
		t.Error("recorded as not stored")
	}
}

// A leader that has never read the deleted CA, for example after a restart of all replicas, makes a new CA. It first adds the new CA to
// the caBundles, which keep the CA with which other replicas may serve.
func TestDeletedSecretIsCreatedByNewLeader(t *testing.T) {
	t.Parallel()
	s := newReplica(t)
	before := servingcert.EncodeCertificates(newCA(t, time.Hour).Cert)
	s.setBundles(before)
	s.deleteSecret()
	for range 5 {
		s.reconcile(t, time.Second)
	}
	if s.secret == nil || len(s.secret.Data["next.crt"]) == 0 {
		t.Fatalf("no new CA is stored:\n%s", &s.log)
	}
	if !strings.Contains(s.bundle(), string(before)) {
		t.Error("the CA with which other replicas may serve is not trusted any more")
	}
	if err := s.Ready(nil); err != nil {
		t.Error(err)
	}
}

// The leader doesn't create the Secret if there is no configuration. An uninstall deletes the configuration first, and
// would not delete a Secret that is created afterwards.
func TestDeletedSecretStaysDeletedWithoutConfiguration(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.deleteSecret()
	s.config.Annotations = nil
	next(&s.config.ObjectMeta)
	for range 20 {
		s.reconcile(t, time.Second)
	}
	if s.secret != nil {
		t.Error("the Secret is created")
	}
}

// If the leader can't create the Secret, the metric, the log and /readyz?verbose say so. Running replicas keep serving. A new replica
// has no certificate, and is not ready.
func TestMissingSecretIsReported(t *testing.T) {
	t.Parallel()
	const missing = "the Secret guard/ca does not exist"
	s := started(t)
	if want := "serving CA: stored in the Secret guard/ca"; s.String() != want || !s.stored {
		t.Errorf("%q, recorded as stored: %t", s.String(), s.stored)
	}
	s.createFails = true
	s.deleteSecret()
	for range 20 {
		s.reconcile(t, 30*time.Second)
	}
	if want := "serving CA: " + missing + "; pods that start now do not become ready"; s.String() != want || s.stored {
		t.Errorf("%q, recorded as stored: %t", s.String(), s.stored)
	}
	if err := s.Ready(nil); err != nil {
		t.Errorf("the replica is not ready although it has a certificate: %v", err)
	}
	if n := s.logged("creating the missing Secret guard/ca"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &s.log)
	}

	fresh := newReplica(t)
	fresh.Elect(false)
	fresh.deleteSecret()
	fresh.reconcile(t, time.Second)
	_, err := fresh.GetCertificate(nil)
	for _, err := range []error{err, fresh.Ready(nil)} {
		if want := "no serving certificate is signed yet: " + missing; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if n := fresh.logged(missing); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &fresh.log)
	}
}

// If a client empties the Secret and the caBundles, the leader writes a new CA into the Secret, and the replica stays ready. For
// example, helm upgrade --force empties the Secret.
func TestEmptiedSecretGetsNewCA(t *testing.T) {
	t.Parallel()
	s := started(t)
	s.secret.Data = nil
	next(&s.secret.ObjectMeta)
	s.setBundles(nil)
	s.reconcile(t, time.Second)
	for range 20 {
		s.reconcile(t, 30*time.Second)
		if err := s.Ready(nil); err != nil || !s.stored {
			t.Fatalf("stored %t, %v\n%s", s.stored, err, &s.log)
		}
	}
}
